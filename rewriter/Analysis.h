// SPDX-License-Identifier: BSD-3-Clause
//
// What the inspection finds out about a program, as plain data: made by analysis/, read by patch/ and report/. Where
// its code is stands in CodeMap.h.
#pragma once
#include "rewriter/elf/Address.h"
#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace osv {

/// The constants that a register can hold at a place.
struct Numbers {
  std::vector<int64_t> values; ///< ascending
  bool complete = false;       ///< no other value is possible, as far as the code is known
};

/// A `syscall` instruction.
struct SyscallSite {
  VAddr addr;
  bool proven;            ///< false: in code that is only possible; not to be patched
  Numbers here;           ///< what the function itself puts into rax
  Numbers all;            ///< with what callers pass through wrappers
  bool isWrapper = false; ///< the number is an argument of the function
  std::string tactic;     ///< of the patcher: "S0", "S1", "B", "mixed", "none"; empty when patching was not planned

  std::optional<int64_t> number() const {
    if (all.complete && all.values.size() == 1)
      return all.values[0];
    return std::nullopt;
  }
};

/// One way in which the program can make a system call: the site, and the calls that lead to it, innermost first.
struct NumberUse {
  int64_t number;
  VAddr site;
  std::vector<VAddr> chain;
};

enum class ThreadPointerKind {
  ArchSetFs,
  ArchGetFs,
  ArchSetGs,
  ArchGetGs,
  ArchCet,
  ArchOther,
  ArchUnknown,
  CloneSetTls,
  CloneFlagsUnknown,
  Clone3,
  SetThreadArea,
  WrFsBase,
  RdFsBase
};
const char *name(ThreadPointerKind kind);

struct ThreadPointerSetup {
  VAddr addr;
  ThreadPointerKind kind;
  int64_t code = 0; ///< of arch_prctl, when it is known
};

enum class FsClass {
  Self,
  Canary,
  PointerGuard,
  ThreadField,
  LocalExec,
  InitialExec,
  Register,
  GoSlot,
  Undefined, ///< of a weak symbol that no object defined: the code around tests for that and never gets there
  Outside
};
inline constexpr unsigned kNumFsClasses = 10;
const char *name(FsClass kind);

struct FsAccess {
  VAddr addr;
  FsClass kind;
  int64_t offset;
};

/// An instruction that ring 0 or the runtime's use of GS gives another meaning.
enum class HazardKind {
  GsAccess,
  GsLoad,
  GsBase,
  Swapgs,
  SegmentLoad,
  FarTransfer,
  Iret,
  Popf,
  Privileged,
  PortIo,
  InterruptFlag,
  Int80,
  SoftInterrupt,
  Sysenter,
  DescriptorRead,
  Pku,
  VsyscallPage,
  ArchSetGs
};
struct Hazard {
  VAddr addr;
  HazardKind kind;
  bool proven;
};

struct Toolchain {
  std::string language;               ///< "C", "C++", "Rust", "Go", "unknown"
  std::vector<std::string> compilers; ///< "GCC: (Debian 12.2.0-14) 12.2.0", "go1.19.8"
  std::string libc;                   ///< "glibc 2.36", "musl", "none (Go runtime)", "unknown"
  bool isGo = false;
  std::string buildId;
};

/// Where the numbers of system calls stop being known.
struct UnknownCall {
  VAddr site;
  std::vector<VAddr> chain; ///< of calls, innermost first
  VAddr at;                 ///< the instruction or function behind which the slice did not get
  std::string why;
};

struct Analysis {
  std::vector<SyscallSite> sites;         ///< ascending
  std::vector<NumberUse> uses;            ///< ascending by number, the shortest chain of each number
  std::optional<UnknownCall> unknownCall; ///< the first; when none, the program makes no other calls, as far as known
  std::vector<ThreadPointerSetup> threadPointer;
  std::vector<FsAccess> fs; ///< ascending
  std::vector<Hazard> hazards;
  std::vector<VAddr> halts;  ///< proven `hlt`, for the patcher
  std::vector<VAddr> cpuids; ///< proven `cpuid`
  unsigned ifuncs = 0;
  Toolchain toolchain;
};

enum class Provided { Full, Partial, No };
/// A row of runtime/abi/Syscalls.def.
struct SyscallRow {
  int64_t number;
  const char *name;
  Provided provided;
  bool takesFrame; ///< OSV_FRAME
  bool isAlways;   ///< OSV_ALWAYS
};
/// All rows, ascending.
std::span<const SyscallRow> syscallRows();
/// The name of a Linux x86-64 system call, or nullptr.
const char *syscallName(int64_t number);
Provided syscallProvided(int64_t number);

} // namespace osv

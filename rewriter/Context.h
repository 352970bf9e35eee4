// SPDX-License-Identifier: BSD-3-Clause
//
// The state of one run of osv-rewrite over one input. A stage is a function `llvm::Error stage(Context &)`: it reads
// what earlier stages left here, writes its own member, and never calls another stage. Results are plain data; who owns
// which member is said beside it. Nothing here prints or exits.
#pragma once
#include "abi/Image.h"
#include "rewriter/Analysis.h"
#include "rewriter/CodeMap.h"
#include "rewriter/Diag.h"
#include "rewriter/PatchPlan.h"
#include "rewriter/elf/Image.h"
#include "llvm/ADT/SmallVector.h"
#include <string>
#include <vector>

namespace osv {

enum class ReportKind { Text, Json, Sarif, Html };
struct Report {
  ReportKind kind;
  std::string file; ///< empty: standard output
};
enum class PatchMode : uint8_t {
  None, ///< no site
  Safe, ///< what is proven
  All,  ///< also sites in code that is only possible, and where a hidden jump cannot be excluded
};
enum class SyscallChoice : uint8_t {
  All,       ///< every handler that there is
  Reachable, ///< those that the program may call, when that can be proven
};
enum class OutputKind : uint8_t {
  Image,     ///< bootable, with the runtime
  NativeElf, ///< a Linux executable whose stubs make real system calls
};

/// The command line, after validation.
struct Options {
  std::string output; ///< -o; empty with --check
  abi::TlsModel tlsModel = abi::kTlsGs;
  std::string root;              ///< --root; empty: none
  std::vector<std::string> env;  ///< --env K=V, in order, later K wins
  std::vector<std::string> args; ///< after --
  std::string libDir;            ///< where runtime-*.a and kernel.ld are
  PatchMode patch = PatchMode::Safe;
  SyscallChoice syscalls = SyscallChoice::All;
  OutputKind outputKind = OutputKind::Image; ///< --emit
  std::vector<std::string> explain;          ///< --explain-site: addresses, symbols, "all"
  bool verify = false;                       ///< --verify
  bool verifyOnly = false;                   ///< --verify-only
  bool debugInfo = false;                    ///< -g: keep the runtime's DWARF in the image
  std::vector<Report> reports;               ///< --report
  bool check = false;                        ///< inspect only
  bool verbose = false;
};

/// A field of edited or added code whose value depends on where the linker puts things. ELF's meaning: the field
/// becomes S + addend, minus the address of the field itself for Pc32. `jmp rel32` to S has its field at the opcode + 1
/// and addend -4.
struct Fixup {
  enum Kind : uint8_t { Pc32, Abs64 };
  enum Base : uint8_t {
    Stubs,   ///< S = start of the linked StubCode::bytes + value
    Program, ///< S = value, a RunAddr
    Runtime, ///< S = the runtime's global symbol
  };
  uint32_t offset; ///< of the field in `bytes`
  Kind kind;
  Base base;
  uint64_t value;
  int64_t addend;
  std::string symbol;
};

/// Bytes that replace the program's own at `addr` (all inside one segment's file part). Recorded by patch/ and by the
/// application of relocations; applied by link/ when it emits the segments. Never overlapping.
struct Edit {
  VAddr addr;
  llvm::SmallVector<uint8_t, 16> bytes;
  std::vector<Fixup> fixups;
};

/// Where everything goes; made by link/Layout. All page-aligned.
struct ImageLayout {
  /// One PT_LOAD of the image: the pages of a program segment that come from the file, [start, start + size), which the
  /// monitor puts at physical `paddr`. Page 0 of a piece may begin before its segment: the rest of the page is what
  /// Linux would show.
  struct Piece {
    size_t segment; ///< index in elf::Image::segments
    RunAddr start;
    uint64_t size; ///< may be 0: a segment of zeros only
    uint64_t paddr;
    RunAddr dataStart, dataEnd,
        end;        ///< the segment itself (file part, memory), without what a later segment maps over it
    uint32_t flags; ///< abi::SegmentFlags
    RunRange range() const { return {start, start + size}; }
  };
  std::vector<Piece> pieces; ///< by address; pages are disjoint
  RunRange kernel;           ///< reserved for the kernel; the linked one must fit
  uint64_t kernelPhys = 0;
  RunAddr brkStart, brkLimit;
  uint64_t imageStart = 0, imageEnd = 0; ///< physical
};

/// Unwind tables of stubs. The place for where a stub begins, 8 bytes behind its FDE's start, is open: 64 bits in
/// .debug_frame, 32 bits relative to itself in .eh_frame.
struct FrameSection {
  struct Fde {
    uint32_t offset, stub, size; ///< in `bytes`; in StubCode::bytes
  };
  llvm::SmallVector<uint8_t, 0> bytes;
  std::vector<Fde> fdes;
};

/// Code that patch/ adds to the image, linked next to the kernel's text (within rel32 of the program's).
struct StubCode {
  llvm::SmallVector<uint8_t, 0> bytes;
  std::vector<Fixup> fixups;
  std::vector<abi::StubMap> map; ///< `stub` is relative to the start of `bytes`; `site` and `original` are RunAddr
  FrameSection debugFrame;       ///< for debuggers; of all stubs whose function has unwind tables itself
};

/// The system calls that the kernel of this image does without; made by link/SyscallTable.
struct KernelCalls {
  std::vector<int64_t> leftOut; ///< provided by the runtime, but not in this image; ascending
};

/// The kernel's part of a linked image, in bytes; measured by link/RuntimeLink.
struct KernelSize {
  uint64_t text = 0, rodata = 0, data = 0; ///< of its segments in the file, without what follows
  uint64_t tables = 0;                     ///< the program's: stubs, manifest, root file system
  uint64_t zeros = 0;                      ///< memory that is not in the file
  uint64_t symbols = 0;                    ///< in the file, not loaded
  uint64_t saved = 0;                      ///< what `leftOut` made of the first three
  uint64_t total() const { return text + rodata + data; }
};

struct Context {
  Options opts;
  Diag diag;

  elf::Image image;                     ///< elf/Reader
  CodeMap code;                         ///< analysis/FindCode
  Analysis analysis;                    ///< the other stages of analysis/
  PatchPlan plan;                       ///< patch/Plan
  std::vector<Edit> edits;              ///< patch/, link/Relocations; sorted by address before linking
  StubCode stubs;                       ///< patch/
  std::vector<abi::TrapMap> traps;      ///< patch/
  VAddr nativeStubs;                    ///< patch/NativeElf: where the stubs begin
  std::vector<uint8_t> rootfs;          ///< link/RootFs: cpio archive
  ImageLayout layout;                   ///< link/Layout
  KernelCalls kernelCalls;              ///< link/SyscallTable
  std::optional<KernelSize> kernelSize; ///< link/RuntimeLink; of an image that was made
};

} // namespace osv

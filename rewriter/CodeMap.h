// SPDX-License-Identifier: BSD-3-Clause
//
// What is known about the program's executable bytes: which of them begin an instruction, which instructions something
// may branch to, and where functions are. Made by analysis/FindCode; everybody else only asks.
//
// Two degrees of knowledge:
//   proven    reached by recursive descent from a strict root: the entry point, a function symbol, an FDE, a landing
//             pad, Go's pclntab, an initialiser, a jump table, or a pointer in proven code or in data to what starts as
//             a function does. A finding in it refuses the program; patching uses only it.
//   possible  reached from a wide root: any other pointer, a gap between proven functions. Used to find system calls,
//             never to refuse.
//
// One bit a byte and property: 3/8 of the code's size in all.
#pragma once
#include "rewriter/elf/Image.h"
#include "rewriter/x64/Shape.h"
#include "llvm/Support/ErrorHandling.h"
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

namespace osv {

/// Where the knowledge about a function comes from, best first. By reference: it was inferred (analysis/Islands).
enum class FunctionSource : uint8_t { Symbol, GoTable, Fde, Reference };

struct Function {
  AddrRange range;
  llvm::StringRef name; ///< empty when unknown
  FunctionSource source = FunctionSource::Fde;
  bool hasHiddenJump = false; ///< an indirect jump whose table was not found: any instruction of it may be a target
};

/// An instruction that a scan told to look at.
struct Remarkable {
  VAddr addr;
  uint8_t traits; ///< x64::Trait
  bool proven;
};

struct JumpTable {
  VAddr jump, table, base;
  uint8_t entrySize;          ///< 4: offsets from `base`; 8: addresses
  std::vector<VAddr> targets; ///< one for each entry
};

struct Coverage {
  uint64_t executable = 0; ///< bytes of the executable sections, or segments when there are no sections
  uint64_t proven = 0;     ///< bytes of proven instructions
  uint64_t padding = 0;    ///< nop, int3 or zero bytes between functions
  uint64_t possible = 0;   ///< bytes of instructions that are only possible
  uint64_t instructions = 0;

  /// Proven bytes and padding, of all.
  double share() const { return executable ? double(proven + padding) / double(executable) : 0; }
};

/// A symbol's name as a person reads it: C++'s and Rust's are demangled, others stay as they are.
std::string displayName(llvm::StringRef name);

/// A bit for each byte of a region, in words of 64. Untouched pages of it take no memory.
class BitMap {
public:
  explicit BitMap(uint64_t bits)
      : words(static_cast<uint64_t *>(std::calloc(bits / 64 + 1, sizeof(uint64_t)))), count(bits / 64 + 1) {
    if (!words)
      llvm::report_bad_alloc_error("no memory for the code map");
  }
  uint64_t &operator[](uint64_t word) { return words.get()[word]; }
  uint64_t operator[](uint64_t word) const { return words.get()[word]; }
  uint64_t size() const { return count; }
  bool test(uint64_t at) const { return words.get()[at / 64] >> (at % 64) & 1; }
  void set(uint64_t at) { words.get()[at / 64] |= uint64_t(1) << (at % 64); }

private:
  struct Free {
    void operator()(uint64_t *memory) const { std::free(memory); }
  };
  std::unique_ptr<uint64_t, Free> words;
  uint64_t count;
};

class CodeMap {
public:
  /// The bits of one executable segment's file-backed bytes.
  struct Region {
    AddrRange range;
    llvm::ArrayRef<uint8_t> bytes;
    BitMap proven, possible, targets;
  };

  std::vector<Region> regions;        ///< ascending
  std::vector<Function> functions;    ///< ascending by begin, one for each begin
  std::vector<Remarkable> remarkable; ///< ascending
  std::vector<uint64_t> calls;        ///< for callersOf: target << 32 | site, from `callBase`, ascending
  std::vector<VAddr> taken;           ///< addresses that code or data may hold, ascending
  std::vector<JumpTable> jumpTables;  ///< ascending by jump
  std::vector<AddrRange> unproven;    ///< bytes of executable sections that are neither proven nor padding
  Coverage coverage;

  const Region *regionAt(VAddr addr) const {
    for (const Region &region : regions)
      if (region.range.contains(addr))
        return &region;
    return nullptr;
  }

  /// Proven to be executed as the first byte of an instruction.
  bool isInstructionStart(VAddr addr) const { return test(addr, &Region::proven); }
  bool isPossibleStart(VAddr addr) const { return test(addr, &Region::proven) || test(addr, &Region::possible); }
  /// Something branches, calls or points to it: direct branches of proven and possible code, jump tables, roots,
  /// addresses taken in code and pointers found in data. See also Function::hasHiddenJump.
  bool isBranchTarget(VAddr addr) const { return test(addr, &Region::targets); }
  /// Not for use by more than one thread.
  void markTarget(VAddr addr) {
    for (Region &region : regions)
      if (region.range.contains(addr))
        region.targets.set(addr - region.range.begin);
  }
  /// A `hidden` target cannot be excluded at `addr`, because its function has an indirect jump that is not understood.
  bool mayBeHiddenTarget(VAddr addr) const {
    const Function *function = functionAt(addr);
    return !function || function->hasHiddenJump;
  }

  /// `addr` is the first or another byte of a known instruction.
  bool isInsideInstruction(VAddr addr) const;

  /// The bytes from `addr` to the end of its region; empty when it is not code.
  llvm::ArrayRef<uint8_t> bytesFrom(VAddr addr) const {
    const Region *region = regionAt(addr);
    return region ? region->bytes.drop_front(addr - region->range.begin) : llvm::ArrayRef<uint8_t>();
  }
  /// The shape of the instruction at `addr`, which need not be proven.
  x64::Shape shapeAt(VAddr addr) const { return x64::scan(bytesFrom(addr), addr); }

  /// The one known (proven, or with `wide` possible) instruction that ends where `addr` begins; nothing when there is
  /// none or more than one (a jump over a prefix).
  std::optional<VAddr> previousInstruction(VAddr addr, bool wide = false) const;
  /// The known instructions of [begin, end) in order.
  std::vector<VAddr> instructionsIn(AddrRange range, bool wide = false) const;
  /// The next known start at or after `addr`.
  std::optional<VAddr> nextStart(VAddr addr, bool wide = false) const;

  const Function *functionAt(VAddr addr) const;
  /// Direct calls of `target`, and jumps to it when a function begins there (tail calls) or no table tells of the
  /// function that it is in, ascending.
  std::vector<VAddr> callersOf(VAddr target) const;
  /// Distances in `calls` count from here. A program whose code spans 4 GiB or more has no calls in it.
  VAddr callBase() const { return regions.empty() ? VAddr() : regions.front().range.begin; }
  bool hasCalls() const {
    return !regions.empty() && regions.back().range.end - regions.front().range.begin <= UINT32_MAX;
  }
  /// "'set_self'+0x1c in .text" with names from symbols or Go's tables.
  std::string describe(const elf::Image &image, VAddr addr) const;
  /// "set_self", or "0x401000" as the name of a function that has none, or "" outside functions.
  std::string functionName(VAddr addr) const;

private:
  bool test(VAddr addr, BitMap Region::*bits) const {
    const Region *region = regionAt(addr);
    return region && (region->*bits).test(addr - region->range.begin);
  }
};

} // namespace osv

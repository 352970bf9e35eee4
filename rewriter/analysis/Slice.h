// SPDX-License-Identifier: BSD-3-Clause
//
// Which constants a register can hold at a place: a backward slice over the control flow of one function, and through
// its callers when the value is an argument. Not for other stages.
//
// Followed are moves, zero and sign extensions, `xor r,r`, conditional moves, push and pop, and stack slots relative to
// rsp or rbp; every predecessor counts (branches, fall-through, jump tables), so that a tail shared by several system
// calls yields all their numbers. Anything else makes the answer incomplete, never wrong.
#pragma once
#include "rewriter/Analysis.h"
#include "rewriter/CodeMap.h"
#include "rewriter/x64/Decode.h"
#include "llvm/ADT/DenseMap.h"
#include <set>

namespace osv::analysis {

/// Where a value is: in a register, or in a stack slot `offset` bytes above rsp or rbp.
struct Location {
  enum Kind : uint8_t { Register, StackSlot, FrameSlot } kind = Register;
  x64::Reg reg = x64::Reg::None;
  int64_t offset = 0;
  auto operator<=>(const Location &) const = default;

  static Location inRegister(x64::Reg reg) { return {Register, reg, 0}; }
};

/// The answer within one function.
struct LocalValues {
  std::set<int64_t> constants;
  std::set<std::pair<VAddr, Location>> arguments; ///< at which of the function's entries
  bool unknown = false;                           ///< it can also be something else
  VAddr unknownAt;                                ///< then: the instruction behind which it is not known
};

/// A constant with the call sites that pass it, innermost first.
struct ChainedConstant {
  int64_t value;
  std::vector<VAddr> chain;
};
struct ChainedValues {
  std::vector<ChainedConstant> constants;
  bool complete = true;
  UnknownCall unknown; ///< when not complete: the first reason; `site` is not set
};

class Slicer {
public:
  explicit Slicer(const CodeMap &map) : map(map) {}
  const CodeMap &code() const { return map; }

  /// The values of `location` right before the instruction at `addr`.
  LocalValues valuesAt(VAddr addr, Location location);
  /// The same with the values that callers pass.
  ChainedValues valuesThroughCallers(VAddr addr, Location location);

private:
  struct Graph { ///< of one function
    AddrRange range;
    llvm::DenseMap<uint64_t, llvm::SmallVector<VAddr, 2>> branchesTo;
  };
  const Graph &graphAt(VAddr addr);
  bool isEntry(VAddr addr, const Graph &graph);
  enum class Step { Constant, Moved, Unknown, Same };
  Step stepBack(const x64::Instruction &in, Location &location, int64_t &constant, std::optional<Location> &other);
  const std::vector<VAddr> &callersOf(VAddr function);
  void gather(VAddr addr, Location location, std::vector<VAddr> &chain, ChainedValues &result,
              std::set<std::pair<VAddr, Location>> &active);

  const CodeMap &map;
  size_t spent = 0;              ///< states of all slices so far
  std::map<VAddr, Graph> graphs; ///< by begin of range
  llvm::DenseMap<uint64_t, std::vector<VAddr>> callers;
};

} // namespace osv::analysis

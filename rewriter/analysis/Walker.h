// SPDX-License-Identifier: BSD-3-Clause
//
// The recursive descent itself. A walk marks the start of each instruction that it reaches and follows branches; what
// is marked is the closure of the roots, which does not depend on the order of walking, so that any number of threads
// gives the same result. What needs more than one instruction to understand (jump tables, pointers that are taken) is
// collected here and resolved by FindCode between two rounds of walking.
#pragma once
#include "rewriter/CodeMap.h"
#include "llvm/ADT/DenseSet.h"
#include <mutex>

namespace osv::analysis {

class Walker {
public:
  Walker(const elf::Image &image, CodeMap &map);

  struct Found {
    std::vector<Remarkable> remarkable;
    std::vector<VAddr> indirectJumps;
    std::vector<uint64_t> calls; ///< as CodeMap::calls, not sorted
    std::vector<VAddr> taken;    ///< addresses in executable segments that lea or mov mention, with repeats
    void append(Found &&other);
  };

  /// Walks from all of `roots` on several threads.
  Found walk(llvm::ArrayRef<VAddr> roots);

  /// The first `most` instructions that a walk from `root` would add, if they look like code all the way: nothing
  /// undefined, nothing that begins inside a known instruction, nothing privileged. Nothing when they do not.
  std::optional<std::vector<VAddr>> speculate(VAddr root, bool wide, size_t most = 4096) const;
  /// Marks what `speculate` gave as possible, and its branch targets.
  void commitPossible(llvm::ArrayRef<VAddr> starts, Found &found);

  void markTarget(VAddr addr);
  /// Whether an instruction that is known (proven, or with `wide` possible) covers `addr` without beginning there.
  bool isInsideInstruction(VAddr addr, bool wide) const;
  /// Calls to these do not come back.
  llvm::DenseSet<uint64_t> noReturn;
  /// Set at the first byte behind each function: a call right before does not come back either.
  std::vector<std::vector<uint64_t>> functionEnds;
  std::vector<std::vector<uint64_t>> functionBegins; ///< and at the first byte of each

private:
  struct Worker;
  void walkFrom(VAddr root, Worker &worker);
  CodeMap::Region *regionAt(VAddr addr) {
    for (CodeMap::Region &region : map.regions)
      if (region.range.contains(addr))
        return &region;
    return nullptr;
  }
  bool endsFunction(const CodeMap::Region &region, uint64_t at) const {
    const std::vector<uint64_t> &ends = functionEnds[&region - map.regions.data()];
    return ends[at / 64] >> (at % 64) & 1;
  }

  /// Notes a branch to `at` of `to` for callersOf, if it is a call or leads to the beginning of a function.
  void noteCall(bool isCall, const CodeMap::Region &to, uint64_t at, VAddr site, std::vector<uint64_t> &calls) const {
    const std::vector<uint64_t> &begins = functionBegins[&to - map.regions.data()];
    if (hasCalls && (isCall || (begins[at / 64] >> (at % 64) & 1)))
      calls.push_back((to.range.begin + at - map.callBase()) << 32 | (site - map.callBase()));
  }

  const elf::Image &image;
  CodeMap &map;
  bool isPie, hasCalls;
};

} // namespace osv::analysis

// SPDX-License-Identifier: BSD-3-Clause
//
// The recursive descent itself. A walk marks the start of each instruction that it reaches and follows branches; what
// is marked is the closure of the roots, which does not depend on the order of walking, so that any number of threads
// gives the same result. What needs more than one instruction to understand (jump tables, pointers that are taken) is
// collected here and resolved by FindCode between two rounds of walking.
#pragma once
#include "rewriter/CodeMap.h"
#include "rewriter/analysis/Islands.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>
#include <mutex>

namespace osv::analysis {

/// Addresses that are few among those asked about. A small table answers most questions, a search the rest: a bit for
/// each 16 bytes of address space, which wraps around, so that questions about neighbours stay in one cache line.
class AddressSet {
public:
  void assign(std::vector<VAddr> all) {
    llvm::sort(all);
    addresses = std::move(all);
    mask = llvm::PowerOf2Ceil(16 * (addresses.size() + 1)) - 1;
    table = BitMap(mask + 1);
    for (VAddr addr : addresses)
      table.set(addr.raw() / 16 & mask);
  }
  bool contains(VAddr addr) const {
    return table.test(addr.raw() / 16 & mask) && std::binary_search(addresses.begin(), addresses.end(), addr);
  }

private:
  std::vector<VAddr> addresses;
  uint64_t mask = 0;
  BitMap table{1};
};

class Walker {
public:
  Walker(const elf::Image &image, CodeMap &map);

  struct Found {
    std::vector<Remarkable> remarkable;
    std::vector<VAddr> indirectJumps;
    std::vector<uint64_t> calls; ///< as CodeMap::calls, not sorted
    std::vector<VAddr> taken;    ///< addresses in executable segments that lea or mov mention, with repeats
    std::vector<VAddr> ends;     ///< where proven code stops and nothing proven begins: measureCoverage looks there
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
  /// Takes those out of Found::ends where something begins by now.
  void pruneEnds(std::vector<VAddr> &ends) const {
    llvm::erase_if(ends, [&](VAddr end) { return map.isInstructionStart(end); });
  }
  /// Whether an instruction that is known (proven, or with `wide` possible) covers `addr` without beginning there.
  bool isInsideInstruction(VAddr addr, bool wide) const;
  /// Calls to these do not come back.
  llvm::DenseSet<uint64_t> noReturn;
  AddressSet functionBegins;
  Islands islands;
  AddressSet functionEnds; ///< the first byte behind each: a call right before does not come back either

private:
  struct Worker;
  void walkFrom(VAddr root, Worker &worker);
  CodeMap::Region *regionAt(VAddr addr) {
    for (CodeMap::Region &region : map.regions)
      if (region.range.contains(addr))
        return &region;
    return nullptr;
  }

  /// Notes a branch for callersOf, if it is a call or leads to the beginning of a function or into an island.
  void noteCall(bool isCall, VAddr target, VAddr site, std::vector<uint64_t> &calls) const {
    if (hasCalls && (isCall || functionBegins.contains(target) || islands.mayContain(target)))
      calls.push_back((target - map.callBase()) << 32 | (site - map.callBase()));
  }

  const elf::Image &image;
  CodeMap &map;
  bool isPie, hasCalls;
};

} // namespace osv::analysis

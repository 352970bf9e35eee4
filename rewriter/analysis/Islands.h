// SPDX-License-Identifier: BSD-3-Clause
//
// Functions of code that no table describes. Not for other stages than FindCode.
//
// An *island* is a stretch of executable bytes between the functions that symbols, FDEs and Go's tables tell of: the C
// library of a stripped program without unwind tables. What is proven there is cut into functions. See Islands.cpp for
// why that is good enough to move instructions.
#pragma once
#include "rewriter/CodeMap.h"

namespace osv::analysis {

class Islands {
public:
  Islands() = default;
  /// What `map.functions`, which are all that tables tell of, leave of the places where code can be.
  Islands(const elf::Image &image, const CodeMap &map);

  /// Quick and inexact: false means that `addr`, which must be in a region, is in no island.
  bool mayContain(VAddr addr) const { return !ranges.empty() && pages.test((addr - base) / kPage); }
  bool contains(VAddr addr) const;

  /// Adds the islands' functions to `map.functions`. Wants all that is proven, measured, and in `map.calls` all
  /// branches into islands, in any order. `begins` are where functions begin besides the targets of calls, and
  /// `pointers` where they do if something ends there; `openJumps` are the indirect jumps whose targets are not known.
  void inferFunctions(CodeMap &map, std::vector<VAddr> begins, llvm::ArrayRef<VAddr> pointers,
                      llvm::ArrayRef<VAddr> openJumps) const;

private:
  static constexpr uint64_t kPage = 4096;
  std::vector<AddrRange> ranges; ///< ascending
  VAddr base;                    ///< of the first page
  BitMap pages{1};               ///< those that have a byte of an island
};

} // namespace osv::analysis

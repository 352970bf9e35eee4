// SPDX-License-Identifier: BSD-3-Clause
//
// How much of the executable bytes is proven. Not for other stages than FindCode.
#pragma once
#include "rewriter/CodeMap.h"

namespace osv::analysis {

/// Where code can be: the executable sections; without section headers, which strip(1) keeps, or with ones that cannot
/// be true, the executable segments. Old linkers put read-only data into the segment of the code.
std::vector<AddrRange> codeRanges(const elf::Image &image, const CodeMap &map);

/// Fills map.coverage (but for `possible`) and map.unproven from the proven starts and from where the walks ended
/// (Walker::Found::ends), which are sorted and left without those that count no more.
void measureCoverage(const elf::Image &image, CodeMap &map, std::vector<VAddr> &ends);

/// Length of the nop, int3 or zero byte at the beginning of `bytes`; 0 when it is something else.
unsigned paddingLength(llvm::ArrayRef<uint8_t> bytes, VAddr addr);

} // namespace osv::analysis

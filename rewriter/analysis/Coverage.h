// SPDX-License-Identifier: BSD-3-Clause
//
// How much of the executable bytes is proven. Not for other stages than FindCode.
#pragma once
#include "rewriter/CodeMap.h"

namespace osv::analysis {

/// Fills map.coverage (but for `possible`) and map.unproven from the proven starts.
void measureCoverage(const elf::Image &image, CodeMap &map);

/// Length of the nop, int3 or zero byte at the beginning of `bytes`; 0 when it is something else.
unsigned paddingLength(llvm::ArrayRef<uint8_t> bytes, VAddr addr);

} // namespace osv::analysis

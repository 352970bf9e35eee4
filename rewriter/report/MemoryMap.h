// SPDX-License-Identifier: BSD-3-Clause
//
// The drawing of the program's memory in the HTML report. Not for other parts.
#pragma once
#include "rewriter/Context.h"
#include <set>

namespace osv::report {

/// Marks in the map that are among `places` lead to their disassembly.
void writeMemoryMap(const Context &context, const std::set<VAddr> &places, llvm::raw_ostream &os);

} // namespace osv::report

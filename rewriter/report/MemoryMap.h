// SPDX-License-Identifier: BSD-3-Clause
//
// The drawing of the program's memory in the HTML report. Not for other parts.
#pragma once
#include "rewriter/Context.h"

namespace osv::report {

void writeMemoryMap(const Context &context, llvm::raw_ostream &os);

} // namespace osv::report

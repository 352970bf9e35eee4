// SPDX-License-Identifier: BSD-3-Clause
#include "rewriter/report/Report.h"
namespace osv::report {
void writeHtml(const Context &context, llvm::raw_ostream &os) { writeText(context, os); }
} // namespace osv::report

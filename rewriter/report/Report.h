// SPDX-License-Identifier: BSD-3-Clause
//
// Views of one inspection: a screen of text, JSON (docs/analysis.md has the schema), SARIF 2.1.0 for code scanners, and
// one self-contained page of HTML. They show the same results and decide nothing.
#pragma once
#include "rewriter/Context.h"

namespace osv::report {

void writeText(const Context &context, llvm::raw_ostream &os);
void writeJson(const Context &context, llvm::raw_ostream &os);
void writeSarif(const Context &context, llvm::raw_ostream &os);
void writeHtml(const Context &context, llvm::raw_ostream &os);

/// Writes every report that the command line asks for; each to its file or to `os`.
llvm::Error writeReports(const Context &context, llvm::raw_ostream &os);

} // namespace osv::report

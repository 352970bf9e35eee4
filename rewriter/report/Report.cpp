// SPDX-License-Identifier: BSD-3-Clause
//
// Opens what the reports go to.
#include "rewriter/report/Report.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace osv::report {

static void write(const Context &context, ReportKind kind, raw_ostream &os) {
  switch (kind) {
  case ReportKind::Text:
    return writeText(context, os);
  case ReportKind::Json:
    return writeJson(context, os);
  case ReportKind::Sarif:
    return writeSarif(context, os);
  case ReportKind::Html:
    return writeHtml(context, os);
  }
}

Error writeReports(const Context &context, raw_ostream &os) {
  for (const Report &report : context.opts.reports) {
    if (report.file.empty()) {
      write(context, report.kind, os);
      continue;
    }
    std::error_code code;
    raw_fd_ostream file(report.file, code, sys::fs::OF_Text);
    if (!code) {
      write(context, report.kind, file);
      file.close();
      code = file.error();
      file.clear_error();
    }
    if (code)
      return findingError(DiagId::OutputIO, "cannot write the report '" + report.file + "': " + code.message());
  }
  return Error::success();
}

} // namespace osv::report

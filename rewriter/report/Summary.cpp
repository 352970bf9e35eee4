// SPDX-License-Identifier: BSD-3-Clause
//
// Shared between the reports; see Summary.h.
#include "rewriter/report/Summary.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;

namespace osv::report {

const char *kindName(elf::Kind kind) {
  switch (kind) {
  case elf::Kind::Static:
    return "static";
  case elf::Kind::StaticPie:
    return "static-pie";
  case elf::Kind::GoPie:
    return "Go PIE";
  }
  llvm_unreachable("covered switch");
}

const char *severityName(Severity severity) {
  return severity >= Severity::Error ? "error" : severity == Severity::Warning ? "warning" : "note";
}

const char *providedName(Provided provided) {
  return provided == Provided::Full ? "full" : provided == Provided::Partial ? "partial" : "none";
}

std::string callName(int64_t number) {
  const char *name = syscallName(number);
  return name ? name : std::to_string(number);
}

FsSummary summariseFs(const Analysis &analysis) {
  FsSummary summary;
  for (const FsAccess &access : analysis.fs)
    summary.counts[unsigned(access.kind)]++;
  summary.total = unsigned(analysis.fs.size());
  return summary;
}

std::string tlsSymbolAt(const elf::Image &image, int64_t offset) {
  if (!image.tls)
    return "";
  int64_t size = int64_t(alignTo(image.tls->memsz, std::max<uint64_t>(image.tls->align, 1)));
  int64_t inTemplate = size + offset;
  for (const elf::Symbol &symbol : image.symbols) {
    int64_t begin = int64_t(symbol.addr.raw());
    if (symbol.isTls() && begin <= inTemplate && inTemplate < begin + int64_t(std::max<uint64_t>(symbol.size, 1)))
      return symbol.name.str();
  }
  return "";
}

} // namespace osv::report

// SPDX-License-Identifier: BSD-3-Clause
//
// Shared between the reports; see Summary.h.
#include "rewriter/report/Summary.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLExtras.h"

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

TlsSymbols::TlsSymbols(const elf::Image &image) {
  if (!image.tls)
    return;
  blockSize = image.tls->blockSize();
  for (const elf::Symbol &symbol : image.symbols)
    if (symbol.isTls())
      symbols.push_back(&symbol);
}

const elf::Symbol *TlsSymbols::at(int64_t offset) const {
  VAddr place(blockSize + uint64_t(offset));
  auto next = partition_point(symbols, [&](const elf::Symbol *symbol) { return symbol->addr <= place; });
  if (next == symbols.begin())
    return nullptr;
  const elf::Symbol *symbol = *(next - 1);
  return place - symbol->addr < std::max<uint64_t>(symbol->size, 1) ? symbol : nullptr;
}

std::map<std::string, unsigned> countTlsVariables(const Context &context) {
  TlsSymbols symbols(context.image);
  DenseMap<const elf::Symbol *, unsigned> counts;
  for (const FsAccess &access : context.analysis.fs)
    if (access.kind == FsClass::LocalExec)
      if (const elf::Symbol *symbol = symbols.at(access.offset))
        counts[symbol]++;
  std::map<std::string, unsigned> names;
  for (auto [symbol, count] : counts)
    names[displayName(symbol->name)] += count;
  return names;
}

} // namespace osv::report

// SPDX-License-Identifier: BSD-3-Clause
//
// What more than one report says, in one place. Not for other parts.
#pragma once
#include "rewriter/Context.h"
#include <map>

namespace osv::report {

inline constexpr int kSchemaVersion = 1;

/// "static", "static-pie", "Go PIE".
const char *kindName(elf::Kind kind);
const char *severityName(Severity severity);
const char *providedName(Provided provided);
/// "SYS_write", or the number of a call without a name.
std::string callName(int64_t number);

/// Accesses through FS by class, and which functions have most of a class.
struct FsSummary {
  std::array<unsigned, kNumFsClasses> counts{};
  unsigned total = 0;
};
FsSummary summariseFs(const Analysis &analysis);

/// The thread-local variables that have a symbol.
class TlsSymbols {
public:
  explicit TlsSymbols(const elf::Image &image);
  /// The one that a local-exec access at `offset` from the thread pointer uses; null when there is none.
  const elf::Symbol *at(int64_t offset) const;

private:
  uint64_t blockSize = 0;
  std::vector<const elf::Symbol *> symbols; ///< by their place in the template
};

/// Which variables local-exec accesses use, by name, and how often.
std::map<std::string, unsigned> countTlsVariables(const Context &context);

} // namespace osv::report

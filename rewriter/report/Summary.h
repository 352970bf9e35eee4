// SPDX-License-Identifier: BSD-3-Clause
//
// What more than one report says, in one place. Not for other parts.
#pragma once
#include "rewriter/Context.h"
#include "llvm/ADT/StringMap.h"

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

/// The TLS symbol that a local-exec access names; empty when there is none.
std::string tlsSymbolAt(const elf::Image &image, int64_t offset);

} // namespace osv::report

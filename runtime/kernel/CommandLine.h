// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's command line (keys: abi/Console.h).
#pragma once
#include "kernel/lib/Result.h"
#include <span>
#include <string_view>

namespace osv {

/// Remembers the command line; the bytes must stay where they are.
void setCommandLine(std::string_view line);
/// The whole of it.
std::string_view commandLine();
/// The value of the last word `key=value`, still encoded; false when there is none.
bool commandLineValue(std::string_view key, std::string_view &value);
/// As a decimal number; `fallback` when absent or malformed (which is logged).
uint64_t commandLineNumber(std::string_view key, uint64_t fallback);

/// Walks the comma-separated list `encoded`, decoding %XX into `buffer` item by item: returns false at the end. An item
/// that does not fit is E2BIG.
class ListReader {
public:
  explicit ListReader(std::string_view encoded) : rest(encoded), more(!encoded.empty()) {}
  bool atEnd() const { return !more; }
  /// Decodes the next item into `out` without a NUL; returns its length.
  Result<size_t> next(std::span<char> out);

private:
  std::string_view rest;
  bool more;
};

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Parsing of the kernel's command line. Needs no heap: it is read before there is one.
#include "kernel/CommandLine.h"
#include "kernel/lib/Log.h"

namespace osv {
namespace {

std::string_view line;

int hexDigit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

} // namespace

void setCommandLine(std::string_view l) { line = l; }
std::string_view commandLine() { return line; }

bool commandLineValue(std::string_view key, std::string_view &value) {
  bool found = false;
  for (size_t i = 0; i < line.size();) {
    size_t end = line.find(' ', i);
    if (end == std::string_view::npos)
      end = line.size();
    std::string_view word = line.substr(i, end - i);
    if (word.size() > key.size() && word.starts_with(key) && word[key.size()] == '=') {
      value = word.substr(key.size() + 1);
      found = true;
    }
    i = end + 1;
  }
  return found;
}

uint64_t commandLineNumber(std::string_view key, uint64_t fallback) {
  std::string_view text;
  if (!commandLineValue(key, text))
    return fallback;
  uint64_t n = 0;
  for (char c : text) {
    if (c < '0' || c > '9' || __builtin_mul_overflow(n, uint64_t{10}, &n) ||
        __builtin_add_overflow(n, static_cast<uint64_t>(c - '0'), &n)) {
      log(LogLevel::Warn, "command line: '{}={}' is not a number", key, text);
      return fallback;
    }
  }
  return text.empty() ? fallback : n;
}

Result<size_t> ListReader::next(std::span<char> out) {
  size_t end = rest.find(',');
  std::string_view item = rest.substr(0, end);
  more = end != std::string_view::npos;
  rest = more ? rest.substr(end + 1) : std::string_view();
  size_t used = 0;
  for (size_t i = 0; i < item.size(); i++) {
    char c = item[i];
    if (c == '%' && i + 2 < item.size() + 0 && hexDigit(item[i + 1]) >= 0 && hexDigit(item[i + 2]) >= 0) {
      c = static_cast<char>(hexDigit(item[i + 1]) * 16 + hexDigit(item[i + 2]));
      i += 2;
    }
    if (used == out.size())
      return Errno::TooBig;
    out[used++] = c;
  }
  return used;
}

} // namespace osv

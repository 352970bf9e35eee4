// SPDX-License-Identifier: BSD-3-Clause
//
// The formatter behind log(), panic() and /proc: decides how each kind of argument looks. Needs no heap, no lock and no
// floating point.
#include "kernel/lib/Log.h"

namespace osv {
namespace {

/// Appends to a fixed buffer and silently stops at its end.
struct Sink {
  std::span<char> out;
  size_t used = 0;
  void put(char c) {
    if (used < out.size())
      out[used++] = c;
  }
  void put(std::string_view s) {
    for (char c : s)
      put(c);
  }
  void putNumber(uint64_t n, unsigned base) {
    char digits[20];
    unsigned count = 0;
    do {
      digits[count++] = "0123456789abcdef"[n % base];
      n /= base;
    } while (n);
    while (count)
      put(digits[--count]);
  }
};

void putArg(Sink &sink, const FormatArg &arg, std::string_view spec) {
  if (spec == "c")
    return sink.put(static_cast<char>(arg.value));
  if (spec == "x" || arg.kind == FormatArg::Kind::Hex) {
    sink.put("0x");
    return sink.putNumber(arg.value, 16);
  }
  switch (arg.kind) {
  case FormatArg::Kind::Text:
    return sink.put(arg.text());
  case FormatArg::Kind::Signed:
    if (static_cast<int64_t>(arg.value) < 0) {
      sink.put('-');
      return sink.putNumber(0 - arg.value, 10);
    }
    [[fallthrough]];
  default:
    return sink.putNumber(arg.value, 10);
  }
}

} // namespace

size_t formatArgs(std::span<char> out, std::string_view fmt, FormatArgs args) {
  Sink sink{out};
  const FormatArg *next = args.begin();
  for (size_t i = 0; i < fmt.size(); i++) {
    if (fmt[i] != '{') {
      sink.put(fmt[i]);
      continue;
    }
    size_t close = fmt.find('}', i);
    if (close == std::string_view::npos || next == args.end()) {
      sink.put(fmt.substr(i));
      break;
    }
    putArg(sink, *next++, fmt.substr(i + 1, close - i - 1));
    i = close;
  }
  return sink.used;
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Log lines: "[seconds.micros] text". Formatting in Format.cpp, output in dev/Console.
#include "kernel/lib/Log.h"
#include "kernel/arch/Clock.h"
#include "kernel/dev/Console.h"

namespace osv {

LogLevel logLevel = LogLevel::Info;

void logLine(LogLevel level, std::string_view fmt, FormatArgs args) {
  if (level > logLevel)
    return;
  char line[256];
  uint64_t micros = static_cast<uint64_t>(arch::now()) / 1000;
  uint64_t fraction = micros % 1'000'000;
  char digits[6];
  for (int i = 5; i >= 0; i--, fraction /= 10)
    digits[i] = static_cast<char>('0' + fraction % 10);
  static constexpr std::string_view kNames[] = {"error: ", "warning: ", "", "debug: "};
  size_t n =
      format(line, "[{}.{}] {}", micros / 1'000'000, std::string_view(digits, 6), kNames[static_cast<unsigned>(level)]);
  n += formatArgs(std::span(line).subspan(n, sizeof line - 1 - n), fmt, args);
  line[n++] = '\n';
  console::writeLog({line, n});
}

} // namespace osv

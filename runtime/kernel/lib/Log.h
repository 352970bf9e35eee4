// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's log and its assertions. Formatting is type-safe and needs no heap: "{}" takes the next argument
// (integers, strings, pointers, VAddr/PAddr in hex), "{x}" prints an integer in hex with 0x, "{c}" a character. Lines
// go to the `Log` stream of the console (abi/Console.h), never among the program's output. Callable from any context,
// interrupts on or off, any lock held.
#pragma once
#include "kernel/lib/Result.h"
#include "kernel/lib/Types.h"
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace osv {

enum class LogLevel : uint8_t { Error, Warn, Info, Debug };
extern LogLevel logLevel; ///< from osv.log=; messages above it are dropped

/// One formatting argument, erased.
struct FormatArg {
  enum class Kind : uint8_t { Signed, Unsigned, Hex, Text } kind;
  uint64_t number = 0;
  std::string_view text;
  template <std::signed_integral T>
  FormatArg(T v) : kind(Kind::Signed), number(static_cast<uint64_t>(static_cast<int64_t>(v))) {}
  template <std::unsigned_integral T> FormatArg(T v) : kind(Kind::Unsigned), number(v) {}
  FormatArg(bool v) : kind(Kind::Text), text(v ? "true" : "false") {}
  FormatArg(const char *s) : kind(Kind::Text), text(s ? s : "(null)") {}
  FormatArg(std::string_view s) : kind(Kind::Text), text(s) {}
  FormatArg(const void *p) : kind(Kind::Hex), number(reinterpret_cast<uint64_t>(p)) {}
  template <typename Tag> FormatArg(Address<Tag> a) : kind(Kind::Hex), number(a.value) {}
  FormatArg(Errno e) : kind(Kind::Signed), number(static_cast<uint64_t>(e)) {}
};

/// Formats into `out` (never beyond it, not NUL-terminated) and returns the number of bytes written.
size_t formatArgs(std::span<char> out, std::string_view fmt, std::span<const FormatArg> args);
template <typename... Ts> size_t format(std::span<char> out, std::string_view fmt, const Ts &...ts) {
  const FormatArg args[] = {FormatArg(ts)..., FormatArg(0)};
  return formatArgs(out, fmt, std::span(args, sizeof...(ts)));
}

void logLine(LogLevel level, std::string_view fmt, std::span<const FormatArg> args);
template <typename... Ts> void log(LogLevel level, std::string_view fmt, const Ts &...ts) {
  if (level > logLevel)
    return;
  const FormatArg args[] = {FormatArg(ts)..., FormatArg(0)};
  logLine(level, fmt, std::span(args, sizeof...(ts)));
}

/// Ends the machine: message, registers and backtrace go to the log, then an Exit frame of kind kPanicked.
[[noreturn]] void panicArgs(std::string_view fmt, std::span<const FormatArg> args);
template <typename... Ts> [[noreturn]] void panic(std::string_view fmt, const Ts &...ts) {
  const FormatArg args[] = {FormatArg(ts)..., FormatArg(0)};
  panicArgs(fmt, std::span(args, sizeof...(ts)));
}

[[noreturn]] void verifyFailed(const char *expr, const char *file, int line);
/// Stays on in release builds. For our bugs only, never for the program's input.
#define VERIFY(cond) (__builtin_expect(!!(cond), 1) ? void() : ::osv::verifyFailed(#cond, __FILE_NAME__, __LINE__))

} // namespace osv

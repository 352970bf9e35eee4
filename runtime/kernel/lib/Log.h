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
#include <initializer_list>
#include <span>
#include <string_view>

namespace osv {

enum class LogLevel : uint8_t { Error, Warn, Info, Debug };
extern LogLevel logLevel; ///< from osv.log=; messages above it are dropped

/// One formatting argument, erased. Small, because every caller of log() builds an array of them.
struct FormatArg {
  enum class Kind : uint8_t { Signed, Unsigned, Hex, Text };
  uint64_t value; ///< the number, or where the text is
  uint32_t length = 0;
  Kind kind;
  template <std::signed_integral T>
  FormatArg(T v) : value(static_cast<uint64_t>(static_cast<int64_t>(v))), kind(Kind::Signed) {}
  template <std::unsigned_integral T> FormatArg(T v) : value(v), kind(Kind::Unsigned) {}
  FormatArg(bool v) : FormatArg(std::string_view(v ? "true" : "false")) {}
  FormatArg(const char *s) : FormatArg(std::string_view(s ? s : "(null)")) {}
  FormatArg(std::string_view s)
      : value(reinterpret_cast<uint64_t>(s.data())), length(static_cast<uint32_t>(s.size())), kind(Kind::Text) {}
  FormatArg(const void *p) : value(reinterpret_cast<uint64_t>(p)), kind(Kind::Hex) {}
  template <typename Tag> FormatArg(Address<Tag> a) : value(a.value), kind(Kind::Hex) {}
  FormatArg(Errno e) : value(static_cast<uint64_t>(e)), kind(Kind::Signed) {}
  std::string_view text() const { return {reinterpret_cast<const char *>(value), length}; }
};
using FormatArgs = std::initializer_list<FormatArg>;

// The templates are always inline: a call is then the array and one argument list, not a function for each list of
// types.

/// Formats into `out` (never beyond it, not NUL-terminated) and returns the number of bytes written.
size_t formatArgs(std::span<char> out, std::string_view fmt, FormatArgs args);
template <typename... Ts>
[[gnu::always_inline]] inline size_t format(std::span<char> out, std::string_view fmt, const Ts &...ts) {
  return formatArgs(out, fmt, {FormatArg(ts)...});
}

[[gnu::cold]] void logLine(LogLevel level, std::string_view fmt, FormatArgs args);
template <typename... Ts>
[[gnu::always_inline]] inline void log(LogLevel level, std::string_view fmt, const Ts &...ts) {
  logLine(level, fmt, {FormatArg(ts)...});
}

/// Ends the machine: message, registers and backtrace go to the log, then an Exit frame of kind kPanicked.
[[noreturn, gnu::cold]] void panicArgs(std::string_view fmt, FormatArgs args);
template <typename... Ts> [[noreturn, gnu::always_inline]] inline void panic(std::string_view fmt, const Ts &...ts) {
  panicArgs(fmt, {FormatArg(ts)...});
}

[[noreturn, gnu::cold]] void verifyFailed(const char *expr, const char *file, int line);
/// Stays on in release builds. For our bugs only, never for the program's input.
#define VERIFY(cond) (__builtin_expect(!!(cond), 1) ? void() : ::osv::verifyFailed(#cond, __FILE_NAME__, __LINE__))

} // namespace osv

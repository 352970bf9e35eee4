// SPDX-License-Identifier: BSD-3-Clause
//
// The end of the machine by a bug of ours: message, registers, backtrace of kernel and program frames (addresses;
// osv-run symbolises them). Works in any state: polled console, no heap, no lock that could be held, program memory
// only through fault-proof copies.
#include "kernel/Main.h"
#include "kernel/arch/Cpu.h"
#include "kernel/arch/UserCopy.h"
#include "kernel/dev/Console.h"
#include "kernel/lib/Log.h"
#include "kernel/lib/SpinLock.h"
#include <atomic>

namespace osv {
namespace {

std::atomic<bool> panicking{false};
inline constexpr unsigned kMaxFrames = 48;

/// Follows saved frame pointers from `rbp`; kernel and program code alike, as far as they keep them.
unsigned walk(uint64_t rip, uint64_t rbp, std::span<uint64_t> out) {
  unsigned count = 0;
  out[count++] = rip;
  uint64_t pair[2];
  while (count < out.size() && rbp && rbp % 8 == 0 &&
         arch::osv_user_copy(pair, reinterpret_cast<const void *>(rbp), sizeof pair) == 0) {
    if (pair[1] == 0)
      break;
    out[count++] = pair[1];
    if (pair[0] <= rbp)
      break;
    rbp = pair[0];
  }
  return count;
}

[[noreturn]] void finish(uint64_t rip, uint64_t rbp) {
  uint64_t addresses[kMaxFrames];
  unsigned count = walk(rip, rbp, addresses);
  for (unsigned i = 0; i < count; i++)
    log(LogLevel::Error, "  #{} {}", i, VAddr(addresses[i]));
  console::sendBacktrace({addresses, count});
  console::drain();
  console::sendExit(abi::kPanicked, 0);
  arch::powerOff();
}

void begin() {
  arch::disableInterrupts();
  gate().preemptCount++;
  if (panicking.exchange(true)) {
    // A panic while panicking: say no more than that we end.
    console::sendExit(abi::kPanicked, 1);
    arch::powerOff();
  }
}

} // namespace

void panicArgs(std::string_view fmt, FormatArgs args) {
  begin();
  char text[256];
  size_t n = formatArgs(text, fmt, args);
  log(LogLevel::Error, "kernel panic: {}", std::string_view(text, n));
  finish(reinterpret_cast<uint64_t>(__builtin_return_address(0)),
         reinterpret_cast<uint64_t>(__builtin_frame_address(0)));
}

void verifyFailed(const char *expr, const char *file, int line) {
  panic("VERIFY({}) failed at {}:{}", expr, file, line);
}

void panicAt(const Frame &f, std::string_view what) {
  begin();
  log(LogLevel::Error, "kernel panic: {}: vector {} error {x}", what, f.vector, f.error);
  log(LogLevel::Error, "  rip {x} rsp {x} rflags {x}", f.rip, f.rsp, f.rflags);
  log(LogLevel::Error, "  rax {x} rbx {x} rcx {x} rdx {x}", f.rax, f.rbx, f.rcx, f.rdx);
  log(LogLevel::Error, "  rsi {x} rdi {x} rbp {x} r8 {x}", f.rsi, f.rdi, f.rbp, f.r8);
  log(LogLevel::Error, "  r9 {x} r10 {x} r11 {x} r12 {x}", f.r9, f.r10, f.r11, f.r12);
  log(LogLevel::Error, "  r13 {x} r14 {x} r15 {x}", f.r13, f.r14, f.r15);
  finish(f.rip, f.rbp);
}

} // namespace osv

/// libc++'s own checks (a span or string_view used beyond its end) are bugs of ours too.
_LIBCPP_BEGIN_NAMESPACE_STD
void __libcpp_verbose_abort(const char *message, ...) { ::osv::panic("libc++: {}", message); }
_LIBCPP_END_NAMESPACE_STD

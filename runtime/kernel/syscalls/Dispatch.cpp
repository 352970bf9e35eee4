// SPDX-License-Identifier: BSD-3-Clause
//
// From a number to its handler: an adapter for each row of abi/Syscalls.def, and what happens to a call without one.
//
// The tables that name the adapters are not here: osv-rewrite makes them for each image
// (rewriter/link/SyscallTable.cpp), so that the linker drops the handlers that an image does without.
// `osv_syscall_table` has for each number the address that the gate calls:
//
//   osv_syscall_NAME    a plain handler (OSV_CALL), reached straight from the gate through a `preserve_most` adapter:
//                       registers to typed parameters, Result<long> to a negated errno. That convention is why the gate
//                       saves no registers; the adapter saves what its handler really uses.
//   osv_frame_call      builds the full register frame first. A handler that needs it (OSV_FRAME) is found in
//                       `osv_frame_handlers`; any other number is not implemented.
//   osv_left_out_call   the same for a number whose handler is not in this image.
//
// While tracing, every call goes through osv_frame_call.
#include "kernel/syscalls/Dispatch.h"
#include "abi/AsmOffsets.h"
#include "abi/SyscallTable.h"
#include "kernel/arch/Trap.h"
#include "kernel/lib/Log.h"
#include "kernel/sched/Thread.h"
#include "kernel/syscalls/Handlers.h"
#include "kernel/syscalls/Trivial.h"
#include <atomic>

namespace osv {
namespace {

[[gnu::always_inline]] inline long negated(Result<long> r) {
  if (r.ok()) [[likely]]
    return *r;
  return -static_cast<long>(r.error());
}

/// Calls a handler by its parameter types, with what stands before the six registers.
template <auto Fn> struct Adapter;
template <typename... As, Result<long> (*Fn)(As...)> struct Adapter<Fn> {
  template <size_t... I> [[gnu::always_inline]] static long apply(const long (&a)[6], std::index_sequence<I...>) {
    return negated(Fn(As(static_cast<std::conditional_t<std::is_integral_v<As>, As, uint64_t>>(a[I]))...));
  }
  [[gnu::always_inline]] static long call(const long (&a)[6]) { return apply(a, std::index_sequence_for<As...>()); }
};
template <auto Fn> struct FrameAdapter;
template <typename... As, Result<long> (*Fn)(Frame &, As...)> struct FrameAdapter<Fn> {
  template <size_t... I>
  [[gnu::always_inline]] static long apply(Frame &f, const long (&a)[6], std::index_sequence<I...>) {
    return negated(Fn(f, As(static_cast<std::conditional_t<std::is_integral_v<As>, As, uint64_t>>(a[I]))...));
  }
  [[gnu::always_inline]] static long call(Frame &f) {
    const long a[6] = {long(f.rdi), long(f.rsi), long(f.rdx), long(f.r10), long(f.r8), long(f.r9)};
    return apply(f, a, std::index_sequence_for<As...>());
  }
};

typedef long (*DirectHandler)(long, long, long, long, long, long) __attribute__((preserve_most));

} // namespace

extern "C" {
#define OSV_CALL(nr, sysname, status, parameters)                                                                      \
  [[clang::preserve_most]] long osv_syscall_##sysname(long a0, long a1, long a2, long a3, long a4, long a5) {          \
    return Adapter<sys_##sysname>::call({a0, a1, a2, a3, a4, a5});                                                     \
  }
#define OSV_FRAME(nr, sysname, status, parameters)                                                                     \
  long osv_syscall_##sysname(Frame &frame) { return FrameAdapter<sys_##sysname>::call(frame); }
#include "abi/Syscalls.def"

// gates.S
[[clang::preserve_most]] long osv_frame_call(long, long, long, long, long, long);
[[clang::preserve_most]] long osv_left_out_call(long, long, long, long, long, long);

// Made by osv-rewrite. Indexed by the gate; writable only for traceSyscalls.
extern DirectHandler osv_syscall_table[SYSCALL_COUNT];
extern const abi::FrameHandler osv_frame_handlers[]; ///< ends with a null handler
}

namespace {

/// The names of all numbers, one after the other, each with a NUL; those without a name are empty.
consteval size_t namesSize() {
  size_t size = SYSCALL_COUNT;
#define OSV_NONE(nr, sysname) size += sizeof #sysname - 1;
#define OSV_CALL(nr, sysname, status, parameters) OSV_NONE(nr, sysname)
#define OSV_FRAME(nr, sysname, status, parameters) OSV_NONE(nr, sysname)
#include "abi/Syscalls.def"
  return size;
}
consteval auto makeNames() {
  struct {
    char text[namesSize()] = {};
  } names;
  size_t at = 0, row = 0;
  auto add = [&](size_t nr, std::string_view name) {
    for (at += nr - row, row = nr + 1; char c : name)
      names.text[at++] = c;
    at++;
  };
#define OSV_NONE(nr, sysname) add(nr, #sysname);
#define OSV_CALL(nr, sysname, status, parameters) OSV_NONE(nr, sysname)
#define OSV_FRAME(nr, sysname, status, parameters) OSV_NONE(nr, sysname)
#include "abi/Syscalls.def"
  return names;
}
constexpr auto names = makeNames();

DirectHandler traced[SYSCALL_COUNT]; ///< osv_syscall_table as it was; when `tracing`
bool tracing = false;

DirectHandler entryOf(uint32_t nr) {
  return nr >= SYSCALL_COUNT ? &osv_frame_call : tracing ? traced[nr] : osv_syscall_table[nr];
}

/// Calls that were made and have no handler; numbers beyond the table are counted together.
std::atomic<uint32_t> refused[SYSCALL_COUNT + 1];

/// Why `nr` has no handler.
std::string_view reasonOf(uint32_t nr) {
  return entryOf(nr) == &osv_left_out_call ? "left out by --syscalls=reachable" : "unimplemented";
}

long refuse(uint32_t nr) {
  if (refused[nr < SYSCALL_COUNT ? nr : SYSCALL_COUNT].fetch_add(1, std::memory_order_relaxed) == 0)
    log(LogLevel::Info, "{}: {}({})", reasonOf(nr), syscallName(nr), nr);
  return -long{ENOSYS};
}

/// What osv_frame_call is for when there is no tracing.
[[gnu::always_inline]] inline long callFrameHandler(uint32_t nr, Frame &f) {
  for (const abi::FrameHandler *h = osv_frame_handlers; h->handler; h++)
    if (h->number == nr)
      return reinterpret_cast<long (*)(Frame &)>(h->handler)(f);
  return refuse(nr);
}

[[gnu::noinline]] void callTraced(uint32_t nr, Frame &f) {
  log(LogLevel::Info, "[{}] {}({x}, {x}, {x}, {x}, {x}, {x}) ...", current().tid, syscallName(nr), f.rdi, f.rsi, f.rdx,
      f.r10, f.r8, f.r9);
  DirectHandler entry = entryOf(nr);
  bool direct = entry != &osv_frame_call && entry != &osv_left_out_call;
  long result = direct ? entry(long(f.rdi), long(f.rsi), long(f.rdx), long(f.r10), long(f.r8), long(f.r9))
                       : callFrameHandler(nr, f);
  f.rax = static_cast<uint64_t>(result);
  log(LogLevel::Info, "[{}] {} = {}", current().tid, syscallName(nr), result);
}

} // namespace

extern "C" {
/// Counted by osv_gate_syscall: calls that came through the SYSCALL instruction instead of a rewritten site.
uint64_t osv_native_syscalls = 0;

/// The full-frame way (gates.S). Interrupts on.
void osv_syscall_frame(Frame *f) {
  uint32_t nr = static_cast<uint32_t>(f->error);
  if (tracing) [[unlikely]]
    callTraced(nr, *f);
  else
    f->rax = static_cast<uint64_t>(callFrameHandler(nr, *f));
}
}

std::string_view syscallName(unsigned nr) {
  if (nr >= SYSCALL_COUNT)
    return "?";
  std::string_view rest(names.text, sizeof names.text);
  while (nr--)
    rest.remove_prefix(rest.find('\0') + 1);
  std::string_view name = rest.substr(0, rest.find('\0'));
  return name.empty() ? "?" : name;
}

void reportUnimplemented() {
  for (unsigned nr = 0; nr < SYSCALL_COUNT; nr++)
    if (uint32_t n = refused[nr].load(std::memory_order_relaxed))
      log(LogLevel::Info, "{}: {}({}) x{}", reasonOf(nr), syscallName(nr), nr, n);
  if (uint32_t n = refused[SYSCALL_COUNT].load(std::memory_order_relaxed))
    log(LogLevel::Info, "unimplemented: numbers beyond the table x{}", n);
  log(LogLevel::Info, "system calls through SYSCALL: {}", osv_native_syscalls);
}

void traceSyscalls() {
  for (unsigned nr = 0; nr < SYSCALL_COUNT; nr++)
    traced[nr] = std::exchange(osv_syscall_table[nr], &osv_frame_call);
  tracing = true;
}

} // namespace osv

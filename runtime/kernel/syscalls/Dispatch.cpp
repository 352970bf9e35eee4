// SPDX-License-Identifier: BSD-3-Clause
//
// The dispatch table of the system-call gate, made from abi/Syscalls.def.
//
// Plain handlers (OSV_CALL) are reached straight from the gate through a `preserve_most` adapter: registers to typed
// parameters, Result<long> to a negated errno. That convention is why the gate saves no registers; the adapter saves
// what its handler really uses. Frame handlers (OSV_FRAME), unknown numbers and everything while tracing go through
// osv_frame_call, which builds the full register frame first.
#include "kernel/syscalls/Dispatch.h"
#include "abi/AsmOffsets.h"
#include "kernel/arch/Trap.h"
#include "kernel/lib/Log.h"
#include "kernel/sched/Thread.h"
#include "kernel/syscalls/Handlers.h"
#include "kernel/syscalls/Trivial.h"
#include <atomic>

namespace osv {
namespace {

[[maybe_unused]] long negated(Result<long> r) { return r.ok() ? *r : -static_cast<long>(r.error()); }

/// Adapters for one handler, by its parameter types.
template <auto Fn> struct Adapter;
template <typename... As, Result<long> (*Fn)(As...)> struct Adapter<Fn> {
  template <size_t... I> [[gnu::always_inline]] static long apply(const long (&a)[6], std::index_sequence<I...>) {
    return negated(Fn(As(static_cast<std::conditional_t<std::is_integral_v<As>, As, uint64_t>>(a[I]))...));
  }
  /// No frame pointer: it would be half of the smallest handlers, and the gate's frame is not a C++ one anyway.
  [[clang::preserve_most]] static long direct(long a0, long a1, long a2, long a3, long a4, long a5) {
    const long a[6] = {a0, a1, a2, a3, a4, a5};
    return apply(a, std::index_sequence_for<As...>());
  }
  static long framed(Frame &f) {
    const long a[6] = {long(f.rdi), long(f.rsi), long(f.rdx), long(f.r10), long(f.r8), long(f.r9)};
    return apply(a, std::index_sequence_for<As...>());
  }
};
template <auto Fn> struct FrameAdapter;
template <typename... As, Result<long> (*Fn)(Frame &, As...)> struct FrameAdapter<Fn> {
  template <size_t... I> static long apply(Frame &f, const long (&a)[6], std::index_sequence<I...>) {
    return negated(Fn(f, As(static_cast<std::conditional_t<std::is_integral_v<As>, As, uint64_t>>(a[I]))...));
  }
  static long framed(Frame &f) {
    const long a[6] = {long(f.rdi), long(f.rsi), long(f.rdx), long(f.r10), long(f.r8), long(f.r9)};
    return apply(f, a, std::index_sequence_for<As...>());
  }
};

struct Descriptor {
  const char *name = nullptr;
  long (*framed)(Frame &) = nullptr; ///< null: not provided
};

typedef long (*DirectHandler)(long, long, long, long, long, long) __attribute__((preserve_most));
extern "C" [[clang::preserve_most]] long osv_frame_call(long, long, long, long, long, long);

consteval auto makeDescriptors() {
  struct {
    Descriptor at[SYSCALL_COUNT];
  } table;
#define OSV_NONE(nr, sysname) table.at[nr].name = #sysname;
#define OSV_CALL(nr, sysname, status, parameters) table.at[nr] = {#sysname, Adapter<sys_##sysname>::framed};
#define OSV_FRAME(nr, sysname, status, parameters) table.at[nr] = {#sysname, FrameAdapter<sys_##sysname>::framed};
#include "abi/Syscalls.def"
  return table;
}
constexpr auto descriptors = makeDescriptors();

std::atomic<uint32_t> unimplementedCount[SYSCALL_COUNT];
std::atomic<uint32_t> unknownCount{0};
bool tracing = false;

void noteUnimplemented(uint64_t nr) {
  auto &count = nr < SYSCALL_COUNT ? unimplementedCount[nr] : unknownCount;
  if (count.fetch_add(1, std::memory_order_relaxed) == 0)
    log(LogLevel::Info, "unimplemented: {}({})", syscallName(static_cast<unsigned>(nr)), nr);
}

} // namespace

extern "C" {
/// Indexed by the gate (gates.S). Writable only for traceSyscalls.
extern DirectHandler osv_syscall_table[SYSCALL_COUNT];
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Winitializer-overrides"
constinit DirectHandler osv_syscall_table[SYSCALL_COUNT] = {
    [0 ... SYSCALL_COUNT - 1] = &osv_frame_call,
#define OSV_CALL(nr, sysname, status, parameters) [nr] = &Adapter<sys_##sysname>::direct,
#define OSV_NONE(nr, sysname) [nr] = &osv_frame_call,
#define OSV_FRAME(nr, sysname, status, parameters) [nr] = &osv_frame_call,
#include "abi/Syscalls.def"
};
#pragma clang diagnostic pop

/// Counted by osv_gate_syscall: calls that came through the SYSCALL instruction instead of a rewritten site.
uint64_t osv_native_syscalls = 0;

/// The full-frame way (gates.S). Interrupts on.
void osv_syscall_frame(Frame *f) {
  uint32_t nr = static_cast<uint32_t>(f->error);
  const Descriptor *d = nr < SYSCALL_COUNT ? &descriptors.at[nr] : nullptr;
  if (tracing)
    log(LogLevel::Info, "[{}] {}({x}, {x}, {x}, {x}, {x}, {x}) ...", current().tid,
        syscallName(static_cast<unsigned>(nr)), f->rdi, f->rsi, f->rdx, f->r10, f->r8, f->r9);
  if (!d || !d->framed) {
    noteUnimplemented(nr);
    f->rax = static_cast<uint64_t>(-long{ENOSYS});
  } else {
    f->rax = static_cast<uint64_t>(d->framed(*f));
  }
  if (tracing)
    log(LogLevel::Info, "[{}] {} = {}", current().tid, syscallName(static_cast<unsigned>(nr)),
        static_cast<int64_t>(f->rax));
}
}

std::string_view syscallName(unsigned nr) {
  return nr < SYSCALL_COUNT && descriptors.at[nr].name ? descriptors.at[nr].name : "?";
}

void reportUnimplemented() {
  for (unsigned nr = 0; nr < SYSCALL_COUNT; nr++)
    if (uint32_t n = unimplementedCount[nr].load(std::memory_order_relaxed))
      log(LogLevel::Info, "unimplemented: {}({}) x{}", syscallName(nr), nr, n);
  if (uint32_t n = unknownCount.load(std::memory_order_relaxed))
    log(LogLevel::Info, "unimplemented: numbers beyond the table x{}", n);
  log(LogLevel::Info, "system calls through SYSCALL: {}", osv_native_syscalls);
}

void traceSyscalls() {
  tracing = true;
  for (DirectHandler &entry : osv_syscall_table)
    entry = &osv_frame_call;
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// futex, futex_waitv, and the robust list's registration: argument forms, clocks and restarts. What they do is
// sched/Futex*.cpp.
#include "kernel/sched/Futex.h"
#include "kernel/Process.h"
#include "kernel/syscalls/Handlers.h"
#include "kernel/time/Time.h"
#include <linux/futex.h>
#include <linux/time.h>

namespace osv {
namespace {

/// A timespec as a point of the monotonic clock. EINVAL when it is not a proper one.
Result<Nanos> deadlineOf(const __kernel_timespec &t, bool absolute, bool realtime) {
  if (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec >= 1'000'000'000)
    return Errno::Inval;
  Nanos span;
  if (__builtin_mul_overflow(t.tv_sec, Nanos{1'000'000'000}, &span) || __builtin_add_overflow(span, t.tv_nsec, &span))
    return kForever;
  Nanos base = !absolute ? monotonicNow() : realtime ? monotonicNow() - realtimeNow() : 0;
  if (__builtin_add_overflow(span, base, &span))
    return kForever;
  return span;
}

/// A wait with a time-out is restarted only when no handler ran, and then with the same deadline.
Result<long> restartWait(RestartBlock &b) {
  Result<long> r = futexWait(VAddr(b.args[0]), static_cast<FutexScope>(b.args[1]), static_cast<uint32_t>(b.args[2]),
                             static_cast<uint32_t>(b.args[3]), b.deadline);
  return !r.ok() && r.error() == Errno::RestartSys ? Errno::RestartRestartBlock : r;
}

Result<long> wait(VAddr word, FutexScope scope, uint32_t expected, uint32_t bits, Nanos deadline) {
  if (bits == 0)
    return Errno::Inval;
  Result<long> r = futexWait(word, scope, expected, bits, deadline);
  if (r.ok() || r.error() != Errno::RestartSys || deadline == kForever)
    return r;
  RestartBlock &b = current().signals.restart;
  b.fn = restartWait;
  b.args[0] = word.value;
  b.args[1] = static_cast<uint64_t>(scope);
  b.args[2] = expected;
  b.args[3] = bits;
  b.deadline = deadline;
  return Errno::RestartRestartBlock;
}

/// Linux takes these counts as int, and a negative one for requeue is an error.
unsigned countOf(uint32_t n) { return n > INT32_MAX ? INT32_MAX : n; }

[[gnu::noinline]] Result<long> anyFutex(uint64_t uaddr, int op, uint32_t value, uint64_t timeout, uint64_t uaddr2,
                                        uint32_t value3) {
  int command = op & FUTEX_CMD_MASK;
  bool realtime = op & FUTEX_CLOCK_REALTIME;
  FutexScope scope = op & FUTEX_PRIVATE_FLAG ? FutexScope::Private : FutexScope::Shared;
  if (realtime && command != FUTEX_WAIT_BITSET && command != FUTEX_LOCK_PI2 && command != FUTEX_WAIT_REQUEUE_PI)
    return Errno::NoSys;
  VAddr word(uaddr), second(uaddr2);

  Nanos deadline = kForever;
  bool takesTimeout = command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET || command == FUTEX_LOCK_PI ||
                      command == FUTEX_LOCK_PI2 || command == FUTEX_WAIT_REQUEUE_PI;
  if (takesTimeout && timeout) {
    __kernel_timespec t = TRY(UserPtr<__kernel_timespec>(timeout).read());
    deadline = TRY(deadlineOf(t, command != FUTEX_WAIT, realtime || command == FUTEX_LOCK_PI));
  }
  auto value2 = static_cast<uint32_t>(timeout); // the same argument is a count for the two-word operations
  unsigned requeued;
  switch (command) {
  case FUTEX_WAIT:
    return wait(word, scope, value, FUTEX_BITSET_MATCH_ANY, deadline);
  case FUTEX_WAIT_BITSET:
    return wait(word, scope, value, value3, deadline);
  case FUTEX_WAKE:
    return futexWake(word, scope, value == 0 ? 1 : countOf(value));
  case FUTEX_WAKE_BITSET:
    if (value3 == 0)
      return Errno::Inval;
    return futexWake(word, scope, value == 0 ? 1 : countOf(value), value3);
  case FUTEX_REQUEUE:
    if (value > INT32_MAX || value2 > INT32_MAX)
      return Errno::Inval;
    return long{TRY(futexRequeue(word, second, scope, value, value2, nullptr, &requeued)) + requeued};
  case FUTEX_CMP_REQUEUE:
    if (value > INT32_MAX || value2 > INT32_MAX)
      return Errno::Inval;
    return long{TRY(futexRequeue(word, second, scope, value, value2, &value3, &requeued)) + requeued};
  case FUTEX_WAKE_OP:
    return long{TRY(
        futexWakeOp(word, second, scope, value == 0 ? 1 : countOf(value), value2 == 0 ? 1 : countOf(value2), value3))};
  case FUTEX_LOCK_PI:
  case FUTEX_LOCK_PI2:
    TRY(futexLockPi(word, scope, deadline, false));
    return 0L;
  case FUTEX_TRYLOCK_PI:
    TRY(futexLockPi(word, scope, kForever, true));
    return 0L;
  case FUTEX_UNLOCK_PI:
    TRY(futexUnlockPi(word, scope));
    return 0L;
  case FUTEX_WAIT_REQUEUE_PI:
    TRY(futexWaitRequeuePi(word, scope, value, second, deadline));
    return 0L;
  case FUTEX_CMP_REQUEUE_PI:
    if (value != 1 || value2 > INT32_MAX)
      return Errno::Inval;
    return long{TRY(futexRequeuePi(word, second, scope, value2, value3))};
  }
  return Errno::NoSys;
}

} // namespace

/// The two that locks are made of come first, without the others' registers to save.
Result<long> sys_futex(uint64_t uaddr, int op, uint32_t value, uint64_t timeout, uint64_t uaddr2, uint32_t value3) {
  switch (op) {
  case FUTEX_WAKE | FUTEX_PRIVATE_FLAG:
    if (static_cast<int32_t>(value) <= 0) [[unlikely]]
      break;
    return futexWake(VAddr(uaddr), FutexScope::Private, value);
  case FUTEX_WAIT | FUTEX_PRIVATE_FLAG:
    if (timeout != 0) [[unlikely]]
      break;
    return futexWait(VAddr(uaddr), FutexScope::Private, value, FUTEX_BITSET_MATCH_ANY, kForever);
  }
  return anyFutex(uaddr, op, value, timeout, uaddr2, value3);
}

Result<long> sys_futex_waitv(UserPtr<const struct futex_waitv> waiters, unsigned count, unsigned flags,
                             UserPtr<const __kernel_timespec> timeout, int clock) {
  if (flags != 0 || count == 0 || count > kFutexVectorMax || !waiters)
    return Errno::Inval;
  Nanos deadline = kForever;
  if (timeout) {
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
      return Errno::Inval;
    __kernel_timespec t = TRY(timeout.as<__kernel_timespec>().read());
    deadline = TRY(deadlineOf(t, true, clock == CLOCK_REALTIME));
  }
  struct Items {
    FutexVectorItem *all;
    ~Items() { delete[] all; }
  } items{new (std::nothrow) FutexVectorItem[count]};
  if (!items.all)
    return Errno::NoMem;
  for (unsigned i = 0; i < count; i++) {
    struct futex_waitv w = TRY((waiters + i).as<struct futex_waitv>().read());
    if ((w.flags & ~(uint32_t{FUTEX_32} | FUTEX_PRIVATE_FLAG)) || !(w.flags & FUTEX_32) || w.__reserved || w.val >> 32)
      return Errno::Inval;
    items.all[i] = {VAddr(w.uaddr), w.flags & FUTEX_PRIVATE_FLAG ? FutexScope::Private : FutexScope::Shared,
                    static_cast<uint32_t>(w.val)};
  }
  return long{TRY(futexWaitVector({items.all, count}, deadline))};
}

Result<long> sys_set_robust_list(uint64_t head, size_t size) {
  if (size != sizeof(struct robust_list_head))
    return Errno::Inval;
  current().robustList = head;
  return 0L;
}

Result<long> sys_get_robust_list(int pid, UserPtr<uint64_t> head, UserPtr<size_t> size) {
  Ref<Thread> t = pid == 0 ? Ref<Thread>::share(&current()) : currentProcess().findThread(pid);
  if (!t)
    return Errno::Srch;
  TRY(size.write(sizeof(struct robust_list_head)));
  TRY(head.write(t->robustList));
  return 0L;
}

} // namespace osv

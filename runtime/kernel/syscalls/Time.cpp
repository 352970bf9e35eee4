// SPDX-License-Identifier: BSD-3-Clause
//
// System calls that read, set and wait for clocks. Timers are in Timers.cpp. A libc takes the common ones from the vDSO
// and comes here only for the clocks that need the kernel (CPU time).
#include "kernel/Process.h"
#include "kernel/arch/Cpu.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/signal/Signal.h"
#include "kernel/syscalls/Handlers.h"
#include "kernel/time/ClockAlarm.h"
#include "kernel/time/TimeSpec.h"
#include <linux/time.h>
#include <linux/timex.h>

namespace osv {
namespace {

/// Wakes the sleeping thread.
struct SleepAlarm : ClockAlarm {
  Thread *thread = nullptr;
  SpinLock lock; ///< interrupts off
  std::atomic<bool> expired{false};
};

/// Sleeps until `clock` shows `target`; follows the clock when it is set. RestartSys when interrupted.
Result<void> sleepOnClock(const ClockRef &clock, Nanos target) {
  if (clock.kind == ClockRef::Kind::Monotonic)
    return sleepUntil(target);
  SleepAlarm alarm;
  alarm.clock = clock;
  alarm.thread = &current();
  alarm.fn = [](Timer &self) {
    auto &a = static_cast<SleepAlarm &>(self);
    IrqSpinGuard guard(a.lock);
    if (!a.due())
      return;
    a.expired.store(true, std::memory_order_release);
    a.thread->wake();
  };
  {
    IrqSpinGuard guard(alarm.lock);
    alarm.start(target);
  }
  Result<void> result;
  while (!alarm.expired.load(std::memory_order_acquire)) {
    prepareToBlock();
    if (!alarm.expired.load(std::memory_order_acquire) && !signalPending(current()))
      block();
    if (!alarm.expired.load(std::memory_order_acquire) && signalPending(current())) {
      result = Errno::RestartSys;
      break;
    }
  }
  cancelTimer(alarm);
  return result;
}

Result<void> writeLeft(Nanos deadline, uint64_t to) {
  if (!to)
    return {};
  Nanos now = monotonicNow();
  return UserPtr<TimeSpec>(to).write(toTimeSpec(deadline > now ? deadline - now : 0));
}

/// A relative sleep on the monotonic clock, from its first or from a later try; args[0]: where to write what is left.
Result<long> sleepRelative(RestartBlock &block) {
  if (sleepUntil(block.deadline).ok())
    return 0;
  TRY(writeLeft(block.deadline, block.args[0]));
  block.fn = sleepRelative;
  return Errno::RestartRestartBlock;
}

Result<long> startRelativeSleep(Nanos duration, UserPtr<TimeSpec> left) {
  RestartBlock &block = current().signals.restart;
  block.deadline = deadlineAfter(duration);
  block.args[0] = left.addr().value;
  return sleepRelative(block);
}

/// struct timex: its time, and what a clock reports that nobody disciplines.
Result<long> readTimex(UserPtr<__kernel_timex> out) {
  __kernel_timex t = TRY(out.read());
  if (t.modes != 0 && t.modes != ADJ_OFFSET_SS_READ)
    return Errno::Perm; // there is no adjusting: setting the clock is all there is
  t = {};
  Nanos now = realtimeNow();
  t.status = STA_UNSYNC;
  t.maxerror = t.esterror = 16'000'000;
  t.constant = 2;
  t.precision = 1;
  t.tolerance = 32'768'000;
  t.tick = 10'000;
  t.time.tv_sec = now / kSecond;
  t.time.tv_usec = now % kSecond / kMicrosecond;
  TRY(out.write(t));
  return TIME_ERROR;
}

} // namespace

Result<long> sys_clock_gettime(int clock, UserPtr<TimeSpec> time) {
  Nanos now = TRY(ClockRef::fromId(clock)).now();
  TRY(time.write(toTimeSpec(now)));
  return 0;
}

Result<long> sys_clock_getres(int clock, UserPtr<TimeSpec> resolution) {
  ClockRef c = TRY(ClockRef::fromId(clock));
  if (resolution)
    TRY(resolution.write(toTimeSpec(c.resolution())));
  return 0;
}

Result<long> sys_clock_settime(int clock, UserPtr<const TimeSpec> time) {
  if (clock != CLOCK_REALTIME)
    return Errno::Inval;
  TRY(setRealtime(TRY(toNanos(TRY(time.read())))));
  return 0;
}

Result<long> sys_gettimeofday(UserPtr<TimeVal> time, UserPtr<void> zone) {
  if (time)
    TRY(time.write(toTimeVal(realtimeNow())));
  if (zone) {
    constexpr struct timezone kUtc = {};
    TRY(zone.as<struct timezone>().write(kUtc));
  }
  return 0;
}

Result<long> sys_settimeofday(UserPtr<const TimeVal> time, UserPtr<const void> zone) {
  Nanos t = 0;
  if (time)
    t = TRY(toNanos(TRY(time.read())));
  if (zone) {
    constexpr int kMostMinutes = 15 * 60;
    struct timezone z = TRY(zone.as<struct timezone>().read());
    if (z.tz_minuteswest > kMostMinutes || z.tz_minuteswest < -kMostMinutes)
      return Errno::Inval;
  }
  if (time)
    TRY(setRealtime(t));
  return 0;
}

Result<long> sys_time(UserPtr<long> out) {
  long seconds = realtimeNow() / kSecond;
  if (out)
    TRY(out.write(seconds));
  return seconds;
}

Result<long> sys_adjtimex(UserPtr<void> state) { return readTimex(state.as<__kernel_timex>()); }

Result<long> sys_clock_adjtime(int clock, UserPtr<void> state) {
  TRY(ClockRef::fromId(clock));
  if (clock != CLOCK_REALTIME)
    return Errno::OpNotSupp;
  return readTimex(state.as<__kernel_timex>());
}

Result<long> sys_nanosleep(UserPtr<const TimeSpec> request, UserPtr<TimeSpec> left) {
  return startRelativeSleep(TRY(toNanos(TRY(request.read()))), left);
}

Result<long> sys_clock_nanosleep(int clock, int flags, UserPtr<const TimeSpec> request, UserPtr<TimeSpec> left) {
  ClockRef c = TRY(ClockRef::fromId(clock));
  if (clock == CLOCK_THREAD_CPUTIME_ID || (c.kind == ClockRef::Kind::ThreadCpu && c.thread.get() == &current()))
    return Errno::Inval; // it would never wake
  if (c.coarse || clock == CLOCK_MONOTONIC_RAW)
    return Errno::OpNotSupp;
  Nanos time = TRY(toNanos(TRY(request.read())));
  if (!(flags & TIMER_ABSTIME) && !c.isCpu())
    return startRelativeSleep(time, left); // whatever happens to the clock meanwhile
  if (!(flags & TIMER_ABSTIME)) {
    Nanos now = c.now();
    time = time >= kForever - now ? kForever : now + time;
    if (sleepOnClock(c, time).ok())
      return 0;
    if (left) {
      now = c.now();
      TRY(left.write(toTimeSpec(time > now ? time - now : 0)));
    }
    return Errno::Intr;
  }
  if (!sleepOnClock(c, time).ok())
    return Errno::RestartNoHand;
  return 0;
}

} // namespace osv

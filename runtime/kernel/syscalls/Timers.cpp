// SPDX-License-Identifier: BSD-3-Clause
//
// System calls that make and set timers: POSIX, interval, timerfd. What they do when they expire is time/'s.
#include "kernel/Process.h"
#include "kernel/fs/FileTable.h"
#include "kernel/signal/Signal.h"
#include "kernel/syscalls/Handlers.h"
#include "kernel/time/PosixTimer.h"
#include "kernel/time/TimeSpec.h"
#include "kernel/time/TimerFd.h"
#include <asm/fcntl.h>
#include <linux/time.h>
#include <linux/timerfd.h>

namespace osv {
namespace {

using ITimerSpec = __kernel_itimerspec;
using ITimerVal = __kernel_old_itimerval;

Result<TimerSetting> readSetting(UserPtr<const ITimerSpec> from) {
  ITimerSpec s = TRY(from.read());
  Nanos value = TRY(toNanos(s.it_value)), interval = TRY(toNanos(s.it_interval));
  return TimerSetting{value, interval};
}
ITimerSpec toITimerSpec(Nanos value, Nanos interval) { return {toTimeSpec(interval), toTimeSpec(value)}; }

/// Time left, as a timeval: an armed timer never shows 0.
ITimerVal toITimerVal(const TimerSetting &s) {
  Nanos value = s.value ? s.value + kMicrosecond - 1 : 0;
  return {toTimeVal(s.interval), toTimeVal(value)};
}

TimerSetting setIntervalTimer(ProcessTimers &timers, int which, const TimerSetting &next) {
  IntervalTimer &t = timers.interval[which];
  IrqSpinGuard guard(t.process->signals.lock);
  TimerSetting old = t.set(next, false, which == ITIMER_REAL ? ClockRef::Kind::Monotonic : ClockRef::Kind::ProcessCpu);
  t.queued = false;
  if (t.expiry)
    t.start(t.expiry);
  return old;
}

bool validItimer(int which) { return which >= ITIMER_REAL && which <= ITIMER_PROF; }

} // namespace

Result<long> sys_getitimer(int which, UserPtr<ITimerVal> value) {
  if (!validItimer(which))
    return Errno::Inval;
  ProcessTimers &timers = *TRY(ProcessTimers::of(currentProcess()));
  TimerSetting s;
  {
    IrqSpinGuard guard(currentProcess().signals.lock);
    s = timers.interval[which].setting();
  }
  TRY(value.write(toITimerVal(s)));
  return 0;
}

Result<long> sys_setitimer(int which, UserPtr<const ITimerVal> value, UserPtr<ITimerVal> old) {
  TimerSetting next;
  if (value) { // null: off, as Linux has always had it
    ITimerVal v = TRY(value.read());
    next.value = TRY(toNanos(v.it_value));
    next.interval = TRY(toNanos(v.it_interval));
  }
  if (!validItimer(which))
    return Errno::Inval;
  if (which == ITIMER_REAL && next.value == 0)
    next.interval = 0; // one that is off has none; those that count CPU time keep it
  TimerSetting previous = setIntervalTimer(*TRY(ProcessTimers::of(currentProcess())), which, next);
  if (old)
    TRY(old.write(toITimerVal(previous)));
  return 0;
}

Result<long> sys_alarm(unsigned seconds) {
  TimerSetting previous =
      setIntervalTimer(*TRY(ProcessTimers::of(currentProcess())), ITIMER_REAL, {combine(seconds, 0), 0});
  // Rounded to the nearest second, but never to "there was none".
  long left = previous.value / kSecond;
  if (previous.value % kSecond >= kSecond / 2 || (left == 0 && previous.value))
    left++;
  return left;
}

Result<long> sys_timer_create(int clock, UserPtr<const sigevent> event, UserPtr<int> id) {
  ClockRef c = TRY(ClockRef::fromId(clock));
  if (c.coarse || clock == CLOCK_MONOTONIC_RAW)
    return Errno::OpNotSupp;
  sigevent e = {};
  e.sigev_notify = SIGEV_SIGNAL;
  e.sigev_signo = SIGALRM;
  if (event)
    e = TRY(event.read());
  switch (e.sigev_notify) {
  case SIGEV_NONE:
    break;
  case SIGEV_SIGNAL:
  case SIGEV_THREAD: // the libc's business: to the kernel it is a signal
  case SIGEV_SIGNAL | SIGEV_THREAD_ID:
    if (e.sigev_signo < 1 || e.sigev_signo > kSignalCount)
      return Errno::Inval;
    break;
  default:
    return Errno::Inval;
  }
  int made = TRY(createPosixTimer(static_cast<ClockRef &&>(c), e, !event));
  if (Result<void> written = id.write(made); !written.ok()) {
    (void)deletePosixTimer(made);
    return written.error();
  }
  return 0;
}

Result<long> sys_timer_settime(int id, int flags, UserPtr<const ITimerSpec> value, UserPtr<ITimerSpec> old) {
  if (!value)
    return Errno::Inval;
  TimerSetting next = TRY(readSetting(value)), previous;
  {
    Process &p = currentProcess();
    IrqSpinGuard guard(p.signals.lock);
    PosixTimer *t = p.timers ? p.timers->find(id) : nullptr;
    if (!t)
      return Errno::Inval;
    if (next.value == 0)
      next.interval = 0;
    previous = t->set(next, flags & TIMER_ABSTIME, t->clockKind);
    t->overrun = 0;
    t->lastOverrun = 0;
    if (t->expiry && t->notify != SIGEV_NONE)
      t->start(t->expiry);
  }
  if (old)
    TRY(old.write(toITimerSpec(previous.value, previous.interval)));
  return 0;
}

Result<long> sys_timer_gettime(int id, UserPtr<ITimerSpec> value) {
  TimerSetting s;
  {
    Process &p = currentProcess();
    IrqSpinGuard guard(p.signals.lock);
    PosixTimer *t = p.timers ? p.timers->find(id) : nullptr;
    if (!t)
      return Errno::Inval;
    s = t->setting();
  }
  TRY(value.write(toITimerSpec(s.value, s.interval)));
  return 0;
}

Result<long> sys_timer_getoverrun(int id) {
  Process &p = currentProcess();
  IrqSpinGuard guard(p.signals.lock);
  PosixTimer *t = p.timers ? p.timers->find(id) : nullptr;
  if (!t)
    return Errno::Inval;
  return t->lastOverrun;
}

Result<long> sys_timer_delete(int id) {
  TRY(deletePosixTimer(id));
  return 0;
}

Result<long> sys_timerfd_create(int clock, int flags) {
  if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK))
    return Errno::Inval;
  return TRY(currentProcess().files->install(TRY(createTimerFd(clock, flags & TFD_NONBLOCK)), flags & TFD_CLOEXEC));
}

Result<long> sys_timerfd_settime(int fd, int flags, UserPtr<const ITimerSpec> value, UserPtr<ITimerSpec> old) {
  if (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
    return Errno::Inval;
  TimerSetting next = TRY(readSetting(value));
  Ref<File> file = TRY(currentProcess().files->get(fd));
  TimerFdSetting previous =
      TRY(setTimerFd(*file, {next.value, next.interval}, flags & TFD_TIMER_ABSTIME, flags & TFD_TIMER_CANCEL_ON_SET));
  if (old)
    TRY(old.write(toITimerSpec(previous.value, previous.interval)));
  return 0;
}

Result<long> sys_timerfd_gettime(int fd, UserPtr<ITimerSpec> value) {
  Ref<File> file = TRY(currentProcess().files->get(fd));
  TimerFdSetting s = TRY(timerFdSetting(*file));
  TRY(value.write(toITimerSpec(s.value, s.interval)));
  return 0;
}

} // namespace osv

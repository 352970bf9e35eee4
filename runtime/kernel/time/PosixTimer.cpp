// SPDX-License-Identifier: BSD-3-Clause
//
// POSIX and interval timers: what happens when one expires, and when its signal is taken or thrown away.
#include "kernel/time/PosixTimer.h"
#include "kernel/Process.h"
#include "kernel/mm/Heap.h"
#include "kernel/signal/Queue.h"
#include "kernel/signal/SignalInternal.h"
#include "kernel/time/TimeSpec.h"

namespace osv {
namespace {

constexpr Nanos kIgnoredPeriod = 1'000'000; ///< an ignored timer need not run faster
constexpr uint64_t kMaxOverrun = 0x7fffffff;

void posixTimerExpired(Timer &self) {
  auto &t = static_cast<PosixTimer &>(self);
  IrqSpinGuard guard(t.process->signals.lock);
  if (!t.due())
    return;
  if (t.queued) { // set anew while its signal was pending
    t.overrun += 1 + t.next();
    return;
  }
  if (t.thread && t.thread->exiting.load(std::memory_order_relaxed))
    return;
  SignalInfo info = {};
  info.si_signo = t.signo;
  info.si_code = SI_TIMER;
  info.si_tid = t.id;
  info.si_value = t.value;
  t.overrun = 0;
  t.queued = true;
  if (sendLocked(*t.process, t.thread.get(), info, &t.signal) != Sent::Queued) {
    t.queued = false;
    t.next(kIgnoredPeriod);
  }
}

void intervalTimerExpired(Timer &self) {
  auto &t = static_cast<IntervalTimer &>(self);
  IrqSpinGuard guard(t.process->signals.lock);
  if (!t.due())
    return;
  SignalInfo info = {};
  info.si_signo = t.signo;
  info.si_code = SI_KERNEL;
  t.queued = sendLocked(*t.process, nullptr, info) == Sent::Queued;
  if (!t.queued || t.interval == 0)
    t.next(kIgnoredPeriod);
}

} // namespace

TimerSetting PeriodicAlarm::setting() const {
  if (expiry == 0)
    return {0, interval};
  Nanos now = clock.now();
  if (expiry > now)
    return {expiry - now, interval};
  if (interval == 0)
    return {active ? 1 : 0, 0};
  Nanos following = expiry; // it has come, but nobody has taken the signal yet
  advance(following, interval, now);
  return {following - now, interval};
}

TimerSetting PeriodicAlarm::set(const TimerSetting &next, bool absolute, ClockRef::Kind clockKind) {
  TimerSetting old = setting();
  stop();
  interval = next.interval;
  expiry = 0;
  if (next.value == 0)
    return old;
  // A duration does not change when the clock is set.
  bool realtimeDuration = !absolute && clockKind == ClockRef::Kind::Realtime;
  clock.kind = realtimeDuration ? ClockRef::Kind::Monotonic : clockKind;
  Nanos now = clock.now();
  expiry = absolute ? next.value : next.value >= kForever - now ? kForever : now + next.value;
  return old;
}

uint64_t PeriodicAlarm::next(Nanos atLeast) {
  if (interval == 0) {
    expiry = 0;
    return 0;
  }
  Nanos now = clock.now();
  uint64_t missed = advance(expiry, interval, now);
  if (expiry < now + atLeast)
    missed += 1 + advance(expiry, interval, now + atLeast);
  start(expiry);
  return missed;
}

Result<ProcessTimers *> ProcessTimers::of(Process &p) {
  {
    IrqSpinGuard guard(p.signals.lock);
    if (p.timers)
      return p.timers;
  }
  ProcessTimers *made = TRY(make<ProcessTimers>());
  constexpr int kSignals[] = {SIGALRM, SIGVTALRM, SIGPROF};
  for (int i = 0; i < 3; i++) {
    IntervalTimer &t = made->interval[i];
    t.process = &p;
    t.signo = kSignals[i];
    t.fn = intervalTimerExpired;
    t.clock.kind = i == 0 ? ClockRef::Kind::Monotonic : ClockRef::Kind::ProcessCpu;
    t.clock.process = &p;
  }
  IrqSpinGuard guard(p.signals.lock);
  if (p.timers)
    delete made;
  else
    p.timers = made;
  return p.timers;
}

PosixTimer *ProcessTimers::find(int id) {
  for (PosixTimer &t : timers)
    if (t.id == id)
      return &t;
  return nullptr;
}

Result<int> createPosixTimer(ClockRef clock, const sigevent &event, bool idIsValue) {
  Process &p = currentProcess();
  ProcessTimers &all = *TRY(ProcessTimers::of(p));
  Ref<Thread> target;
  if (event.sigev_notify & SIGEV_THREAD_ID) {
    target = p.findThread(event._sigev_un._tid);
    if (!target)
      return Errno::Inval;
  }
  PosixTimer *t = TRY(make<PosixTimer>());
  t->process = &p;
  t->clockKind = clock.kind;
  t->clock = static_cast<ClockRef &&>(clock);
  t->fn = posixTimerExpired;
  t->notify = event.sigev_notify;
  t->signo = event.sigev_signo;
  t->value = event.sigev_value;
  t->thread = static_cast<Ref<Thread> &&>(target);
  t->signal.timer = t;
  IrqSpinGuard guard(p.signals.lock);
  // Ids count up and wrap, as Linux's: a stale one is not soon somebody else's.
  do
    t->id = all.nextId++ & 0x7fffffff;
  while (all.find(t->id));
  if (idIsValue)
    t->value.sival_int = t->id;
  all.timers.push_back(*t);
  return t->id;
}

Result<void> deletePosixTimer(int id) {
  Process &p = currentProcess();
  PosixTimer *t;
  {
    IrqSpinGuard guard(p.signals.lock);
    t = p.timers ? p.timers->find(id) : nullptr;
    if (!t)
      return Errno::Inval;
    p.timers->timers.erase(p.timers->timers.iterator_to(*t));
    t->stop();
    t->interval = 0;
    if (t->queued) {
      PendingSignals &pending = t->thread ? t->thread->signals.pending : p.signals.pending;
      removePending(pending, t->signal);
      t->queued = false;
    }
  }
  cancelTimer(*t);
  delete t;
  return {};
}

void posixTimerSignalTaken(PosixTimer &t, SignalInfo &info) {
  t.queued = false;
  if (!t.active && t.interval)
    t.overrun += t.next();
  t.lastOverrun = static_cast<int>(t.overrun > kMaxOverrun ? kMaxOverrun : t.overrun);
  info.si_overrun = t.lastOverrun;
}

void posixTimerSignalDropped(PosixTimer &t) {
  t.queued = false;
  if (!t.active && t.interval)
    t.next(kIgnoredPeriod);
}

void intervalTimerSignalTaken(Process &p, int signo) {
  if (!p.timers)
    return;
  for (IntervalTimer &t : p.timers->interval)
    if (t.signo == signo && t.queued) {
      t.queued = false;
      if (!t.active && t.interval)
        t.next();
    }
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Software timers: one ordered tree for each CPU, merged with the end of the running thread's time slice into the CPU's
// one hardware timer.
//
// Invariant, for each CPU, whenever interrupts are on: the hardware is armed for min(first timer of the tree, slice
// deadline), or for something earlier. So arming or ending a timer that is not the first costs no hardware access, and
// cancelling never does: the interrupt then finds nothing to do and arms the next event. A CPU with no timer and no
// slice (idle, or one thread alone) gets no ticks.
//
// A timer belongs to the CPU that armed it last (`Timer::cpu`), and only that CPU runs its callback.
// `TimerBase::running` tells cancelTimer whom to wait for. Lock order: a base's lock is innermost; nothing is called
// with it held. Two bases are never locked at once.
#include "kernel/arch/Clock.h"
#include "kernel/arch/Trap.h"
#include "kernel/lib/SpinLock.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/time/Time.h"
#include "kernel/time/TimeInternal.h"
#include <new>

namespace osv {

namespace {

constexpr unsigned kMaxCpus = 64;

struct Earlier {
  bool operator()(const Timer &a, const Timer &b) const { return a.deadline < b.deadline; }
};
using TimerTree =
    boost::intrusive::multiset<Timer, boost::intrusive::compare<Earlier>, boost::intrusive::constant_time_size<false>>;

struct alignas(64) TimerBase {
  SpinLock lock; ///< interrupts off
  TimerTree timers;
  Nanos programmed = kForever; ///< what the hardware is armed for; this CPU only
  std::atomic<Timer *> running{nullptr};
};

/// Made by initTimers(): the kernel runs no global constructors.
union BaseStorage {
  constexpr BaseStorage() : none{} {}
  ~BaseStorage() {}
  char none;
  TimerBase base;
};
constinit BaseStorage storage[kMaxCpus];
TimerBase &baseOf(uint32_t cpu) { return storage[cpu].base; }

/// Arms this CPU's hardware when its earliest event has moved forward. Interrupts off.
void program(TimerBase &base, Nanos firstTimer) {
  Nanos slice = sliceDeadline();
  Nanos earliest = firstTimer < slice ? firstTimer : slice;
  if (earliest >= base.programmed)
    return;
  base.programmed = earliest;
  arch::setTimer(earliest);
}

/// Removes `t` from wherever it is. Interrupts off.
bool detach(Timer &t) {
  for (;;) {
    if (!__atomic_load_n(&t.armed, __ATOMIC_ACQUIRE))
      return false; // after `running` was set, if its time has come: see timerInterrupt
    uint32_t cpu = __atomic_load_n(&t.cpu, __ATOMIC_RELAXED);
    TimerBase &base = baseOf(cpu);
    IrqSpinGuard guard(base.lock);
    if (__atomic_load_n(&t.cpu, __ATOMIC_RELAXED) != cpu)
      continue; // armed elsewhere meanwhile
    if (!t.armed)
      return false;
    base.timers.erase(base.timers.iterator_to(t));
    __atomic_store_n(&t.armed, false, __ATOMIC_RELAXED);
    return true;
  }
}

/// Arms a detached timer on this CPU. Interrupts off.
void attach(Timer &t, Nanos deadline) {
  uint32_t cpu = gate().cpu;
  TimerBase &base = baseOf(cpu);
  bool first;
  {
    IrqSpinGuard guard(base.lock);
    t.deadline = deadline;
    __atomic_store_n(&t.cpu, cpu, __ATOMIC_RELAXED);
    __atomic_store_n(&t.armed, true, __ATOMIC_RELEASE);
    first = base.timers.insert(t) == base.timers.begin();
  }
  if (first)
    program(base, deadline);
}

} // namespace

void initTimers() {
  for (BaseStorage &s : storage)
    new (&s.base) TimerBase;
}

void armTimer(Timer &t, Nanos deadline) {
  IrqGuard irq;
  detach(t);
  t.clock = TimerClock::Monotonic;
  attach(t, deadline);
}

void armRealtimeTimer(Timer &t, Nanos deadline) {
  IrqGuard irq;
  detach(t);
  t.clock = TimerClock::Realtime;
  t.realtimeDeadline = deadline;
  attach(t, deadline == kForever ? kForever : deadline - realtimeOffset());
}

bool disarmTimer(Timer &t) {
  IrqGuard irq;
  return detach(t);
}

bool cancelTimer(Timer &t) {
  bool was;
  {
    IrqGuard irq;
    was = detach(t);
  }
  for (unsigned cpu = 0; cpu < arch::cpuCount(); cpu++)
    while (baseOf(cpu).running.load(std::memory_order_acquire) == &t)
      arch::pause();
  // A callback that was running may have armed it again just before it ended.
  IrqGuard irq;
  return detach(t) || was;
}

namespace {
/// On each CPU, interrupts off.
void moveTimersOfThisCpu(void *) {
  TimerBase &base = baseOf(gate().cpu);
  Nanos first = kForever;
  {
    IrqSpinGuard guard(base.lock);
    TimerTree moved;
    for (auto it = base.timers.begin(); it != base.timers.end();) {
      Timer &t = *it++;
      if (t.clock != TimerClock::Realtime || t.realtimeDeadline == kForever)
        continue;
      base.timers.erase(base.timers.iterator_to(t));
      t.deadline = t.realtimeDeadline - realtimeOffset();
      moved.insert(t);
    }
    while (!moved.empty()) {
      Timer &t = *moved.begin();
      moved.erase(moved.begin());
      base.timers.insert(t);
    }
    if (!base.timers.empty())
      first = base.timers.begin()->deadline;
  }
  program(base, first);
}
} // namespace

void moveRealtimeTimers() { arch::callOnAllCpus(moveTimersOfThisCpu, nullptr); }

void sliceDeadlineChanged() {
  TimerBase &base = baseOf(gate().cpu);
  program(base, kForever);
}

void timerInterrupt() {
  TimerBase &base = baseOf(gate().cpu);
  base.programmed = kForever;
  Nanos now = arch::now();
  Nanos first = kForever;
  for (;;) {
    Timer *due = nullptr;
    {
      IrqSpinGuard guard(base.lock);
      if (base.timers.empty()) {
        first = kForever;
        break;
      }
      first = base.timers.begin()->deadline;
      if (first > now && first > (now = arch::now()))
        break;
      due = &*base.timers.begin();
      base.timers.erase(base.timers.begin());
      base.running.store(due, std::memory_order_relaxed);
      __atomic_store_n(&due->armed, false, __ATOMIC_RELEASE);
    }
    due->fn(*due);
    base.running.store(nullptr, std::memory_order_release);
  }
  if (sliceDeadline() <= now)
    sliceExpired();
  program(base, first);
}

} // namespace osv

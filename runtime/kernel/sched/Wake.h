// SPDX-License-Identifier: BSD-3-Clause
//
// Waking a blocked thread, inline for those of sched/ that do little else: wait queues and futexes. Everybody else
// calls Thread::wake. Why no wake-up is lost is told in Scheduler.cpp.
//
// The straight line is two threads that take turns on one CPU: the one that wakes is known to block soon (Balance.cpp),
// so the woken one simply queues behind it. All else is placeWoken's.
#pragma once
#include "kernel/sched/SchedulerState.h"

namespace osv::sched {

extern uint64_t wakeGranularity; ///< how far behind the running thread a woken one must be to take the CPU from it
extern uint64_t sleepCredit;     ///< how much of its sleep a woken thread may keep

/// The running thread is to be switched away from as soon as that is possible.
inline void askForReschedule() {
  if (!(gate().work & kWorkReschedule))
    setOwnWork(kWorkReschedule);
}

OSV_COLD void promiseSlice(const Cpu &c);
/// See to it that the timer fires when the slice ends. This CPU's, locked, with a thread in the queue.
inline void armSlice(Cpu &c) {
  if (c.sliceStart + sliceTicks < c.timerPromise) [[unlikely]]
    promiseSlice(c);
}

/// The part of waking for threads that do not just take turns on one CPU. Releases `c`.
OSV_COLD void placeWoken(Cpu &c, Thread &t, Ticks now);

/// Makes a blocked thread runnable (true when it was). Interrupts off.
[[gnu::always_inline]] inline bool wakeBlocked(Thread &t) {
  t.wakePending.store(true, std::memory_order_relaxed); // ordered before `state` is read by the lock
  Cpu &c = lockCpuOf(t);
  if (t.state.load(std::memory_order_relaxed) != ThreadState::Blocked) [[unlikely]] {
    c.lock.unlockRaw();
    return false;
  }
  t.state.store(ThreadState::Runnable, std::memory_order_relaxed);
  Ticks now = arch::ticks();
  noteWaking(now);
  if (&c != &thisCpu() || !keepsWoken(c, t)) [[unlikely]] {
    placeWoken(c, t, now);
    return true;
  }
  // The running thread is charged when it blocks, and has had the CPU to itself: its slice begins now.
  c.queue.placeAfterSleep(t.run, sleepCredit);
  c.queue.insertAlone(t.run); // keepsWoken
  c.addLoad(1);
  if (RunQueue::preempts(t.run, current().run, wakeGranularity)) {
    askForReschedule();
  } else {
    c.sliceStart = sliceBegin(c, now);
    armSlice(c);
  }
  c.lock.unlockRaw();
  return true;
}

} // namespace osv::sched

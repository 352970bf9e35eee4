// SPDX-License-Identifier: BSD-3-Clause
//
// Wait queues and the sleeping locks built on them. Lock order: a queue's lock, then a run-queue lock (by
// Thread::wake); notify callbacks run under the queue's lock and may take further queues' locks (an epoll inside an
// epoll: no cycles, checked there).
//
// A wake-up is never lost to a waiter that is giving up: `wake` marks an entry and counts it; a waiter that finds the
// mark reports "woken", even when its deadline has passed too, and one that reported a failure before the mark came
// passes the wake-up on when it leaves.
//
// `wake` also takes the entry off the queue, so that a waiter which has got what it waited for leaves without the
// queue's lock. The entry lives on the waiter's stack, and its thread may end: a waker wakes the thread first and marks
// the entry last. A waiter that another CPU runs in between sees itself still queued, and takes the lock to leave.
#include "kernel/sched/WaitQueue.h"
#include "kernel/lib/Log.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/sched/Wake.h"
#include "kernel/signal/Signal.h"
#include "kernel/time/Time.h"

namespace osv {

// ---- WaitQueue

[[gnu::always_inline]] static inline void wakeSleeper(WaitEntry &e) {
  e.state.store(WaitEntry::Waking, std::memory_order_release);
  sched::wakeBlocked(*e.thread);
  e.state.store(WaitEntry::Woken, std::memory_order_release);
}

/// A thread that sleeps at the head of the queue comes first: mostly there is no other.
void WaitQueue::wakeQueued(unsigned n, uint32_t events) {
  IrqSpinGuard g(lock);
  auto first = entries.begin();
  if (first == entries.end())
    return;
  if (first->notify) [[unlikely]]
    return wakeMore(n, events);
  WaitEntry &e = *first;
  entries.erase(first);
  wakeSleeper(e);
  if (n != 1 && !empty()) [[unlikely]]
    wakeMore(n - 1, events);
}

void WaitQueue::wakeMore(unsigned n, uint32_t events) {
  for (auto it = entries.begin(); it != entries.end();) {
    WaitEntry &e = *it++; // a callback may remove its own entry
    if (e.notify) {
      if (e.notify(e, events) && --n == 0)
        return;
      continue;
    }
    entries.erase(entries.iterator_to(e));
    wakeSleeper(e);
    if (--n == 0)
      return;
  }
}

void WaitQueue::remove(WaitEntry &e) {
  IrqSpinGuard g(lock);
  if (e.state.load(std::memory_order_relaxed) != WaitEntry::Queued)
    return;
  e.state.store(WaitEntry::Idle, std::memory_order_relaxed);
  entries.erase(entries.iterator_to(e));
}

// ---- Blocking with a deadline and signals

namespace {
struct WakeTimer : Timer {
  Thread *thread;
  std::atomic<bool> fired{false};
};
void wakeTimerFired(Timer &t) {
  auto &w = static_cast<WakeTimer &>(t);
  w.fired.store(true, std::memory_order_release);
  w.thread->wake();
}
} // namespace

Result<void> blockWithTimer(Nanos deadline, WaitMode mode) {
  WakeTimer timer;
  timer.thread = &current();
  timer.fn = wakeTimerFired;
  armTimer(timer, deadline);
  block();
  cancelTimer(timer); // even when it fired: the callback may still be returning on another CPU
  return timer.fired.load(std::memory_order_acquire) ? Result<void>(Errno::TimedOut) : Result<void>();
}

Result<void> sleepUntil(Nanos deadline, WaitMode mode) {
  for (;;) {
    prepareToBlock();
    if (monotonicNow() >= deadline)
      return {};
    Result<void> r = blockUntil(deadline, mode);
    if (!r.ok() && r.error() != Errno::TimedOut)
      return r;
  }
}

// ---- Waiter

void Waiter::leave() {
  queue.remove(entry);
  if (gaveUp && entry.state.load(std::memory_order_acquire) == WaitEntry::Woken)
    queue.wakeOne();
}

Result<void> Waiter::wait(SpinLock &held, Nanos deadline, WaitMode mode) {
  prepareToBlock();
  held.unlockRaw();
  preemptEnable();
  Result<void> r = sleep(deadline, mode);
  preemptDisable();
  held.lockRaw();
  requeue();
  return r;
}

Result<void> Waiter::wait(Nanos deadline, WaitMode mode) {
  prepareToBlock();
  Result<void> r = sleep(deadline, mode);
  requeue();
  return r;
}

// ---- Mutex

// A waiter queues, marks the mutex contended, and sleeps; the owner finds the mark when it unlocks, and wakes one. The
// mark goes with the unlocking, so whoever has waited takes the mutex with the mark on it: others may still be queued.

void Mutex::lockSlow() {
  Waiter w(waiters);
  for (;;) {
    uintptr_t seen = word.load(std::memory_order_relaxed);
    VERIFY((seen & ~kContended) != me());
    if (seen == 0) {
      if (word.compare_exchange_strong(seen, me() | kContended, std::memory_order_acquire))
        return;
    } else if ((seen & kContended) || word.compare_exchange_strong(seen, seen | kContended)) {
      (void)w.wait(kForever, WaitMode::Uninterruptible);
    }
  }
}

void Mutex::unlockSlow() {
  if (!heldByMe())
    panic("a mutex is released by a thread that does not hold it");
  word.store(0, std::memory_order_seq_cst);
  waiters.wakeOne();
}

// ---- RwMutex
//
// Uncontended it is one compare-and-exchange each way (every page fault takes it). A waiter announces itself, by its
// place on the queue and for a writer in `writersWaiting`, before it tests `state` for the last time; who releases
// changes `state` before it looks for waiters. All of these are sequentially consistent, so one of the two sees the
// other.

bool RwMutex::tryShared() {
  int32_t s = state.load(std::memory_order_relaxed);
  while (s >= 0 && writersWaiting.load() == 0)
    if (state.compare_exchange_weak(s, s + 1)) [[likely]]
      return true;
  return false;
}

bool RwMutex::tryExclusive() {
  int32_t s = 0;
  return state.compare_exchange_strong(s, -1);
}

void RwMutex::waitShared() {
  SpinGuard g(spin);
  Waiter w(readers);
  while (!tryShared())
    (void)w.wait(spin, kForever, WaitMode::Uninterruptible);
}

void RwMutex::waitExclusive() {
  SpinGuard g(spin);
  writersWaiting.fetch_add(1);
  Waiter w(writers);
  while (!tryExclusive())
    (void)w.wait(spin, kForever, WaitMode::Uninterruptible);
  writersWaiting.fetch_sub(1);
}

void RwMutex::lockShared() {
  if (!tryShared()) [[unlikely]]
    waitShared();
}

void RwMutex::unlockShared() {
  int32_t before = state.fetch_sub(1);
  VERIFY(before > 0);
  if (before == 1 && writersWaiting.load() != 0) [[unlikely]]
    writers.wakeOne();
}

void RwMutex::lock() {
  if (!tryExclusive()) [[unlikely]]
    waitExclusive();
}

void RwMutex::unlock() {
  VERIFY(state.load(std::memory_order_relaxed) == -1);
  state.store(0);
  if (writersWaiting.load() != 0)
    writers.wakeOne();
  else
    readers.wakeAll();
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Blocking: a thread waits on a queue until a condition holds, a deadline passes or a signal comes.
//
// The usual pattern, free of lost wake-ups: the waker changes the condition and calls `wake*` under (or after) the lock
// that protects it; the waiter is on the queue before it tests the condition.
//
//     IrqSpinGuard / SpinGuard g(lock);   or any Mutex
//     Waiter w(queue);
//     while (!condition)
//       TRY(w.wait(lock, deadline));      // releases the lock while asleep
//
// Wake functions may be called from any context, with any spin lock held; they never sleep.
#pragma once
#include "kernel/lib/Result.h"
#include "kernel/lib/SpinLock.h"
#include "kernel/lib/Types.h"
#include "kernel/sched/Scheduler.h"
#include <atomic>
#include <boost/intrusive/list.hpp>

namespace osv {

struct Thread;
class Mutex;

enum class WaitMode : uint8_t { Interruptible, Uninterruptible };

struct WaitEntry : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>> {
  /// Written under the queue's lock, but for Woken -> Idle by the waiter. Waking comes before the thread is woken: a
  /// waiter that has cleared its `wakePending` too late for that sees it. Woken is a waker's last access to the entry.
  enum State : uint8_t { Idle, Queued, Waking, Woken };
  Thread *thread = nullptr;
  /// Called under the queue's lock by a wake, and stays in the queue; null: `thread` is woken, and the entry leaves.
  /// (epoll uses it.) Returns true when it counts as one of the `n` woken.
  bool (*notify)(WaitEntry &self, uint32_t events) = nullptr;
  std::atomic<State> state{Idle};
};

class WaitQueue {
public:
  /// Wakes up to `n` (at least one) entries in FIFO order; `events` (EPOLL* bits) is passed to notify callbacks. A
  /// waiter that comes while this looks tests its condition after it has queued; both sides have a locked instruction
  /// between.
  void wake(unsigned n = ~0u, uint32_t events = ~0u) {
    if (!empty())
      wakeQueued(n, events);
  }
  void wakeOne(uint32_t events = ~0u) { wake(1, events); }
  void wakeAll(uint32_t events = ~0u) { wake(~0u, events); }
  void add(WaitEntry &e) {
    IrqSpinGuard g(lock);
    insert(e);
  }
  void remove(WaitEntry &e); ///< no-op when not queued; after it returns no callback runs or will run
  bool empty() const { return entries.begin() == entries.end(); }

private:
  friend class Waiter;
  void wakeQueued(unsigned n, uint32_t events);
  void insert(WaitEntry &e) {
    e.state.store(WaitEntry::Queued, std::memory_order_relaxed);
    entries.push_back(e);
    // The waiter tests its condition now, and wake() looks at the list without the lock.
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }

  mutable SpinLock lock;
  boost::intrusive::list<WaitEntry, boost::intrusive::constant_time_size<false>> entries;
};

/// One thread's wait: queues on construction, leaves on destruction. Lives on the waiter's stack. A wake takes it off
/// the queue; it is on it again, at the end, when the wait returns (with a mutex: when the next wait begins).
class Waiter {
public:
  explicit Waiter(WaitQueue &q) : queue(q) {
    entry.thread = &current();
    join();
  }
  ~Waiter() {
    if (entry.state.load(std::memory_order_acquire) != WaitEntry::Idle) [[unlikely]]
      leave();
  }
  /// Sleeps until woken. The lock is released while asleep and held again on return. Error: TimedOut when `deadline`
  /// (monotonic) passes; RestartSys when a signal is deliverable (Interruptible only). Spurious returns are allowed.
  Result<void> wait(SpinLock &held, Nanos deadline = kForever,
                    WaitMode mode = WaitMode::Interruptible); ///< held by a SpinGuard (interrupts on)
  /// For a condition that changes only under the mutex.
  Result<void> wait(Mutex &held, Nanos deadline = kForever, WaitMode mode = WaitMode::Interruptible);
  Result<void> wait(Nanos deadline = kForever, WaitMode mode = WaitMode::Interruptible); ///< no lock

private:
  /// Between prepareToBlock and the next test of the condition.
  Result<void> sleep(Nanos deadline, WaitMode mode);
  /// Has a wake come? Then the waker is done with the entry.
  bool takeWake() {
    WaitEntry::State state = entry.state.load(std::memory_order_acquire);
    while (state == WaitEntry::Waking) [[unlikely]] {
      arch::pause(); // the waker, on another CPU, has interrupts off and is about to finish
      state = entry.state.load(std::memory_order_acquire);
    }
    if (state != WaitEntry::Woken)
      return false;
    entry.state.store(WaitEntry::Idle, std::memory_order_relaxed);
    return true;
  }
  void join() { // what sleeps has interrupts on
    IrqOffSpinGuard g(queue.lock);
    queue.insert(entry);
  }
  void requeue() {
    if (entry.state.load(std::memory_order_relaxed) == WaitEntry::Idle) [[unlikely]]
      join();
  }
  OSV_COLD void leave();

  WaitQueue &queue;
  WaitEntry entry;
  bool gaveUp = false; ///< the last wait failed: a wake that came since belongs to somebody else
};

/// A sleeping lock; owner is a thread, not recursive. Not in interrupt context.
class Mutex {
public:
  void lock() {
    Thread *none = nullptr;
    if (!owner.compare_exchange_strong(none, &current(), std::memory_order_acquire)) [[unlikely]]
      lockSlow(none);
  }
  bool tryLock();
  void unlock() {
    if (!heldByMe()) [[unlikely]]
      notHeld();
    owner.exchange(nullptr, std::memory_order_seq_cst); // locked: a waiter that queued before it is seen here
    if (!waiters.empty()) [[unlikely]]
      wakeNext();
  }
  bool heldByMe() const { return owner.load(std::memory_order_relaxed) == &current(); }

private:
  OSV_COLD void lockSlow(Thread *holder);
  OSV_COLD void wakeNext();
  [[noreturn]] static void notHeld();
  std::atomic<Thread *> owner{nullptr};
  WaitQueue waiters;
};
class MutexGuard {
public:
  explicit MutexGuard(Mutex &m) : m(m) { m.lock(); }
  ~MutexGuard() { m.unlock(); }
  MutexGuard(const MutexGuard &) = delete;

private:
  Mutex &m;
};

/// Many readers or one writer; writers do not starve. Sleeps.
class RwMutex {
public:
  void lockShared();
  void unlockShared();
  void lock();
  void unlock();

private:
  bool tryShared();
  bool tryExclusive();
  void waitShared();
  void waitExclusive();

  SpinLock spin;                 ///< only for those who wait
  std::atomic<int32_t> state{0}; ///< > 0: readers; -1: a writer
  std::atomic<uint32_t> writersWaiting{0};
  WaitQueue readers, writers;
};
struct ReadGuard {
  explicit ReadGuard(RwMutex &m) : m(m) { m.lockShared(); }
  ~ReadGuard() { m.unlockShared(); }
  RwMutex &m;
};
struct WriteGuard {
  explicit WriteGuard(RwMutex &m) : m(m) { m.lock(); }
  ~WriteGuard() { m.unlock(); }
  RwMutex &m;
};

/// The primitive under all of these: between prepareToBlock and the waiter's own test it has made itself findable;
/// blocks until Thread::wake. Ok when woken (or spuriously), TimedOut, or RestartSys when a signal is deliverable
/// (Interruptible only; tested before blocking too).
OSV_COLD Result<void> blockWithTimer(Nanos deadline, WaitMode mode);
/// `r`, or RestartSys instead of ok when a signal is deliverable.
inline Result<void> orInterrupted(Result<void> r, WaitMode mode) {
  bool interrupted = mode == WaitMode::Interruptible && (gate().work & kWorkSignal);
  return r.ok() && interrupted ? Result<void>(Errno::RestartSys) : r;
}
/// blockUntil for those who see for themselves whether they were woken: a signal that came while it slept is not looked
/// for, which they do (orInterrupted) when it was nothing else.
inline Result<void> blockOnce(Nanos deadline, WaitMode mode) {
  if (mode == WaitMode::Interruptible && (gate().work & kWorkSignal)) [[unlikely]]
    return Errno::RestartSys;
  if (deadline != kForever) [[unlikely]]
    return blockWithTimer(deadline, mode);
  block();
  return {};
}
inline Result<void> blockUntil(Nanos deadline, WaitMode mode) { return orInterrupted(blockOnce(deadline, mode), mode); }

#if !defined(OSV_HOST_TEST) // the unit tests have their own
inline Result<void> Waiter::sleep(Nanos deadline, WaitMode mode) {
  gaveUp = false;
  if (takeWake()) [[unlikely]]
    return {};
  Result<void> r = blockOnce(deadline, mode);
  if (takeWake()) [[likely]]
    return {};
  r = orInterrupted(r, mode);
  gaveUp = !r.ok();
  return r;
}

[[gnu::always_inline]] inline Result<void> Waiter::wait(Mutex &held, Nanos deadline, WaitMode mode) {
  requeue();
  prepareToBlock();
  held.unlock(); // may wake and be preempted, never blocks
  Result<void> r = sleep(deadline, mode);
  // Taking the mutex may block, and so clear a wake-up meant for us: the entry's state keeps it for the next wait.
  held.lock();
  return r;
}
#endif

/// Sleeps until the deadline. TimedOut never: ok means the time has come; RestartSys when interrupted.
Result<void> sleepUntil(Nanos deadline, WaitMode mode = WaitMode::Interruptible);

} // namespace osv

#include "kernel/sched/Thread.h" // prepareToBlock; it needs the types above

// SPDX-License-Identifier: BSD-3-Clause
//
// Blocking: a thread waits on a queue until a condition holds, a deadline passes or a signal comes.
//
// The usual pattern, free of lost wake-ups: the waker changes the condition and calls `wake*` under (or after) the lock
// that protects it; the waiter is on the queue before it tests the condition.
//
//     IrqSpinGuard / SpinGuard g(lock);
//     Waiter w(queue);
//     while (!condition)
//       TRY(w.wait(lock, deadline));      // releases the lock while asleep
//
// With a Mutex: waitUntil.
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
  /// `add` for a waiter whose wakers hold a lock that it holds now too: no fence. Interrupts on.
  void insertUnderMutex(WaitEntry &e) {
    arch::disableInterrupts();
    lock.lockRaw();
    e.state.store(WaitEntry::Queued, std::memory_order_relaxed);
    entries.push_back(e);
    lock.unlockRaw();
    arch::enableInterrupts();
  }
  void remove(WaitEntry &e); ///< no-op when not queued; after it returns no callback runs or will run
  bool empty() const { return entries.begin() == entries.end(); }

private:
  friend class Waiter;
  void wakeQueued(unsigned n, uint32_t events);
  OSV_COLD void wakeMore(unsigned n, uint32_t events); ///< locked
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
    uintptr_t free = 0;
    if (!word.compare_exchange_strong(free, me(), std::memory_order_acquire)) [[unlikely]]
      lockSlow();
  }
  bool tryLock() {
    uintptr_t free = 0;
    return word.compare_exchange_strong(free, me(), std::memory_order_acquire);
  }
  void unlock() {
    uintptr_t mine = me();
    if (!word.compare_exchange_strong(mine, 0, std::memory_order_release)) [[unlikely]]
      unlockSlow();
  }
  bool heldByMe() const { return (word.load(std::memory_order_relaxed) & ~kContended) == me(); }

private:
  static constexpr uintptr_t kContended = 1;
  static uintptr_t me() { return reinterpret_cast<uintptr_t>(&current()); }
  OSV_COLD void lockSlow();
  OSV_COLD void unlockSlow();
  std::atomic<uintptr_t> word{0}; ///< 0: free; the owner's Thread *, and kContended when somebody may wait
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
#if defined(OSV_HOST_TEST)
Result<void> blockOnce(Nanos deadline, WaitMode mode);
#else
inline Result<void> blockOnce(Nanos deadline, WaitMode mode) {
  if (mode == WaitMode::Interruptible && (gate().work & kWorkSignal)) [[unlikely]]
    return Errno::RestartSys;
  if (deadline != kForever) [[unlikely]]
    return blockWithTimer(deadline, mode);
  block();
  return {};
}
#endif
inline Result<void> blockUntil(Nanos deadline, WaitMode mode) { return orInterrupted(blockOnce(deadline, mode), mode); }

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

/// One sleep of a waiter that is on its queue; a wake comes when `held`, which is released meanwhile, is free.
[[gnu::always_inline]] inline Result<void> sleepUnlocked(Mutex &held) {
  prepareToBlock();
  held.unlock(); // may wake and be preempted, never blocks
  Result<void> r = blockOnce(kForever, WaitMode::Interruptible);
  held.lock();
  return r;
}

/// The rest of waitUntil, after a sleep that ended with `r`: it was not woken, or the condition does not hold.
template <typename Condition>
OSV_COLD Result<void> waitAgain(Mutex &held, WaitQueue &queue, Condition &condition, WaitEntry &entry, Result<void> r) {
  for (;;) {
    bool met = condition();
    queue.remove(entry); // waits for a waker that has the entry in hand
    if (met)
      return {};
    TRY(orInterrupted(r, WaitMode::Interruptible));
    queue.insertUnderMutex(entry);
    r = sleepUnlocked(held);
  }
}

/// Sleeps on `queue` until `condition()` holds, which it does not now. The condition changes, and the queue is woken,
/// under `held` only, which is released while asleep. RestartSys when a signal is deliverable before that.
template <typename Condition>
[[gnu::always_inline]] inline Result<void> waitUntil(Mutex &held, WaitQueue &queue, Condition condition) {
  WaitEntry entry;
  entry.thread = &current();
  queue.insertUnderMutex(entry);
  Result<void> r = sleepUnlocked(held);
  if (entry.state.load(std::memory_order_acquire) == WaitEntry::Woken && condition()) [[likely]]
    return {};
  return waitAgain(held, queue, condition, entry, r);
}

/// Sleeps until the deadline. TimedOut never: ok means the time has come; RestartSys when interrupted.
Result<void> sleepUntil(Nanos deadline, WaitMode mode = WaitMode::Interruptible);

} // namespace osv

#include "kernel/sched/Thread.h" // prepareToBlock; it needs the types above

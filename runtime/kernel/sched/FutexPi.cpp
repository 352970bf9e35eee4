// SPDX-License-Identifier: BSD-3-Clause
//
// Priority-inheritance futexes, and what a dying thread leaves of both kinds (robust lists).
//
// The word is the truth: the owner's tid, FUTEX_WAITERS, FUTEX_OWNER_DIED. The uncontended case never comes here. Here
// the word is handed over: unlock writes the tid of the waiter with the highest priority (first come, first served
// among equals) and wakes it, so that nobody can slip in between. While threads wait, the owner runs at the highest
// real-time priority among them, through chains of owners that wait themselves; a chain that closes is EDEADLK.
//
// One lock, `piLock`, covers all of this: the list of all PI waiters, their `owner`, `Thread::piBlockedOn` and
// `piExited`. It is taken only when threads really wait for each other. Order: piLock, then a bucket's lock,
// Process::threadsLock, run queues.
//
// A thread may also be moved here while it sleeps (FUTEX_WAIT_REQUEUE_PI): it waits for a condition like any sleeper,
// and FUTEX_CMP_REQUEUE_PI takes the lock for it, or makes it wait for the lock, as if it had called LOCK_PI itself.
//
// `owner` is never stale: a thread passes through futexThreadExit before it goes, which hands over what it owns under
// piLock, and cannot become an owner afterwards.
#include "kernel/Process.h"
#include "kernel/lib/UserPtr.h"
#include "kernel/sched/FutexTable.h"
#include "kernel/sched/Scheduler.h"
#include <linux/futex.h>

namespace osv {
namespace futex {

/// A Sleeper of a PI futex; also in the list of all of them.
struct PiWaiter : Sleeper {
  VAddr word; ///< the lock
  Key lock;   ///< its key, while `key` is still that of the condition (RequeuePi)
  Thread *owner = nullptr;
  bool lookAgain = false; ///< woken without the lock
  PiWaiter *nextPi = nullptr, *previousPi = nullptr;
};

namespace {
SpinLock piLock;
PiWaiter *allWaiters;               ///< under piLock, newest first
std::atomic<uint32_t> piWaiters{0}; ///< how many; read without the lock by exiting threads

void link(PiWaiter &w) {
  w.nextPi = allWaiters;
  w.previousPi = nullptr;
  if (allWaiters)
    allWaiters->previousPi = &w;
  allWaiters = &w;
  piWaiters.fetch_add(1);
}
void unlink(PiWaiter &w) {
  (w.previousPi ? w.previousPi->nextPi : allWaiters) = w.nextPi;
  if (w.nextPi)
    w.nextPi->previousPi = w.previousPi;
  piWaiters.fetch_sub(1);
}

/// Sets what `t` runs at: its own real-time priority, or the highest of those that wait for it; then what `t` itself
/// waits for. piLock held.
void inheritPriority(Thread *t) {
  for (unsigned depth = 0; t && depth < 64; depth++) {
    uint8_t highest = t->rtPriority;
    for (PiWaiter *w = allWaiters; w; w = w->nextPi)
      if (w->owner == t && w->thread->run.rtPriority > highest)
        highest = w->thread->run.rtPriority;
    if (highest == t->run.rtPriority)
      return;
    boostPriority(*t, highest);
    t = t->piBlockedOn ? t->piBlockedOn->owner : nullptr;
  }
}

/// The waiter for `k` that comes next; `*more`: there are others. Both locks held.
PiWaiter *topWaiter(const Key &k, bool *more) {
  PiWaiter *best = nullptr;
  *more = false;
  for (PiWaiter *w = allWaiters; w; w = w->nextPi) { // newest first: the last of the highest is the oldest
    if (!(w->key == k))
      continue;
    *more = best != nullptr;
    if (!best || w->thread->run.rtPriority >= best->thread->run.rtPriority)
      best = w;
  }
  return best;
}

/// `w` leaves the waiters of its futex, as the owner or because it gave up. Both locks held.
void leave(Bucket &b, PiWaiter &w) {
  unlink(w);
  w.thread->piBlockedOn = nullptr;
}

/// Makes `next` the owner in the kernel's eyes (the word says so already), and wakes it. Both locks held.
void passTo(Bucket &b, PiWaiter &next) {
  Key k = next.key;
  Thread *owner = next.thread;
  leave(b, next);
  for (PiWaiter *w = allWaiters; w; w = w->nextPi)
    if (w->key == k)
      w->owner = owner;
  inheritPriority(owner);
  wakeWaiter(b, next);
}

struct PiGuard {
  SpinGuard pi{piLock};
};

enum class Step { Done, Retry, FaultRead, FaultWrite };

/// Takes the lock `k` at `word` for `who` if it is free: Done, with `*owner` null. Else `*owner` is who holds it, which
/// the word tells to go through the kernel from now on. Done with an error: EDEADLK, ESRCH, EAGAIN (held, `tryOnly`).
/// Both locks held.
Step claim(const Key &k, VAddr word, Thread &who, bool tryOnly, Thread **owner, Result<void> *result) {
  auto tid = static_cast<uint32_t>(who.tid);
  uint32_t value, seen;
  *owner = nullptr;
  *result = {};
  if (!loadNow(word, value))
    return Step::FaultRead;
  if ((value & FUTEX_TID_MASK) == 0) {
    bool more;
    uint32_t keep = (value & FUTEX_OWNER_DIED) | (topWaiter(k, &more) ? FUTEX_WAITERS : 0);
    if (!exchangeNow(word, value, tid | keep, seen))
      return Step::FaultWrite;
    return seen == value ? Step::Done : Step::Retry;
  }
  if ((value & FUTEX_TID_MASK) == tid) {
    *result = Errno::DeadLk;
    return Step::Done;
  }
  if (tryOnly) {
    *result = Errno::Again;
    return Step::Done;
  }
  Ref<Thread> holder = currentProcess().findThread(static_cast<int32_t>(value & FUTEX_TID_MASK));
  if (!holder || holder->piExited) {
    *result = Errno::Srch; // dead without having unlocked, and the lock was not on its robust list
    return Step::Done;
  }
  for (PiWaiter *p = holder->piBlockedOn; p; p = p->owner->piBlockedOn)
    if (p->owner == &who) {
      *result = Errno::DeadLk;
      return Step::Done;
    }
  if (!(value & FUTEX_WAITERS)) {
    if (!exchangeNow(word, value, value | FUTEX_WAITERS, seen))
      return Step::FaultWrite;
    if (seen != value)
      return Step::Retry;
  }
  *owner = holder.get();
  return Step::Done;
}

/// `w`, which is on no bucket's list, waits for `owner` from now on. Both locks held.
void waitFor(Bucket &b, PiWaiter &w, Thread *owner) {
  w.owner = owner;
  enqueue(b, w);
  link(w);
  w.thread->piBlockedOn = &w;
  inheritPriority(owner);
}

/// Queues `w` behind the owner that the word names, or takes the lock. Done with `taken` false: queued.
Step lockOrQueue(PiWaiter &w, bool tryOnly, bool *taken, Result<void> *result) {
  Bucket &b = bucketOf(w.key);
  PiGuard pg;
  SpinGuard g(b.lock);
  Thread *owner;
  Step step = claim(w.key, w.word, *w.thread, tryOnly, &owner, result);
  *taken = !owner;
  if (step == Step::Done && owner) {
    prepareToBlock();
    waitFor(b, w, owner);
  }
  return step;
}

/// Hands the lock at `k` to the next waiter, with `died` in the word, or frees it. The caller owns it. Both locks held
/// inside.
Step handOver(const Key &k, VAddr word, uint32_t tid, uint32_t died, Result<void> *result) {
  Bucket &b = bucketOf(k);
  PiGuard pg;
  SpinGuard g(b.lock);
  uint32_t value, seen;
  *result = {};
  if (!loadNow(word, value))
    return Step::FaultRead;
  // The robust list may have taken the tid out already.
  if ((value & FUTEX_TID_MASK) != tid && !(died && (value & FUTEX_OWNER_DIED) && (value & FUTEX_TID_MASK) == 0)) {
    *result = Errno::Perm;
    return Step::Done;
  }
  bool more;
  PiWaiter *next = topWaiter(k, &more);
  uint32_t desired = next ? static_cast<uint32_t>(next->thread->tid) | (more ? FUTEX_WAITERS : 0) | died : died;
  if (!exchangeNow(word, value, desired, seen))
    return Step::FaultWrite;
  if (seen != value)
    return Step::Retry;
  if (next) {
    passTo(b, *next);
    inheritPriority(&current());
  }
  return Step::Done;
}

/// A PI waiter that was not woken gives up; false when it was woken after all.
bool giveUp(PiWaiter &w) {
  Bucket &b = bucketOf(w.key); // who waits for a PI lock is not moved any more
  PiGuard pg;
  SpinGuard g(b.lock);
  if (!w.bucket.load(std::memory_order_relaxed))
    return false;
  b.waiters.erase(b.waiters.iterator_to(w));
  w.bucket.store(nullptr, std::memory_order_relaxed);
  leave(b, w);
  inheritPriority(w.owner);
  return true;
}
} // namespace
} // namespace futex

using namespace futex;

Result<void> futexLockPi(VAddr word, FutexScope scope, Nanos deadline, bool tryOnly) {
  PiWaiter w;
  w.key = TRY(keyOf(word, scope));
  w.word = word;
  w.kind = Sleeper::Pi;
  w.thread = &current();
  for (;;) {
    bool taken;
    Result<void> result;
    switch (lockOrQueue(w, tryOnly, &taken, &result)) {
    case Step::FaultRead:
      TRY(faultIn(word, false));
      continue;
    case Step::FaultWrite:
      TRY(faultIn(word, true));
      continue;
    case Step::Retry:
      continue;
    case Step::Done:
      break;
    }
    if (taken)
      return result;
    Result<void> r = sleepOn(w, deadline);
    if (r.ok() || !giveUp(w)) {
      if (!w.lookAgain)
        return {};
      w.lookAgain = false;
      continue;
    }
    return r.error() == Errno::RestartSys ? Errno::RestartNoIntr : r.error();
  }
}

Result<void> futexUnlockPi(VAddr word, FutexScope scope) {
  uint32_t value; // looked at before its address is
  TRY(copyFromUser(&value, word, sizeof value));
  if ((value & FUTEX_TID_MASK) != static_cast<uint32_t>(current().tid))
    return Errno::Perm;
  Key k = TRY(keyOf(word, scope));
  for (;;) {
    Result<void> result;
    switch (handOver(k, word, static_cast<uint32_t>(current().tid), 0, &result)) {
    case Step::FaultRead:
      TRY(faultIn(word, false));
      continue;
    case Step::FaultWrite:
      TRY(faultIn(word, true));
      continue;
    case Step::Retry:
      continue;
    case Step::Done:
      return result;
    }
  }
}

// ---- From a condition to a lock

Result<void> futexWaitRequeuePi(VAddr word, FutexScope scope, uint32_t expected, VAddr lock, Nanos deadline) {
  PiWaiter w;
  w.key = TRY(keyOf(word, scope));
  w.lock = TRY(keyOf(lock, scope));
  if (w.key == w.lock)
    return Errno::Inval;
  w.word = lock;
  w.kind = Sleeper::RequeuePi;
  w.thread = &current();
  TRY(queueIfEqual(w, word, expected));
  Result<void> r = sleepOn(w, deadline);
  if (!r.ok() && w.kind != Sleeper::Pi) // off the queue, so nobody moves it now
    return r.error() == Errno::RestartSys ? Errno::RestartNoIntr : r.error();
  if (r.ok() || !giveUp(w))
    return w.lookAgain ? futexLockPi(lock, scope, deadline, false) : Result<void>();
  // It waited for the lock already, and to do the call again would be to wait for the condition once more.
  return r.error() == Errno::RestartSys ? Errno::Again : r.error();
}

namespace {
/// One look at all waiters of `from`; `*count`: how many have been moved or woken so far. Done: `result` tells.
Step requeueToLock(const Key &from, const Key &to, VAddr word, VAddr lock, unsigned most, uint32_t expected,
                   unsigned *count, Result<void> *result) {
  Bucket &a = bucketOf(from), &b = bucketOf(to);
  PiGuard pg;
  TwoBuckets g(a, b);
  uint32_t value;
  *result = {};
  if (*count == 0) { // else it was so when this began
    if (!loadNow(word, value))
      return Step::FaultRead;
    if (value != expected) {
      *result = Errno::Again;
      return Step::Done;
    }
  }
  for (auto it = a.waiters.begin(); it != a.waiters.end() && *count < most;) {
    Sleeper &sleeper = *it++;
    if (!(sleeper.key == from))
      continue;
    auto *waiter = sleeper.kind == Sleeper::RequeuePi ? static_cast<PiWaiter *>(&sleeper) : nullptr;
    if (!waiter || !(waiter->lock == to)) {
      *result = Errno::Inval;
      return Step::Done;
    }
    PiWaiter &w = *waiter;
    Thread *owner;
    Step step = claim(to, lock, *w.thread, false, &owner, result);
    if (step == Step::FaultRead)
      return Step::FaultWrite; // both are of the lock's word
    if (step != Step::Done || !result->ok())
      return step;
    ++*count;
    if (!owner) {
      wakeWaiter(a, w);
      continue;
    }
    a.waiters.erase(a.waiters.iterator_to(w));
    w.key = to;
    w.kind = Sleeper::Pi;
    waitFor(b, w, owner);
  }
  return Step::Done;
}
} // namespace

Result<unsigned> futexRequeuePi(VAddr word, VAddr lock, FutexScope scope, unsigned moved, uint32_t expected) {
  Key from = TRY(keyOf(word, scope)), to = TRY(keyOf(lock, scope));
  if (from == to)
    return Errno::Inval;
  unsigned count = 0;
  for (;;) {
    Result<void> result;
    switch (requeueToLock(from, to, word, lock, moved + 1, expected, &count, &result)) {
    case Step::FaultRead:
      TRY(faultIn(word, false));
      continue;
    case Step::FaultWrite:
      TRY(faultIn(lock, true));
      continue;
    case Step::Retry:
      continue;
    case Step::Done:
      TRY(result);
      return count;
    }
  }
}

// ---- Thread exit

namespace {

constexpr unsigned kRobustLimit = 2048; ///< as Linux: a circular list must not hold the kernel for ever

/// One lock of a robust list: if the dying thread holds it, says so in the word and wakes a waiter. False: bad address.
bool markOwnerDied(const Thread &t, VAddr word, bool pi, bool pending) {
  if (word.value & 3)
    return false;
  uint32_t value;
  if (!isUserRange(word.value, 4) || !loadNow(word, value))
    return false;
  for (;;) {
    // Died between unlocking in user space and the wake-up: a waiter must be told, for the word is free.
    if (pending && !pi && value == 0) {
      (void)futexWake(word, FutexScope::Shared, 1);
      return true;
    }
    if ((value & FUTEX_TID_MASK) != static_cast<uint32_t>(t.tid))
      return true;
    uint32_t seen;
    if (!exchangeNow(word, value, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED, seen))
      return false;
    if (seen == value)
      break;
    value = seen;
  }
  if (!pi && (value & FUTEX_WAITERS))
    (void)futexWake(word, FutexScope::Shared, 1);
  return true;
}

void walkRobustList(Thread &t) {
  struct robust_list_head head;
  if (!copyFromUser(&head, VAddr(t.robustList), sizeof head).ok())
    return;
  auto offset = static_cast<uint64_t>(head.futex_offset);
  auto entry = reinterpret_cast<uint64_t>(head.list.next), pending = reinterpret_cast<uint64_t>(head.list_op_pending);
  for (unsigned n = 0; (entry & ~1ull) != t.robustList && n < kRobustLimit; n++) {
    // Read the link first: once the word says so, another thread may free the lock.
    uint64_t next;
    bool haveNext = copyFromUser(&next, VAddr(entry & ~1ull), sizeof next).ok();
    if ((entry & ~1ull) != (pending & ~1ull) && !markOwnerDied(t, VAddr((entry & ~1ull) + offset), entry & 1, false))
      return;
    if (!haveNext)
      return;
    entry = next;
  }
  if (pending & ~1ull)
    markOwnerDied(t, VAddr((pending & ~1ull) + offset), pending & 1, true);
}

/// Hands over every PI lock that others wait for and `t` owns.
void releasePiLocks(Thread &t) {
  auto tid = static_cast<uint32_t>(t.tid);
  for (;;) {
    Key k;
    VAddr word;
    {
      SpinGuard g(piLock);
      t.piExited = true;
      PiWaiter *w = allWaiters;
      while (w && w->owner != &t)
        w = w->nextPi;
      if (!w)
        return;
      k = w->key;
      word = w->word;
    }
    Result<void> result;
    Step step = handOver(k, word, tid, FUTEX_OWNER_DIED, &result);
    bool there = step != Step::FaultRead && step != Step::FaultWrite;
    if (!there)
      there = faultIn(word, step == Step::FaultWrite).ok();
    if (there && result.ok())
      continue;
    // The program has unmapped the word or written over it: the waiters find out for themselves when they look again.
    PiGuard pg;
    Bucket &b = bucketOf(k);
    SpinGuard g(b.lock);
    for (PiWaiter *w = allWaiters, *next; w; w = next) {
      next = w->nextPi;
      if (w->owner != &t)
        continue;
      if (!(w->key == k))
        continue;
      leave(b, *w);
      w->lookAgain = true;
      wakeWaiter(b, *w);
    }
  }
}
} // namespace

void futexThreadExit(Thread &t) {
  if (t.robustList && !t.process->exiting.load(std::memory_order_relaxed))
    walkRobustList(t);
  releasePiLocks(t);
}

} // namespace osv

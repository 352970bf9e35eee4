// SPDX-License-Identifier: BSD-3-Clause
//
// Futexes without priority inheritance: wait, wake, requeue, wake-op, and waiting on several. The table and its rules
// are FutexTable.h.
#include "kernel/sched/Futex.h"
#include "kernel/Process.h"
#include "kernel/lib/UserPtr.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/mm/Heap.h"
#include "kernel/sched/FutexTable.h"
#include "kernel/sched/Wake.h"
#include <linux/futex.h>
#include <new>

namespace osv {
namespace futex {

namespace {
constexpr unsigned kBuckets = 1u << kBucketBits;
alignas(Bucket) std::byte bucketStorage[kBuckets * sizeof(Bucket)]; // the kernel runs no global constructors
Bucket *buckets() { return reinterpret_cast<Bucket *>(bucketStorage); }

[[gnu::always_inline]] inline void wakeInline(Bucket &b, Sleeper &w) {
  b.waiters.erase(b.waiters.iterator_to(w));
  arch::disableInterrupts();
  sched::wakeBlocked(*w.thread);
  arch::enableInterrupts(); // preemption is off: the bucket is locked
  w.bucket.store(nullptr, std::memory_order_release);
}

/// Wakes up to `n` (at least one) waiters of `k`. Bucket locked. EINVAL when one of them waits for a PI lock.
OSV_COLD Result<long> wakeLocked(Bucket &b, Key k, unsigned n, uint32_t bits) {
  unsigned count = 0;
  for (auto it = b.waiters.begin(); it != b.waiters.end() && count < n;) {
    Sleeper &w = *it++;
    if (!(w.key == k))
      continue;
    if (w.kind != Sleeper::Plain)
      return Errno::Inval;
    if (!(w.bits & bits))
      continue;
    wakeWaiter(b, w);
    count++;
  }
  return long{count};
}
} // namespace

Bucket &bucketOf(const Key &k) { return buckets()[hashOf(k)]; }

namespace {
/// The key of a word without FUTEX_PRIVATE_FLAG: what is mapped there decides.
OSV_COLD Result<Key> sharedKey(AddressSpace &space, VAddr word) {
  if (space.isShared(word)) {
    for (;;) {
      arch::Mapping m;
      if (space.pageTable().query(word, m))
        return Key{1, m.phys.pageDown().value + word.pageOffset()};
      TRY(faultIn(word, false));
    }
  }
  // The page is looked up, so it must be there. An anonymous one that cannot be written would never change: EFAULT.
  if (!faultIn(word, true).ok() && (space.isAnonymous(word) || !faultIn(word, false).ok()))
    return Errno::Fault;
  return Key{reinterpret_cast<uint64_t>(&space), word.value};
}

// The helpers of wait and wake are inline: their results stay in registers.
[[gnu::always_inline]] inline Result<Key> keyOfInline(VAddr word, FutexScope scope) {
  if (word.value & 3) [[unlikely]]
    return Errno::Inval;
  if (!isUserRange(word.value, sizeof(uint32_t))) [[unlikely]]
    return Errno::Fault;
  AddressSpace &space = *currentProcess().addressSpace;
  Key k{reinterpret_cast<uint64_t>(&space), word.value};
  if (scope == FutexScope::Shared) [[unlikely]] {
    Result<Key> shared = sharedKey(space, word);
    if (!shared.ok())
      return shared;
    k = {shared->space, shared->offset};
  }
  return k;
}
} // namespace

Result<Key> keyOf(VAddr word, FutexScope scope) { return keyOfInline(word, scope); }

bool loadNow(VAddr word, uint32_t &value) {
  return arch::userLoad(reinterpret_cast<const uint32_t *>(word.value), value);
}

bool exchangeNow(VAddr word, uint32_t expected, uint32_t desired, uint32_t &seen) {
  return arch::userCompareExchange32(reinterpret_cast<uint32_t *>(word.value), expected, desired, seen);
}

Result<void> faultIn(VAddr word, bool write) {
  VERIFY(gate().preemptCount == 0);
  uint32_t v;
  if (!loadNow(word, v) || (write && !exchangeNow(word, v, v, v)))
    return Errno::Fault;
  return {};
}

void wakeWaiter(Bucket &b, Sleeper &w) { wakeInline(b, w); }

namespace {
/// Calls `fn` with the waiter's bucket locked, if it is queued; false when it is not.
template <typename Fn> bool withBucketOf(Sleeper &w, Fn fn) {
  for (;;) {
    Bucket *b = w.bucket.load(std::memory_order_acquire);
    if (!b)
      return false;
    SpinGuard g(b->lock);
    Bucket *now = w.bucket.load(std::memory_order_relaxed);
    if (!now)
      return false;
    if (now != b)
      continue; // requeued meanwhile
    fn(*b);
    return true;
  }
}
} // namespace

void enqueue(Bucket &b, Sleeper &w) {
  auto place = b.waiters.end();
  if (uint8_t priority = w.thread->run.rtPriority)
    for (place = b.waiters.begin(); place != b.waiters.end() && place->thread->run.rtPriority >= priority;)
      ++place;
  b.waiters.insert(place, w);
  w.bucket.store(&b, std::memory_order_release);
}

bool unqueue(Sleeper &w) {
  return withBucketOf(w, [&](Bucket &b) {
    if (w.kind == Sleeper::Pi)
      return;
    b.waiters.erase(b.waiters.iterator_to(w));
    w.bucket.store(nullptr, std::memory_order_relaxed);
  });
}

bool stillQueued(Sleeper &w) {
  return withBucketOf(w, [](Bucket &) {});
}

namespace {
/// sleepOn for a wait that has failed or ended without a cause; the latter goes on.
OSV_COLD Result<void> sleepAgain(Sleeper &w, Nanos deadline, Result<void> r) {
  for (;;) {
    r = orInterrupted(r, WaitMode::Interruptible);
    if (!r.ok())
      return unqueue(w) ? r : Result<void>();
    prepareToBlock();
    if (!stillQueued(w))
      return {};
    r = blockOnce(deadline, WaitMode::Interruptible);
    if (!w.bucket.load(std::memory_order_acquire))
      return {};
  }
}

[[gnu::always_inline]] inline Result<void> sleepOnInline(Sleeper &w, Nanos deadline) {
  Result<void> r = blockOnce(deadline, WaitMode::Interruptible);
  if (!w.bucket.load(std::memory_order_acquire)) [[likely]]
    return {};
  return sleepAgain(w, deadline, r);
}
} // namespace

Result<void> sleepOn(Sleeper &w, Nanos deadline) { return sleepOnInline(w, deadline); }

namespace {
[[gnu::always_inline]] inline Result<void> queueInline(Sleeper &w, VAddr word, uint32_t expected) {
  Bucket &b = bucketOf(w.key);
  for (;;) {
    // Locked by hand: a guard's destructor would be one for all ways out, and the result be looked at after it.
    preemptDisable();
    b.lock.lockRaw();
    uint32_t value;
    bool there = loadNow(word, value);
    if (there && value == expected) [[likely]] {
      prepareToBlock();
      enqueue(b, w);
      b.lock.unlockRaw();
      preemptEnable();
      return {};
    }
    b.lock.unlockRaw();
    preemptEnable();
    if (there)
      return Errno::Again;
    TRY(faultIn(word, false));
  }
}
} // namespace

Result<void> queueIfEqual(Sleeper &w, VAddr word, uint32_t expected) { return queueInline(w, word, expected); }

} // namespace futex

using namespace futex;

void initFutexes() {
  for (unsigned i = 0; i < kBuckets; i++)
    new (&buckets()[i]) Bucket;
}

Result<long> futexWait(VAddr word, FutexScope scope, uint32_t expected, uint32_t bits, Nanos deadline) {
  Sleeper w(TRY(keyOfInline(word, scope)), bits);
  TRY(queueInline(w, word, expected));
  TRY(sleepOnInline(w, deadline));
  return 0L;
}

Result<long> futexWake(VAddr word, FutexScope scope, unsigned n, uint32_t bits) {
  Key k = TRY(keyOfInline(word, scope));
  Bucket &b = bucketOf(k);
  SpinGuard g(b.lock);
  auto first = b.waiters.begin();
  if (first == b.waiters.end())
    return 0L;
  // One waiter at the head of its bucket is to be woken: by far the most frequent case, and straight.
  if (n != 1 || !(first->key == k) || first->kind != Sleeper::Plain || !(first->bits & bits)) [[unlikely]]
    return wakeLocked(b, k, n, bits);
  wakeInline(b, *first);
  return 1L;
}

Result<unsigned> futexRequeue(VAddr word, VAddr target, FutexScope scope, unsigned n, unsigned moved,
                              const uint32_t *expected, unsigned *requeued) {
  Key from = TRY(keyOf(word, scope)), to = TRY(keyOf(target, scope));
  Bucket &a = bucketOf(from), &b = bucketOf(to);
  for (;;) {
    {
      TwoBuckets g(a, b);
      uint32_t value;
      if (!expected || loadNow(word, value)) {
        if (expected && value != *expected)
          return Errno::Again;
        unsigned woken = 0, count = 0;
        for (auto it = a.waiters.begin(); it != a.waiters.end() && (woken < n || count < moved);) {
          Sleeper &w = *it++;
          if (!(w.key == from))
            continue;
          if (w.kind != Sleeper::Plain)
            return Errno::Inval;
          if (woken < n) {
            wakeWaiter(a, w);
            woken++;
            continue;
          }
          count++;
          if (from == to)
            continue;
          w.key = to;
          if (&a != &b) {
            a.waiters.erase(a.waiters.iterator_to(w));
            enqueue(b, w);
          }
        }
        *requeued = count;
        return woken;
      }
    }
    TRY(faultIn(word, false));
  }
}

Result<unsigned> futexWakeOp(VAddr first, VAddr second, FutexScope scope, unsigned n, unsigned n2, uint32_t op) {
  Key one = TRY(keyOf(first, scope)), two = TRY(keyOf(second, scope));
  Bucket &a = bucketOf(one), &b = bucketOf(two);
  for (;;) {
    {
      TwoBuckets g(a, b);
      uint32_t old, seen;
      bool there = loadNow(second, old);
      while (there) {
        uint32_t desired = TRY(applyOperation(op, old));
        there = exchangeNow(second, old, desired, seen);
        if (there && seen == old)
          break;
        old = seen;
      }
      if (there) {
        bool also = TRY(meetsCondition(op, old));
        long count = TRY(wakeLocked(a, one, n, ~0u));
        if (also)
          count += TRY(wakeLocked(b, two, n2, ~0u));
        return static_cast<unsigned>(count);
      }
    }
    TRY(faultIn(second, true));
  }
}

Result<unsigned> futexWaitVector(std::span<const FutexVectorItem> items, Nanos deadline) {
  struct Waiters {
    std::span<Sleeper> all;
    explicit Waiters(size_t n) : all(new(std::nothrow) Sleeper[n], n) {}
    ~Waiters() { delete[] all.data(); }
    /// Takes all off; the index of one that had been woken, or -1.
    int takeOff(size_t n) {
      int woken = -1;
      for (size_t i = 0; i < n; i++)
        if (!unqueue(all[i]))
          woken = static_cast<int>(i);
      return woken;
    }
  } waiters(items.size());
  if (!waiters.all.data())
    return Errno::NoMem;
  for (size_t i = 0; i < items.size(); i++) {
    waiters.all[i].key = TRY(keyOf(items[i].word, items[i].scope));
    waiters.all[i].thread = &current();
  }
  for (;;) {
    // A wake-up that comes while the later ones queue (each of which begins with prepareToBlock, and may sleep for a
    // page) is found by the look at all of them below.
    for (size_t i = 0; i < items.size(); i++) {
      Result<void> r = queueIfEqual(waiters.all[i], items[i].word, items[i].expected);
      if (r.ok())
        continue;
      if (int woken = waiters.takeOff(i); woken >= 0)
        return static_cast<unsigned>(woken);
      return r.error();
    }
    Result<void> r;
    prepareToBlock();
    bool all = true;
    for (Sleeper &w : waiters.all)
      all = all && stillQueued(w);
    if (all)
      r = blockUntil(deadline, WaitMode::Interruptible);
    if (int woken = waiters.takeOff(items.size()); woken >= 0)
      return static_cast<unsigned>(woken);
    if (!r.ok())
      return r.error();
  }
}

} // namespace osv

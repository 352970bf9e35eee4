// SPDX-License-Identifier: BSD-3-Clause
//
// The hash table of futex waiters, private to Futex.cpp and FutexPi.cpp.
//
// A key names a word: by address space and virtual address, or, in a shared mapping, by the physical address (two
// mappings of one page are one futex then). A FUTEX_PRIVATE_FLAG word and an unflagged one in a private mapping have
// the same key here (Linux keeps them apart; no program can tell but by a wake-up that it would have missed).
//
// A bucket's lock protects its list, and each waiter's `bucket` and `key` while it is on the list. It is a plain spin
// lock: futexes are not used from interrupts. Two buckets are locked in the order of their addresses.
//
// Waiting and waking do not lose each other because the waiter compares the word under the bucket's lock, and a waker,
// which has changed the word before, takes that lock too. A waker's last access to a waiter (it lives on the sleeper's
// stack) is the store of null to `bucket`; a sleeper that wakes for another reason therefore looks at `bucket` under
// the lock before it returns.
#pragma once
#include "kernel/lib/Log.h"
#include "kernel/lib/SpinLock.h"
#include "kernel/sched/Futex.h"
#include "kernel/sched/FutexKey.h"
#include "kernel/sched/Thread.h"
#include <boost/intrusive/list.hpp>

namespace osv::futex {

struct Bucket;

struct Sleeper : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>> {
  Sleeper() = default;
  Sleeper(const Key &k, uint32_t bits) : key(k), bits(bits), thread(&current()) {}
  Key key;
  uint32_t bits = ~0u;
  /// Pi: waits for a PI lock; RequeuePi: waits to be moved to one (FUTEX_WAIT_REQUEUE_PI). Both are PiWaiters.
  enum Kind : uint8_t { Plain, Pi, RequeuePi } kind = Plain;
  Thread *thread = nullptr;
  std::atomic<Bucket *> bucket{nullptr}; ///< null: not queued, or woken
};

struct Bucket {
  SpinLock lock;
  boost::intrusive::list<Sleeper, boost::intrusive::constant_time_size<false>> waiters;
};

/// Both buckets of a two-word operation, locked in order, once when they are the same.
class TwoBuckets {
public:
  TwoBuckets(Bucket &a, Bucket &b) : low(&a < &b ? a : b), high(&a < &b ? b : a) {
    preemptDisable();
    low.lock.lockRaw();
    if (&low != &high)
      high.lock.lockRaw();
  }
  ~TwoBuckets() {
    if (&low != &high)
      high.lock.unlockRaw();
    low.lock.unlockRaw();
    preemptEnable();
  }
  TwoBuckets(const TwoBuckets &) = delete;

private:
  Bucket &low, &high;
};

Bucket &bucketOf(const Key &k);
/// EINVAL (not aligned), EFAULT. May sleep.
Result<Key> keyOf(VAddr word, FutexScope scope);

/// Reads the word with preemption off; false when its page is not there now (see faultIn).
bool loadNow(VAddr word, uint32_t &value);
/// Compare-and-exchange likewise; `seen` is what was there.
bool exchangeNow(VAddr word, uint32_t expected, uint32_t desired, uint32_t &seen);
/// Makes the page present (for writing), with preemption on. EFAULT.
OSV_COLD Result<void> faultIn(VAddr word, bool write);

/// Takes a waiter off its bucket, which is locked, and wakes its thread. The waiter is gone afterwards.
void wakeWaiter(Bucket &b, Sleeper &w);
/// Puts `w` into the locked bucket: after all that run at its real-time priority or above, as they are woken in order.
void enqueue(Bucket &b, Sleeper &w);
/// Queues `w` if the word at `word` is `expected`; the caller sleeps then. EAGAIN, EFAULT.
Result<void> queueIfEqual(Sleeper &w, VAddr word, uint32_t expected);
/// Is `w` still queued? Removes it if so, unless it waits for a PI lock: its owner must hear of it (FutexPi.cpp). Takes
/// the lock of its bucket.
bool unqueue(Sleeper &w);
/// Is it, without removing it?
bool stillQueued(Sleeper &w);
/// Sleeps until woken; ok. Else it is off the queue again, as unqueue has it: TimedOut, RestartSys.
Result<void> sleepOn(Sleeper &w, Nanos deadline);

} // namespace osv::futex

// SPDX-License-Identifier: BSD-3-Clause
//
// What the scheduler keeps for each CPU. Private to kernel/sched: everybody else uses Scheduler.h and Thread.h.
//
// Lock order: a run-queue lock is innermost but for the console's and the heap's; no function holds two of them. All
// are taken with interrupts off (they are needed in interrupt handlers), by lockRaw/unlockRaw: a switch takes the lock
// in one thread and releases it in another, so no guard object fits, and with interrupts off the preemption count need
// not be touched.
#pragma once
#include "kernel/arch/Clock.h"
#include "kernel/arch/Context.h"
#include "kernel/lib/Log.h"
#include "kernel/lib/SpinLock.h"
#include "kernel/sched/RunQueue.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/sched/Thread.h"
#include <boost/intrusive/parent_from_member.hpp>

namespace osv::sched {

using arch::Ticks;
inline constexpr unsigned kMaxCpus = 64; ///< bits of an affinity mask

/// How long a thread may queue behind another while a CPU is idle.
inline constexpr Nanos kPatience = 250'000;
/// A thread that wakes another and blocks within this time is expected to do so again.
inline constexpr Nanos kBlocksSoon = 50'000;

struct alignas(64) Cpu {
  SpinLock lock;
  unsigned number = 0;
  RunQueue queue; ///< the threads that want this CPU, without the running one
  Thread *running = nullptr;
  Thread *idle = nullptr;
  Thread *leaving = nullptr; ///< Dead or to be moved to another CPU; the thread switched to sees to it
  Ticks sliceStart = 0;
  Ticks timerPromise = kForever; ///< the timer will ask for sliceDeadline() at this time or before
  bool sliceOver = false;
  bool kicked = false; ///< an interrupt for a reschedule is on its way
  uint32_t slicesToBalance = 0;
  std::atomic<uint32_t> load{0}; ///< running (but idle) and queued threads; others read it without the lock
  void addLoad(int n) {          // locked
    load.store(load.load(std::memory_order_relaxed) + static_cast<uint32_t>(n), std::memory_order_relaxed);
  }
};

/// Constructed CPU by CPU as they enter the scheduler: the kernel runs no global constructors.
extern std::byte cpuStorage[kMaxCpus * sizeof(Cpu)];
inline Cpu &cpuAt(unsigned n) { return reinterpret_cast<Cpu *>(cpuStorage)[n]; }
extern std::atomic<uint64_t> onlineMask; ///< CPUs that have entered the scheduler
extern std::atomic<uint64_t> idleMask;   ///< CPUs that run their idle thread and that no waker has claimed yet
extern Nanos slice;
extern Ticks sliceTicks, patienceTicks; ///< `slice` and kPatience

/// This CPU. Interrupts (or preemption) off.
inline Cpu &thisCpu() { return cpuAt(gate().cpu); }
inline uint64_t bitOf(unsigned cpu) { return 1ull << cpu; }
/// Is `t`, when it has woken another thread, expected to block soon after? After two times in a row.
inline bool blocksSoon(const Thread &t) { return t.blocksAfterWake >= 2; }
inline Thread &threadOf(SchedEntity &e) { return *boost::intrusive::get_parent_from_member<Thread>(&e, &Thread::run); }

/// Locks the run queue that `t` belongs to. Interrupts off.
inline Cpu &lockCpuOf(const Thread &t) {
  for (;;) {
    unsigned n = t.cpu.load(std::memory_order_relaxed);
    Cpu &c = cpuAt(n);
    c.lock.lockRaw();
    if (t.cpu.load(std::memory_order_relaxed) == n) [[likely]]
      return c;
    c.lock.unlockRaw();
  }
}

/// Puts a Runnable thread into `c`'s queue at the time `now` and makes `c` look at it. `c` locked, interrupts off.
void enqueue(Cpu &c, Thread &t, Ticks now);
/// Gives a Runnable thread that is in no queue to `cpu`, or a CPU of its affinity mask. No run queue locked, interrupts
/// off.
void placeThreadOn(Thread &t, unsigned cpu);
void placeThread(Thread &t);
/// The running thread wakes or makes another one now.
inline void noteWaking(Ticks now) { current().wokeAt = now; }
/// Should `t`, which the running thread wakes, wait for this CPU, `here`, although another might be idle? When the
/// running thread is known to block soon after (Balance.cpp).
inline bool keepsWoken(Cpu &here, const Thread &t) {
  return blocksSoon(current()) && here.queue.empty() && (t.affinity & bitOf(here.number));
}
/// The CPU a thread that last ran on `previous` should run on now.
unsigned chooseCpu(const Thread &t, unsigned previous);
/// The same for a thread that the running one wakes or makes.
inline unsigned chooseCpuForWake(const Thread &t, unsigned previous) {
  Cpu &here = thisCpu();
  return keepsWoken(here, t) ? here.number : chooseCpu(t, previous);
}
/// When a slice that begins now counts as begun: earlier when threads queue here while another CPU is idle, so that the
/// end of the slice, which moves one there, comes soon.
inline Ticks sliceBegin(const Cpu &c, Ticks now) {
  if (idleMask.load(std::memory_order_relaxed) & ~(1ull << c.number)) [[unlikely]]
    if (slice > kPatience)
      return now - (sliceTicks - patienceTicks);
  return now;
}
/// Charges the running thread of `c` for its time since it was last charged. `c` locked.
void account(Cpu &c, Ticks now);

/// Takes a thread from another CPU's queue into this one's, which is empty. True when it got one. Interrupts off,
/// nothing locked.
bool stealThread(Cpu &me);
/// At the end of a slice on a CPU where threads queue: gives one to a CPU with less to do. Interrupts off, nothing
/// locked.
void pushThread(Cpu &me);

/// Hands a thread that has been switched away from for ever to reapDeadThreads. Interrupts off.
void buryThread(Thread &t);
} // namespace osv::sched

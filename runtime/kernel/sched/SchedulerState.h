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
  Nanos sliceStart = 0;
  Nanos timerPromise = kForever; ///< the timer will ask for sliceDeadline() at this time or before
  bool sliceOver = false;
  bool kicked = false; ///< an interrupt for a reschedule is on its way
  uint32_t slicesToBalance = 0;
  std::atomic<uint32_t> load{0}; ///< running (but idle) and queued threads; others read it without the lock
};

/// Constructed CPU by CPU as they enter the scheduler: the kernel runs no global constructors.
extern std::byte cpuStorage[kMaxCpus * sizeof(Cpu)];
inline Cpu &cpuAt(unsigned n) { return reinterpret_cast<Cpu *>(cpuStorage)[n]; }
extern std::atomic<uint64_t> onlineMask; ///< CPUs that have entered the scheduler
extern std::atomic<uint64_t> idleMask;   ///< CPUs that run their idle thread and that no waker has claimed yet
extern Nanos slice;

/// This CPU. Interrupts (or preemption) off.
inline Cpu &thisCpu() { return cpuAt(gate().cpu); }
inline uint64_t bitOf(unsigned cpu) { return 1ull << cpu; }
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

enum class Why : uint8_t { Preempt, Yield, Block, Exit };
/// Picks the next thread and switches to it. Interrupts off, `c` (this CPU) locked; released on return.
void reschedule(Cpu &c, Why why);
/// Puts a Runnable thread into `c`'s queue and makes `c` look at it. `c` locked, interrupts off.
void enqueue(Cpu &c, Thread &t);
/// Gives a Runnable thread that is in no queue to `cpu`, or a CPU of its affinity mask. No run queue locked, interrupts
/// off.
void placeThreadOn(Thread &t, unsigned cpu);
void placeThread(Thread &t);
/// The CPU a thread that last ran on `previous` should run on now.
unsigned chooseCpu(const Thread &t, unsigned previous);
/// The same for a thread that the running one wakes or makes: this CPU when the running thread is known to block soon
/// after.
unsigned chooseCpuForWake(const Thread &t, unsigned previous);
/// When a slice that begins now counts as begun: earlier when threads queue here while another CPU is idle, so that the
/// end of the slice, which moves one there, comes soon.
inline Nanos sliceBegin(const Cpu &c, Nanos now) {
  if ((idleMask.load(std::memory_order_relaxed) & ~(1ull << c.number)) && slice > kPatience) [[unlikely]]
    return now - (slice - kPatience);
  return now;
}
/// Charges the running thread of `c` for its time. `c` locked.
void account(Cpu &c, Nanos now);

/// Takes a thread from another CPU's queue into this one's, which is empty. True when it got one. Interrupts off,
/// nothing locked.
bool stealThread(Cpu &me);
/// At the end of a slice on a CPU where threads queue: gives one to a CPU with less to do. Interrupts off, nothing
/// locked.
void pushThread(Cpu &me);

/// Hands a thread that has been switched away from for ever to reapDeadThreads. Interrupts off.
void buryThread(Thread &t);
} // namespace osv::sched

// SPDX-License-Identifier: BSD-3-Clause
//
// A thread: what the scheduler, signals and futexes keep of it. The running one is `current()` (abi/Gate.h).
//
// Lives from create* until the scheduler has switched away from it for the last time; whoever needs it longer holds a
// Ref (which keeps the object, not the stack). `tid` 1 is the first thread (and the process id). Kernel threads have
// `process == nullptr` and `tid` 0.
#pragma once
#include "kernel/arch/Clock.h"
#include "kernel/arch/Context.h"
#include "kernel/lib/Ref.h"
#include "kernel/lib/Result.h"
#include "kernel/sched/RunQueue.h"
#include "kernel/sched/WaitQueue.h"
#include "kernel/signal/SignalState.h"
#include <atomic>
#include <boost/intrusive/set.hpp>
#include <cstdint>
#include <string_view>

namespace osv {

class Process;

enum class ThreadState : uint8_t { New, Runnable, Running, Blocked, Dead };

namespace futex {
struct PiWaiter;
}

inline constexpr uint64_t kDefaultTimerSlack = 50'000; ///< ns, as Linux

struct Thread : RefCounted {
  arch::ThreadContext arch; ///< first: assembly knows its offset
  Process *process = nullptr;
  int32_t tid = 0;
  char name[16] = {};

  // ---- scheduler (sched/Scheduler.cpp; under the run-queue lock of `cpu`)
  std::atomic<ThreadState> state{ThreadState::New};
  std::atomic<uint32_t> cpu{0}; ///< whose run queue it belongs to
  bool idle = false;
  SchedEntity run;          ///< its place in the order
  arch::Ticks runStart = 0; ///< when it was last switched to, or charged
  Nanos cpuTime = 0;        ///< CLOCK_THREAD_CPUTIME_ID, up to runStart
  int8_t nice = 0;
  uint8_t policy = 0;     ///< SCHED_OTHER ... as in <linux/sched.h>
  uint8_t rtPriority = 0; ///< as set; run.rtPriority may be boosted above it
  bool resetOnFork = false;
  uint64_t affinity = ~0ull; ///< bit per CPU
  arch::Ticks wokeAt = 0;    ///< when it woke another thread since it last blocked, the last time; 0: not
  uint8_t blocksAfterWake =
      0; ///< how many times in a row it woke another thread and then blocked soon (up to 2); Balance.cpp
  uint64_t switches = 0, preemptions = 0; ///< voluntary and involuntary context switches
  boost::intrusive::set_member_hook<> processHook;
  Thread *nextDead = nullptr; ///< in Thread.cpp's chain of threads to be freed
  std::atomic<bool> wakePending{false};

  // ---- exit
  uint64_t clearChildTid = 0; ///< CLONE_CHILD_CLEARTID / set_tid_address
  uint64_t robustList = 0;
  std::atomic<bool> exiting{false};
  int32_t exitCode = 0;
  uint64_t timerSlack = kDefaultTimerSlack;
  futex::PiWaiter *piBlockedOn = nullptr; ///< FutexPi.cpp, under its lock
  bool piExited = false;                  ///< can no longer own a PI futex

  // ---- signals
  ThreadSignals signals;

  /// Makes a blocked thread runnable (true when it was). Any context.
  bool wake();
};

inline void prepareToBlock() { current().wakePending.store(false, std::memory_order_seq_cst); }

inline void notifyWork(Thread &t, uint32_t bits) {
  if (&t != &current())
    return notifyOther(t, bits);
  setOwnWork(bits);
  // From an interrupt, perhaps between the thread's last look at its work and block(): it must not sleep then.
  t.wakePending.store(true, std::memory_order_relaxed);
}

/// Creates a kernel thread, not yet running. ENOMEM.
Result<Thread *> createKernelThread(std::string_view name, void (*entry)(void *), void *arg);
/// The same for a thread of `process` that runs `entry` in the kernel first and may go to the program
/// (arch::enterProgram). It has a tid and is in the process's list. EAGAIN when the process is ending or out of thread
/// ids, ENOMEM.
Result<Thread *> createProcessThread(Process &process, std::string_view name, void (*entry)(void *), void *arg);
/// The same for clone: starts in the program with `frame`'s registers.
Result<Thread *> createProgramThread(Process &process, const Frame &frame, bool setTls, uint64_t appFs);
/// Makes a New thread runnable.
void startThread(Thread &t);
/// Undoes create* for a thread that was never started.
void discardThread(Thread &t);
/// Frees the contexts of threads that have ended. Interrupts on. Called where threads come and go and when idle.
void reapDeadThreads();

} // namespace osv

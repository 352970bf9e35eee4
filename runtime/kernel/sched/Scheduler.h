// SPDX-License-Identifier: BSD-3-Clause
//
// The scheduler: per-CPU run queues ordered by virtual run time, preemptive, tickless when at most one thread is
// runnable. The design, and why no wake-up is lost, is told in Scheduler.cpp and docs/scheduler.md.
#pragma once
#include "abi/Annotations.h"
#include "abi/Gate.h"
#include "kernel/lib/Types.h"

namespace osv {
struct Thread;

// ---- Boot.

/// Makes the boot flow of control the idle thread of CPU 0, and the run queues usable. Interrupts off. Once. The boot
/// flow must not block; it starts a kernel thread for what may, and ends in `runIdle`.
void initScheduler();
/// The boot flow from now on: runs when nothing else does. Any interrupt state.
[[noreturn]] void runIdle();
/// The same two on a further CPU. Interrupts off.
[[noreturn]] void enterSchedulerOnCpu(unsigned cpu);
/// Preemption slices a second (osv.hz=). At boot; default 250.
void setSchedulerHz(unsigned hz);
Nanos schedulerSlice();

// ---- Blocking. WaitQueue.h has the patterns; these are what they are made of.

/// Gives up the CPU to the threads that wait for it. Interrupts on, preemption on.
void yield();
/// Blocks the running thread until `Thread::wake`. The caller has made itself findable by a waker first; a wake that
/// came since `prepareToBlock` makes `block` return at once.
inline void prepareToBlock(); // Thread.h
void block();
/// Switches away if another thread should run. Interrupts off on entry and exit.
void scheduleFromInterrupt();
/// Ends the running thread for good: its machine context only (a thread of a process leaves through Process.h's
/// exitCurrentThread).
[[noreturn]] void exitThread();

// ---- What arch calls.

/// The second half of a switch, for a thread that runs for the first time. Interrupts off.
extern "C" void osv_thread_started();
/// A kernel thread's entry function returned.
extern "C" [[noreturn]] void osv_thread_returned();

// ---- The timer (time/Timer.cpp owns the hardware's one deadline; interrupts off for all of these).

/// When the running thread's slice on this CPU ends; kForever when no other thread wants the CPU. It may move later
/// without notice (the timer then fires early and asks again); when it comes into being or moves earlier, the scheduler
/// calls Time.h's sliceDeadlineChanged with the run queue locked.
Nanos sliceDeadline();
/// The slice deadline has passed: asks for a reschedule and balances the CPUs.
void sliceExpired();

// ---- Work for a thread on its way out to the program.

/// Sets bits of `t`'s gate word and makes sure that it looks at them soon: interrupts the CPU that runs it, wakes it
/// when it is blocked. Any context.
inline void notifyWork(Thread &t, uint32_t bits);    // Thread.h
OSV_COLD void notifyOther(Thread &t, uint32_t bits); ///< for one that is not the running thread
/// The same for the running thread; clears. One locked instruction each, as another CPU may set bits at any time.
inline void setOwnWork(uint32_t bits) { __atomic_fetch_or(&gate().work, bits, __ATOMIC_SEQ_CST); }
inline void clearOwnWork(uint32_t bits) { __atomic_fetch_and(&gate().work, ~bits, __ATOMIC_SEQ_CST); }

// ---- Accounting and policy.

/// CPU time of `t` so far, running or not.
Nanos threadCpuTime(const Thread &t);
/// Time that `cpu` was idle.
Nanos cpuIdleTime(unsigned cpu);
/// Threads that are running or want to run, over all CPUs (sysinfo's load).
unsigned runnableThreads();
/// Changes what decides when `t` runs. Any thread. `policy` as in <linux/sched.h>.
void setSchedulingPolicy(Thread &t, int policy, int rtPriority, int nice);
/// Priority inheritance: `t` runs at this real-time priority until the next call (0: fair) whatever its policy says.
void boostPriority(Thread &t, uint8_t rtPriority);
/// Restricts `t` to the CPUs of the mask, which holds one that is up; it has moved there when this returns (when it is
/// the caller).
void setAffinity(Thread &t, uint64_t mask);
} // namespace osv

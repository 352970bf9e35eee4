// SPDX-License-Identifier: BSD-3-Clause
//
// The scheduler: per-CPU run queues ordered by virtual run time, preemptive, tickless when at most one thread is runnable.
#pragma once
#include "kernel/lib/Types.h"

namespace osv {
struct Thread;

/// Makes the boot flow of control the idle thread of CPU 0, and the run queues usable. Interrupts off. Once.
void initScheduler();
/// The same on a further CPU.
[[noreturn]] void enterSchedulerOnCpu(unsigned cpu);
/// Gives up the CPU. Interrupts on, preemption on.
void yield();
/// Blocks the running thread until `Thread::wake`. The caller has made itself findable by a waker first; a wake that came since
/// `prepareToBlock` makes `block` return at once.
void prepareToBlock();
void cancelBlock();
void block();
/// Switches away if another thread should run. Interrupts off on entry and exit.
void scheduleFromInterrupt();
/// Ends the running thread for good.
[[noreturn]] void exitThread();
/// CPU time of `t` so far, running or not.
Nanos threadCpuTime(const Thread &t);
} // namespace osv

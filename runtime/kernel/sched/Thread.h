// SPDX-License-Identifier: BSD-3-Clause
//
// A thread: what the scheduler, signals and futexes keep of it. The running one is `current()` (abi/Gate.h).
//
// Owned by its process's thread list; freed by the scheduler after it has switched away for the last time. `tid` 1 is the first
// thread (and the process id). Kernel threads have `process == nullptr`.
#pragma once
#include "kernel/arch/Context.h"
#include "kernel/lib/Ref.h"
#include "kernel/lib/Result.h"
#include "kernel/sched/WaitQueue.h"
#include "kernel/signal/SignalState.h"
#include <atomic>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <cstdint>

namespace osv {

class Process;

enum class ThreadState : uint8_t { New, Runnable, Running, Blocked, Dead };

struct Thread : RefCounted {
  arch::ThreadContext arch; ///< first: assembly knows its offset
  Process *process = nullptr;
  int32_t tid = 0;
  char name[16] = {};

  // ---- scheduler (sched/Scheduler.cpp; under the run-queue lock of `cpu`)
  std::atomic<ThreadState> state{ThreadState::New};
  uint32_t cpu = 0;
  bool idle = false;
  uint64_t vruntime = 0;     ///< weighted nanoseconds
  Nanos runStart = 0;        ///< when it was last switched to
  Nanos cpuTime = 0;         ///< CLOCK_THREAD_CPUTIME_ID, up to runStart
  int8_t nice = 0;
  uint64_t affinity = ~0ull; ///< bit per CPU
  boost::intrusive::set_member_hook<> runHook;
  boost::intrusive::list_member_hook<> processHook;
  std::atomic<bool> wakePending{false};

  // ---- exit
  uint64_t clearChildTid = 0; ///< CLONE_CHILD_CLEARTID / set_tid_address
  uint64_t robustList = 0;
  std::atomic<bool> exiting{false};

  // ---- signals
  ThreadSignals signals;

  /// Makes a blocked thread runnable (true when it was). Any context.
  bool wake();
};

/// Creates a kernel thread, not yet running. ENOMEM.
Result<Thread *> createKernelThread(std::string_view name, void (*entry)(void *), void *arg);
/// Makes a New thread runnable.
void startThread(Thread &t);

} // namespace osv

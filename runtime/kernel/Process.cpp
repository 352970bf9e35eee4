// SPDX-License-Identifier: BSD-3-Clause
//
// The end of threads and processes. A thread of a process ends in exitCurrentThread, on its own kernel stack, from the
// exit system call or on its way out to the program (exitToProgramWork) once its process is ending. The last one to
// leave carries out the process's end.
//
// Order in exitCurrentThread: first what the program may see (robust futexes get FUTEX_OWNER_DIED, the clear_child_tid
// word becomes 0 and its waiters wake: pthread_join frees the stack then, so nothing of the program's memory is touched
// afterwards), then the thread leaves its process's list, then the CPU. When the whole process ends, nobody is left to
// look, and the first part is skipped.
#include "kernel/Process.h"
#include "kernel/arch/Clock.h"
#include "kernel/lib/Log.h"
#include "kernel/lib/UserPtr.h"
#include "kernel/sched/Futex.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/signal/Signal.h"

namespace osv {

Process::Process() {
  for (struct rlimit64 &l : limits)
    l = {RLIM64_INFINITY, RLIM64_INFINITY};
  limits[RLIMIT_STACK] = {8 << 20, RLIM64_INFINITY}; // or what the image says (Loader.cpp)
  limits[RLIMIT_CORE] = {0, RLIM64_INFINITY};
  limits[RLIMIT_NOFILE] = {1024, 1 << 20};
  limits[RLIMIT_MEMLOCK] = {8 << 20, 8 << 20};
  limits[RLIMIT_MSGQUEUE] = {819200, 819200};
  limits[RLIMIT_SIGPENDING] = {4096, 4096};
  limits[RLIMIT_NICE] = {0, 0};
  limits[RLIMIT_RTPRIO] = {0, 0};
}

void Process::beginExit(int status, int signal) {
  if (exiting.exchange(true))
    return;
  exitStatus = status;
  exitSignal = signal;
  IrqSpinGuard g(threadsLock);
  for (Thread &t : threads) {
    t.exiting.store(true, std::memory_order_relaxed);
    notifyWork(t, kWorkSignal);
  }
}

Ref<Thread> Process::findThread(int32_t tid) {
  IrqSpinGuard g(threadsLock);
  auto it = threads.find(tid);
  return it == threads.end() ? Ref<Thread>() : Ref<Thread>::share(&*it);
}

Nanos Process::cpuTime() {
  IrqSpinGuard g(threadsLock);
  Nanos sum = exitedThreadsCpuTime;
  for (const Thread &t : threads)
    sum += threadCpuTime(t);
  return sum;
}

void exitProcess(int status, int signal) {
  currentProcess().beginExit(status, signal);
  exitCurrentThread(status);
}

void exitCurrentThread(int status) {
  Thread &t = current();
  Process &p = *t.process;
  VERIFY(gate().preemptCount == 0);
  t.exitCode = status;
  futexThreadExit(t);
  if (!p.exiting.load(std::memory_order_acquire) && t.clearChildTid) {
    // A bad address is the program's affair.
    if (UserPtr<int32_t>(t.clearChildTid).write(0).ok())
      (void)futexWake(VAddr(t.clearChildTid), FutexScope::Shared, 1);
  }
  releaseSignals(t);
  bool last;
  {
    IrqSpinGuard g(p.threadsLock);
    t.exiting.store(true, std::memory_order_relaxed);
    p.threads.erase(p.threads.iterator_to(t));
    last = --p.threadCount == 0;
    p.exitedThreadsCpuTime += threadCpuTime(t);
    p.exitedSwitches += t.switches;
    p.exitedPreemptions += t.preemptions;
    if (t.tid == p.pid && !p.exiting.load(std::memory_order_relaxed))
      p.exitStatus = status; // the status of the first thread is the process's, unless exit_group says otherwise
  }
  if (last)
    machineExit(p);
  exitThread();
}

} // namespace osv

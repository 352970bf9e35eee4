// SPDX-License-Identifier: BSD-3-Clause
//
// How threads come and go. A thread's machine context (kernel stack, gate block, FP area) and its object are freed by
// some other thread, later, with interrupts on (unmapping a stack may have to interrupt other CPUs): reapDeadThreads,
// called where threads are made, where they end, and by the idle loop, so that at most a few dead ones exist at any
// time.
#include "kernel/sched/Thread.h"
#include "kernel/Process.h"
#include "kernel/mm/Heap.h"
#include "kernel/sched/SchedulerState.h"
#include <algorithm>
#include <new>

namespace osv {
namespace {

constexpr int32_t kMaxTid = 4'194'304; ///< as Linux's pid_max on 64-bit machines
constexpr int32_t kFirstReusedTid = 300;

// A chain, not a Boost list: a list header must be constructed, and the kernel runs no global constructors.
SpinLock deadLock;
std::atomic<Thread *> deadThreads{nullptr};

Result<Thread *> newThread(std::string_view name) {
  reapDeadThreads();
  Thread *t = TRY(make<Thread>());
  size_t n = std::min(name.size(), sizeof t->name - 1);
  std::copy_n(name.begin(), n, t->name);
  return t;
}

/// What a thread of a process inherits from the thread that makes it.
void inherit(Thread &t, const Thread &from) {
  t.affinity = from.affinity;
  if (from.resetOnFork) { // SCHED_RESET_ON_FORK
    t.nice = static_cast<int8_t>(std::max<int>(from.nice, 0));
  } else {
    t.nice = from.nice;
    t.policy = from.policy;
    t.rtPriority = from.rtPriority;
    t.run.rtPriority = from.rtPriority;
    t.run.roundRobin = from.run.roundRobin;
  }
  t.run.weight = from.resetOnFork ? weightOfNice(t.nice) : from.run.weight;
  std::copy(std::begin(from.name), std::end(from.name), t.name);
}

/// Gives `t` an id and enters it in its process. EAGAIN.
Result<void> joinProcess(Thread &t, Process &p) {
  IrqSpinGuard g(p.threadsLock);
  if (p.exiting.load(std::memory_order_relaxed) || p.threadCount >= static_cast<uint32_t>(kMaxTid - kFirstReusedTid))
    return Errno::Again;
  for (;;) {
    int32_t tid = p.nextTid.load(std::memory_order_relaxed);
    p.nextTid.store(tid < kMaxTid ? tid + 1 : kFirstReusedTid, std::memory_order_relaxed);
    t.tid = tid;
    if (&*p.threads.insert(p.threads.end(), t) == &t) // at the end, until ids come round
      break;
  }
  p.threadCount++;
  return {};
}

void destroy(Thread &t) {
  arch::destroyContext(t);
  if (t.release())
    delete &t;
}

template <typename Create> Result<Thread *> createInProcess(Process &p, std::string_view name, Create create) {
  Thread *t = TRY(newThread(name));
  t->process = &p;
  if (current().process)
    inherit(*t, current());
  Result<void> r = create(*t);
  if (!r.ok()) {
    delete t;
    return r.error();
  }
  r = joinProcess(*t, p);
  if (!r.ok()) {
    destroy(*t);
    return r.error();
  }
  return t;
}

} // namespace

Result<Thread *> createKernelThread(std::string_view name, void (*entry)(void *), void *arg) {
  Thread *t = TRY(newThread(name));
  Result<void> r = arch::createContext(*t, entry, arg, false);
  if (!r.ok()) {
    delete t;
    return r.error();
  }
  return t;
}

Result<Thread *> createProcessThread(Process &process, std::string_view name, void (*entry)(void *), void *arg) {
  return createInProcess(process, name, [&](Thread &t) { return arch::createContext(t, entry, arg, true); });
}

Result<Thread *> createProgramThread(Process &process, const Frame &frame, bool setTls, uint64_t appFs) {
  return createInProcess(process, {}, [&](Thread &t) { return arch::createProgramContext(t, frame, setTls, appFs); });
}

void discardThread(Thread &t) {
  VERIFY(t.state.load(std::memory_order_relaxed) == ThreadState::New);
  if (Process *p = t.process) {
    IrqSpinGuard g(p->threadsLock);
    p->threads.erase(p->threads.iterator_to(t));
    p->threadCount--;
  }
  destroy(t);
}

void sched::buryThread(Thread &t) {
  deadLock.lockRaw();
  t.nextDead = deadThreads.load(std::memory_order_relaxed);
  deadThreads.store(&t, std::memory_order_relaxed);
  deadLock.unlockRaw();
}

void reapDeadThreads() {
  while (deadThreads.load(std::memory_order_relaxed)) {
    Thread *t;
    {
      IrqSpinGuard g(deadLock);
      t = deadThreads.load(std::memory_order_relaxed);
      if (!t)
        return;
      deadThreads.store(t->nextDead, std::memory_order_relaxed);
    }
    destroy(*t);
  }
}

} // namespace osv

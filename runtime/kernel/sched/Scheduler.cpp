// SPDX-License-Identifier: BSD-3-Clause
//
// The scheduler's core: choosing, switching, blocking, waking. Order within a queue is RunQueue.h; which CPU,
// Balance.cpp.
//
// States. A thread is Running (it is `running` of its CPU), Runnable (in its CPU's queue, or for a moment in nobody's
// hands while it moves between CPUs), Blocked, or Dead. `state` changes only under the lock of the run queue that
// `Thread::cpu` names.
//
// No lost wake-ups. prepareToBlock clears `wakePending`; the thread then makes sure it can be found, tests its
// condition, and calls block, which takes the run-queue lock, and goes to sleep only when `wakePending` is still clear.
// wake sets `wakePending` *before* it takes that same lock. So either block sees the flag, or wake comes later and sees
// Blocked.
//
// A switch keeps the run-queue lock: the thread that leaves takes it, the thread that arrives releases it
// (finishSwitch, or osv_thread_started for one that has never run). Whoever holds the lock and sees a thread Blocked or
// Runnable therefore knows that its registers are saved and its stack is at rest. A waker on another CPU cannot start a
// thread that is still leaving; nobody spins on an "on CPU" flag.
//
// A thread that must not be touched by the one that leaves (dead, or bound for another CPU by its affinity) is put in
// `leaving`, and the one that arrives sees to it, on its own stack.
//
// The clock is read once for each switch. The timer is armed for the end of a slice only when another thread waits for
// the CPU, and not re-armed when the deadline moves later: it fires once too early then, and asks again. So two threads
// that wake each other never touch the hardware timer, and a CPU with one thread has no ticks.
#include "kernel/Process.h"
#include "kernel/mm/Heap.h"
#include "kernel/sched/Futex.h"
#include "kernel/sched/Wake.h"
#include "kernel/signal/Signal.h"
#include "kernel/time/Time.h"
#include <linux/sched.h>

namespace osv {
namespace sched {

alignas(Cpu) std::byte cpuStorage[kMaxCpus * sizeof(Cpu)];
std::atomic<uint64_t> onlineMask{0};
std::atomic<uint64_t> idleMask{0};
Nanos slice = 4'000'000;
Ticks sliceTicks, patienceTicks, soonTicks; // setSlice
uint64_t wakeGranularity, sleepCredit;

namespace {

alignas(Thread) std::byte bootIdleStorage[sizeof(Thread)]; // CPU 0 needs one before there is a heap

void setSlice(Nanos n) {
  slice = n;
  wakeGranularity = static_cast<uint64_t>(n) / 4;
  sleepCredit = static_cast<uint64_t>(n) / 2;
  sliceTicks = arch::nanosToTicks(n);
  patienceTicks = arch::nanosToTicks(kPatience);
  soonTicks = arch::nanosToTicks(kBlocksSoon);
}

OSV_COLD void seeOff(Thread &left) {
  if (left.state.load(std::memory_order_relaxed) == ThreadState::Dead)
    buryThread(left);
  else
    placeThread(left);
}

/// The arriving thread's half of a switch: releases what the leaving one locked, and sees to `leaving`.
void finishSwitch() {
  Cpu &c = thisCpu();
  Thread *left = c.leaving;
  if (!left) [[likely]] {
    c.lock.unlockRaw();
    return;
  }
  c.leaving = nullptr;
  c.lock.unlockRaw();
  seeOff(*left);
}

} // namespace

void promiseSlice(const Cpu &c) {
  if (!c.running->run.realTime() || c.running->run.roundRobin) // SCHED_FIFO has no slices
    sliceDeadlineChanged();                                    // asks sliceDeadline(), which makes the new promise
}

namespace {
[[gnu::always_inline]] inline void accountFor(Cpu &c, Thread &t, bool idle, Ticks now) {
  Ticks ran = now - t.runStart;
  if (ran <= 0) [[unlikely]] // TSCs of two CPUs may differ by a little
    return;
  Nanos nanos = arch::ticksToNanos(ran);
  t.cpuTime += nanos;
  t.runStart = now;
  if (!idle)
    c.queue.charge(t.run, static_cast<uint64_t>(nanos));
}
} // namespace

void account(Cpu &c, Ticks now) { accountFor(c, *c.running, c.running->idle, now); }

namespace {
enum class Why : uint8_t { Preempt, Yield, Block, Exit };

/// Picks the next thread and switches to it. Interrupts off, `c` (this CPU) locked; released on return. Inline: each
/// caller has its own straight line.
[[gnu::always_inline]] inline void reschedule(Cpu &c, Why why) {
  Thread &prev = current();
  bool prevIdle = why == Why::Preempt && prev.idle; // the idle thread does nothing else
  if (gate().work & kWorkReschedule) [[unlikely]]
    clearOwnWork(kWorkReschedule);
  Ticks now = arch::ticks();
  accountFor(c, prev, prevIdle, now);
  bool requeue = false;
  switch (why) {
  case Why::Preempt:
  case Why::Yield:
    if (prevIdle)
      break;
    if (!(prev.affinity & bitOf(c.number))) [[unlikely]] {
      prev.state.store(ThreadState::Runnable, std::memory_order_relaxed);
      c.queue.makeRelative(prev.run);
      c.leaving = &prev;
      c.addLoad(-1);
      break;
    }
    c.kicked = false;
    if (c.queue.empty()) {
      c.sliceStart = now;
      c.lock.unlockRaw();
      return;
    }
    if (c.sliceOver)
      prev.blocksAfterWake = 0;
    if (why == Why::Yield || (c.sliceOver && prev.run.roundRobin))
      c.queue.placeLast(prev.run);
    if (prev.run.before(*c.queue.first())) { // it is still the one to run
      c.sliceOver = false;
      c.sliceStart = sliceBegin(c, now);
      armSlice(c);
      c.lock.unlockRaw();
      return;
    }
    prev.state.store(ThreadState::Runnable, std::memory_order_relaxed);
    requeue = true;
    break;
  case Why::Exit:
    prev.state.store(ThreadState::Dead, std::memory_order_relaxed);
    c.leaving = &prev;
    c.addLoad(-1);
    break;
  case Why::Block:
    if (prev.wokeAt) {
      if (now - prev.wokeAt >= soonTicks) [[unlikely]]
        prev.blocksAfterWake = 0;
      else if (!blocksSoon(prev))
        prev.blocksAfterWake++;
      prev.wokeAt = 0;
    }
    prev.state.store(ThreadState::Blocked, std::memory_order_relaxed);
    prev.switches++;
    c.addLoad(-1);
    break;
  }
  c.sliceOver = c.kicked = false;
  c.sliceStart = now;
  Thread *next;
  bool more;
  if (SchedEntity *e = c.queue.takeFirst(&more)) [[likely]] {
    next = &threadOf(*e);
    next->state.store(ThreadState::Running, std::memory_order_relaxed);
  } else {
    next = c.idle;
    if (prevIdle) { // again
      c.lock.unlockRaw();
      return;
    }
    idleMask.fetch_or(bitOf(c.number), std::memory_order_relaxed);
  }
  if (requeue)
    c.queue.insert(prev.run);
  next->runStart = now;
  c.running = next;
  if (more || requeue) {
    c.sliceStart = sliceBegin(c, now);
    armSlice(c);
  }
  if (why == Why::Preempt)
    prev.preemptions++;
  if (prevIdle)
    idleMask.fetch_and(~bitOf(c.number), std::memory_order_relaxed);
  arch::switchContext(prev.arch, next->arch, c.number);
  finishSwitch();
}
} // namespace

void enqueue(Cpu &c, Thread &t, Ticks now) {
  bool first = c.queue.empty(), here = &c == &thisCpu();
  c.queue.insert(t.run);
  c.addLoad(1);
  Thread &running = *c.running;
  bool preempt = true;
  if (!running.idle) {
    if (!here || !blocksSoon(running)) // else it gives way by itself in a moment, and is charged then
      account(c, now);
    preempt = RunQueue::preempts(t.run, running.run, wakeGranularity);
    if (first && !preempt)
      c.sliceStart = sliceBegin(c, now); // it had the CPU to itself: the slice begins with the competition
  }
  if (here) {
    if (preempt)
      askForReschedule();
    else if (first)
      armSlice(c);
  } else if ((preempt || first) && !c.kicked) {
    c.kicked = true; // `first`: that CPU must arm its own timer, which its reschedule does
    arch::sendRescheduleIpi(c.number);
  }
}

void placeThread(Thread &t) { placeThreadOn(t, chooseCpu(t, t.cpu.load(std::memory_order_relaxed))); }

void placeThreadOn(Thread &t, unsigned cpu) {
  Cpu &c = cpuAt(cpu);
  t.cpu.store(c.number, std::memory_order_relaxed);
  c.lock.lockRaw();
  c.queue.makeAbsolute(t.run);
  enqueue(c, t, arch::ticks());
  c.lock.unlockRaw();
}

} // namespace sched

using namespace sched;

// ---- Boot

void setSchedulerHz(unsigned hz) {
  if (hz >= 1 && hz <= 100'000)
    setSlice(1'000'000'000 / static_cast<Nanos>(hz));
}

Nanos schedulerSlice() { return slice; }

namespace {
void adoptCpu(unsigned number) {
  Thread *idle = number == 0 ? new (bootIdleStorage) Thread : new (std::nothrow) Thread;
  if (!idle)
    panic("no memory for the idle thread of CPU {}", number);
  Thread &t = *idle;
  Cpu &c = *new (&cpuAt(number)) Cpu;
  t.name[0] = 'i', t.name[1] = 'd', t.name[2] = 'l', t.name[3] = 'e';
  t.idle = true;
  t.cpu = number;
  t.affinity = bitOf(number);
  t.state = ThreadState::Running;
  c.number = number;
  c.idle = c.running = &t;
  arch::adoptBootContext(t);
  gate().cpu = number;
  gate().preemptCount = 1; // the idle thread is never preempted: it looks at its queue after every interrupt
  c.sliceStart = t.runStart = arch::ticks();
  onlineMask.fetch_or(bitOf(number), std::memory_order_release);
}
} // namespace

void initScheduler() {
  setSlice(slice);
  adoptCpu(0);
  initFutexes();
}

void enterSchedulerOnCpu(unsigned cpu) {
  VERIFY(cpu < kMaxCpus);
  adoptCpu(cpu);
  runIdle();
}

void runIdle() {
  for (;;) {
    arch::enableInterrupts();
    reapDeadThreads();
    arch::disableInterrupts();
    Cpu &c = thisCpu();
    idleMask.fetch_or(bitOf(c.number), std::memory_order_seq_cst);
    if (c.queue.empty() && !stealThread(c))
      arch::waitForInterrupt();
    if (!c.queue.empty() || (gate().work & kWorkReschedule)) // the latter: for a thread that another CPU has taken
      scheduleFromInterrupt();
  }
}

// ---- Switching

void osv_thread_started() { finishSwitch(); }

void osv_thread_returned() { exitThread(); }

[[gnu::noinline]] void scheduleFromInterrupt() {
  Cpu &c = thisCpu();
  c.lock.lockRaw();
  reschedule(c, Why::Preempt);
}

void preemptFromInterrupt() { scheduleFromInterrupt(); }

void preemptIfPossible() {
  if (gate().preemptCount != 0 || !arch::interruptsEnabled())
    return;
  IrqGuard g;
  scheduleFromInterrupt();
}

[[gnu::noinline]] void yield() {
  IrqGuard g;
  Cpu &c = thisCpu();
  c.lock.lockRaw();
  reschedule(c, Why::Yield);
}

void block() {
  VERIFY(gate().preemptCount == 0);
  arch::disableInterrupts();
  Cpu &c = thisCpu();
  c.lock.lockRaw();
  if (!current().wakePending.load(std::memory_order_relaxed)) [[likely]]
    reschedule(c, Why::Block);
  else
    c.lock.unlockRaw();
  arch::enableInterrupts();
}

void exitThread() {
  reapDeadThreads();
  VERIFY(gate().preemptCount == 0);
  arch::disableInterrupts();
  Cpu &c = thisCpu();
  c.lock.lockRaw();
  reschedule(c, Why::Exit);
  __builtin_unreachable();
}

void sched::placeWoken(Cpu &c, Thread &t, Ticks now) {
  unsigned target = chooseCpuForWake(t, c.number);
  c.queue.placeAfterSleep(t.run, sleepCredit);
  if (target == c.number) {
    enqueue(c, t, now);
    c.lock.unlockRaw();
  } else {
    c.queue.makeRelative(t.run);
    c.lock.unlockRaw();
    placeThreadOn(t, target);
  }
}

bool Thread::wake() {
  arch::IrqFlags flags = arch::saveAndDisableInterrupts();
  bool woken = wakeBlocked(*this);
  if (arch::restoreInterrupts(flags))
    preemptIfAsked();
  return woken;
}

void startThread(Thread &t) {
  IrqGuard g;
  VERIFY(t.state.load(std::memory_order_relaxed) == ThreadState::New);
  t.state.store(ThreadState::Runnable, std::memory_order_relaxed);
  t.cpu.store(gate().cpu, std::memory_order_relaxed);
  t.run.vruntime = 0; // relative: a new thread starts at the floor
  noteWaking(arch::ticks());
  placeThreadOn(t, chooseCpuForWake(t, gate().cpu));
}

// ---- Timer

Nanos sliceDeadline() {
  Cpu &c = thisCpu();
  bool none =
      !c.running || c.running->idle || c.queue.empty() || (c.running->run.realTime() && !c.running->run.roundRobin);
  c.timerPromise = none ? kForever : c.sliceStart + sliceTicks;
  return none ? kForever : arch::timeOfTicks(c.timerPromise);
}

void sliceExpired() {
  Cpu &c = thisCpu();
  if (!c.running || c.queue.empty())
    return;
  c.sliceOver = true;
  c.sliceStart = arch::ticks(); // the next deadline is a slice away even if preemption is off for long
  askForReschedule();
  pushThread(c);
}

// ---- Work on the way out

void notifyOther(Thread &t, uint32_t bits) {
  __atomic_fetch_or(&arch::gateOf(t).work, bits, __ATOMIC_SEQ_CST);
  if (!t.wake() && t.state.load(std::memory_order_seq_cst) == ThreadState::Running)
    arch::sendRescheduleIpi(t.cpu.load(std::memory_order_relaxed));
}

void exitToProgramWork(Frame &frame) {
  uint32_t work = gate().work;
  if (work & kWorkReschedule)
    return scheduleFromInterrupt();
  if (work & kWorkSignal) {
    if (mustExit()) [[unlikely]] {
      arch::enableInterrupts();
      exitCurrentThread(0);
    }
    deliverSignals(frame);
  }
}

// ---- Accounting and policy

Nanos threadCpuTime(const Thread &t) {
  IrqGuard g;
  Cpu &c = lockCpuOf(t);
  Nanos sum = t.cpuTime;
  if (c.running == &t) {
    Ticks since = arch::ticks() - t.runStart;
    sum += since > 0 ? arch::ticksToNanos(since) : 0;
  }
  c.lock.unlockRaw();
  return sum;
}

Nanos cpuIdleTime(unsigned cpu) { return threadCpuTime(*cpuAt(cpu).idle); }

unsigned runnableThreads() {
  unsigned n = 0;
  for (uint64_t m = onlineMask.load(std::memory_order_relaxed); m; m &= m - 1)
    n += cpuAt(__builtin_ctzll(m)).load.load(std::memory_order_relaxed);
  return n;
}

namespace {
/// Changes `t`'s place in the order by `change`, wherever it is, and makes its CPU look again.
template <typename Fn> void reorder(Thread &t, Fn change) {
  IrqGuard g;
  Cpu &c = lockCpuOf(t);
  bool queued = t.run.queued, running = c.running == &t;
  if (queued)
    c.queue.remove(t.run);
  else if (running)
    account(c, arch::ticks());
  bool wasRealTime = t.run.realTime();
  change();
  if (t.run.realTime())
    c.queue.placeLast(t.run);
  else if (wasRealTime)
    t.run.vruntime = c.queue.floor();
  if (queued)
    c.queue.insert(t.run);
  bool look = queued ? c.running->idle || RunQueue::preempts(t.run, c.running->run, 0) : running && !c.queue.empty();
  if (look && &c == &thisCpu())
    askForReschedule();
  else if (look)
    arch::sendRescheduleIpi(c.number);
  c.lock.unlockRaw();
}
} // namespace

void setSchedulingPolicy(Thread &t, int policy, int rtPriority, int nice) {
  reorder(t, [&] {
    t.policy = static_cast<uint8_t>(policy);
    t.nice = static_cast<int8_t>(nice);
    t.rtPriority = static_cast<uint8_t>(rtPriority);
    t.run.rtPriority = t.rtPriority;
    t.run.roundRobin = policy == SCHED_RR;
    t.run.weight = policy == SCHED_IDLE ? kIdlePolicyWeight : weightOfNice(nice);
  });
}

void boostPriority(Thread &t, uint8_t rtPriority) {
  reorder(t, [&] { t.run.rtPriority = rtPriority; });
}

void setAffinity(Thread &t, uint64_t mask) {
  IrqGuard g;
  for (;;) {
    Cpu &c = lockCpuOf(t);
    bool queued = t.run.queued;
    if (t.state.load(std::memory_order_relaxed) == ThreadState::Runnable && !queued) { // between two CPUs for a moment
      c.lock.unlockRaw();
      arch::pause();
      continue;
    }
    t.affinity = mask;
    bool allowed = mask & bitOf(c.number);
    if (queued && !allowed) {
      c.queue.remove(t.run);
      c.addLoad(-1);
      c.queue.makeRelative(t.run);
      c.lock.unlockRaw();
      placeThread(t);
      return;
    }
    if (c.running == &t && !allowed) {
      if (&c == &thisCpu()) {
        reschedule(c, Why::Preempt); // releases the lock; finishSwitch of the next thread moves us
        return;
      }
      arch::sendRescheduleIpi(c.number);
    }
    c.lock.unlockRaw();
    return;
  }
}

} // namespace osv

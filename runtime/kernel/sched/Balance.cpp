// SPDX-License-Identifier: BSD-3-Clause
//
// Which CPU a thread runs on. Three occasions: a thread wakes (chooseCpu: an idle CPU if there is one, else where it
// ran last), a CPU has nothing to do (stealThread), and a slice ends on a CPU where threads queue (pushThread: a real
// imbalance at once; a difference of one, which no placement can remove, is rotated now and then so that three threads
// on two CPUs get two thirds each).
//
// Threads that wake each other in turns (a mutex, a condition variable, create and join) have nothing to gain from a
// second CPU, and an interrupt to an idle one costs more than the whole hand-over. So a thread that has lately blocked
// soon after it woke another is taken at its word: what it wakes stays on its CPU. If it does not block after all, the
// slice ends after kPatience and the waiting thread moves.
//
// A CPU with nothing to balance pays nothing: no periodic work runs anywhere.
#include "kernel/sched/SchedulerState.h"

namespace osv::sched {

namespace {
/// Slices between two moves that only rotate an unavoidable imbalance.
constexpr uint32_t kRotateSlices = 16;

/// Takes a thread that may run on `to` out of `from`'s queue, the one that would wait longest. It is in nobody's hands
/// then.
Thread *takeThread(Cpu &from, unsigned to) {
  from.lock.lockRaw();
  SchedEntity *e = from.queue.last([&](SchedEntity &e) { return (threadOf(e).affinity & bitOf(to)) != 0; });
  Thread *found = e ? &threadOf(*e) : nullptr;
  if (found) {
    from.queue.remove(found->run);
    from.queue.makeRelative(found->run);
    from.addLoad(-1);
    found->cpu.store(to, std::memory_order_relaxed);
  }
  from.lock.unlockRaw();
  return found;
}

void giveThread(Cpu &to, Thread &t) {
  to.lock.lockRaw();
  to.queue.makeAbsolute(t.run);
  enqueue(to, t, arch::ticks());
  to.lock.unlockRaw();
}
} // namespace

unsigned chooseCpu(const Thread &t, unsigned previous) {
  uint64_t allowed = t.affinity & onlineMask.load(std::memory_order_relaxed);
  if (uint64_t idle = idleMask.load(std::memory_order_relaxed) & allowed) {
    unsigned cpu = idle & bitOf(previous) ? previous : static_cast<unsigned>(__builtin_ctzll(idle));
    idleMask.fetch_and(~bitOf(cpu), std::memory_order_relaxed); // claimed: the next waker takes another
    return cpu;
  }
  if (allowed & bitOf(previous)) [[likely]]
    return previous;
  unsigned best = previous;
  uint32_t least = ~0u;
  for (uint64_t m = allowed; m; m &= m - 1) {
    unsigned cpu = static_cast<unsigned>(__builtin_ctzll(m));
    uint32_t load = cpuAt(cpu).load.load(std::memory_order_relaxed);
    if (load < least)
      least = load, best = cpu;
  }
  return best;
}

bool stealThread(Cpu &me) {
  Cpu *busiest = nullptr;
  uint32_t most = 1; // a lone running thread is not for stealing
  for (uint64_t m = onlineMask.load(std::memory_order_relaxed) & ~bitOf(me.number); m; m &= m - 1) {
    Cpu &c = cpuAt(static_cast<unsigned>(__builtin_ctzll(m)));
    uint32_t load = c.load.load(std::memory_order_relaxed);
    if (load > most)
      most = load, busiest = &c;
  }
  Thread *t = busiest ? takeThread(*busiest, me.number) : nullptr;
  if (!t)
    return false;
  giveThread(me, *t);
  return true;
}

void pushThread(Cpu &me) {
  uint64_t others = onlineMask.load(std::memory_order_relaxed) & ~bitOf(me.number);
  if (!others)
    return;
  Cpu *laziest = nullptr;
  uint32_t mine = me.load.load(std::memory_order_relaxed), least = mine;
  for (uint64_t m = others; m; m &= m - 1) {
    Cpu &c = cpuAt(static_cast<unsigned>(__builtin_ctzll(m)));
    uint32_t load = c.load.load(std::memory_order_relaxed);
    if (load < least)
      least = load, laziest = &c;
  }
  if (!laziest)
    return;
  if (mine - least < 2 && ++me.slicesToBalance < kRotateSlices)
    return;
  me.slicesToBalance = 0;
  if (Thread *t = takeThread(me, laziest->number))
    giveThread(*laziest, *t);
}

} // namespace osv::sched

// SPDX-License-Identifier: BSD-3-Clause
//
// The clocks of the kernel: monotonic is the architecture's, realtime is monotonic plus an offset that clock_settime
// moves.
#include "kernel/arch/Clock.h"
#include "kernel/lib/SpinLock.h"
#include "kernel/time/Time.h"
#include "kernel/time/TimeInternal.h"

namespace osv {
namespace {

std::atomic<Nanos> offset{0};
SpinLock setLock;

/// Runs refineClock() when the architecture wants it.
Timer refineTimer;
void refine(Timer &self) {
  Nanos next = arch::refineClock();
  if (next != kForever)
    armTimer(self, next);
}

} // namespace

Nanos monotonicNow() { return arch::now(); }
Nanos realtimeOffset() { return offset.load(std::memory_order_relaxed); }
Nanos realtimeNow() { return arch::now() + realtimeOffset(); }

Result<void> setRealtime(Nanos t) {
  SpinGuard guard(setLock);
  Nanos o = t - arch::now();
  if (t < 0 || o < 0)
    return Errno::Inval; // Linux too: the clock may not be set so that the boot lies before 1970
  offset.store(o, std::memory_order_relaxed);
  arch::publishVdsoClock(o);
  moveRealtimeTimers();
  realtimeWasSet();
  return {};
}

void initTime() {
  initTimers();
  offset.store(arch::bootRealtime(), std::memory_order_relaxed);
  arch::publishVdsoClock(offset);
  constexpr Nanos kFirstRefinement = 250'000'000;
  refineTimer.fn = refine;
  armTimer(refineTimer, arch::now() + kFirstRefinement);
}

} // namespace osv

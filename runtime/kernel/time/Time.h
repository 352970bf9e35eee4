// SPDX-License-Identifier: BSD-3-Clause
//
// Time keeping and software timers. Clocks: monotonic (since boot, = boottime: the machine never suspends), realtime (monotonic + offset), CPU times.
#pragma once
#include "kernel/lib/Result.h"
#include "kernel/lib/Types.h"
#include <boost/intrusive/set.hpp>

namespace osv {

Nanos monotonicNow();
Nanos realtimeNow();
Result<void> setRealtime(Nanos t); ///< clock_settime; moves the vDSO's too
void initTime();

/// A one-shot timer on the CPU that armed it. `fn` runs in interrupt context, interrupts off, no lock held; it may re-arm.
struct Timer : boost::intrusive::set_base_hook<> {
  Nanos deadline = 0;
  void (*fn)(Timer &self) = nullptr;
  uint32_t cpu = 0;
  bool armed = false;
};
/// (Re)arms. Any context.
void armTimer(Timer &t, Nanos deadline);
/// After it returns the callback neither runs nor will run (unless re-armed). True when it was armed. Not from the callback itself.
bool cancelTimer(Timer &t);

} // namespace osv

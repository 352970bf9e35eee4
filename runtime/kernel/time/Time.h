// SPDX-License-Identifier: BSD-3-Clause
//
// Time keeping and software timers. Clocks: monotonic (since boot, = boottime: the machine never suspends), realtime
// (monotonic + offset), CPU times.
#pragma once
#include "kernel/lib/Result.h"
#include "kernel/lib/Types.h"
#include <boost/intrusive/set.hpp>

namespace osv {

Nanos monotonicNow();
Nanos realtimeNow();
Nanos realtimeOffset();            ///< realtime - monotonic
Result<void> setRealtime(Nanos t); ///< clock_settime; moves the vDSO's too, and the timers that follow the realtime
                                   ///< clock. EINVAL before 1970 or boot.
/// Once, on the boot CPU, after arch::initClock(), when gate() and setTimer() work, and before any timer is armed.
void initTime();

enum class TimerClock : uint8_t { Monotonic, Realtime };

/// A one-shot timer on the CPU that armed it. `fn` runs in interrupt context, interrupts off, no lock held; it may
/// re-arm or wake; it must not free the timer.
struct Timer : boost::intrusive::set_base_hook<> {
  Nanos deadline = 0; ///< monotonic
  void (*fn)(Timer &self) = nullptr;
  uint32_t cpu = 0;
  bool armed = false;
  TimerClock clock = TimerClock::Monotonic;
  Nanos realtimeDeadline = 0; ///< TimerClock::Realtime: what `deadline` follows when the clock is set
};
/// (Re)arms. Any context, any spin lock held. Arming one timer from two places at once is the caller's to exclude.
void armTimer(Timer &t, Nanos deadline);
/// As armTimer, for a point of the realtime clock: still right when the clock is set.
void armRealtimeTimer(Timer &t, Nanos deadline);
/// After it returns the callback neither runs nor will run (unless re-armed). True when it was armed. Not from the
/// callback itself, and with no lock held that the callback takes: it waits for a callback that runs on another CPU.
bool cancelTimer(Timer &t);
/// The same without waiting: a callback that runs already goes on. Any lock held.
bool disarmTimer(Timer &t);
/// The scheduler's slice deadline of this CPU has changed: arms the hardware if the earliest event did. Interrupts off.
void sliceDeadlineChanged();

} // namespace osv

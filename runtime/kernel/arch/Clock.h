// SPDX-License-Identifier: BSD-3-Clause
//
// Contract: one monotonic clock and one one-shot timer per CPU.
#pragma once
#include "kernel/lib/Types.h"

namespace osv::arch {

/// Monotonic time since boot. Any context; a few instructions (TSC, scaled).
Nanos now();
/// Arms this CPU's timer to interrupt at `deadline` (monotonic); kForever disarms. A deadline in the past fires at once. Interrupts off.
void setTimer(Nanos deadline);
/// Wall-clock time at boot in ns since 1970 (RTC).
Nanos bootRealtime();
/// Publishes the clock's parameters to the vDSO data page.
void publishVdsoClock(Nanos realtimeOffset);

} // namespace osv::arch

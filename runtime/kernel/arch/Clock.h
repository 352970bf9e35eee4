// SPDX-License-Identifier: BSD-3-Clause
//
// Contract: one monotonic clock and one one-shot timer per CPU.
#pragma once
#include "kernel/lib/Types.h"

namespace osv::arch {

/// Finds the clock's frequency and the time of day; `now()` is valid afterwards and starts near 0. On the boot CPU,
/// interrupts off, before anything measures time. Takes up to 1 ms where the frequency has to be measured.
void initClock();
/// Measures the frequency again over the time since boot and corrects the clock's rate without a step; when it should
/// be called next, or kForever. Interrupts off.
Nanos refineClock();
/// Monotonic time since boot. Any context; a few instructions (TSC, scaled).
Nanos now();
/// The counter behind it, read with one instruction: for durations on one CPU (two CPUs may differ by a little). Its
/// rate is fixed; only what a tick is worth is corrected once or twice after boot (refineClock).
using Ticks = int64_t;
Ticks ticks();
Nanos ticksToNanos(Ticks span); ///< span >= 0
Ticks nanosToTicks(Nanos span); ///< span >= 0; rounded up
/// The monotonic time at which the counter shows, or showed, `t`.
Nanos timeOfTicks(Ticks t);
/// Arms this CPU's timer to interrupt at `deadline` (monotonic); kForever disarms. A deadline in the past fires at
/// once. Interrupts off.
void setTimer(Nanos deadline);
/// Wall-clock time at boot in ns since 1970 (RTC).
Nanos bootRealtime();
/// Publishes the offset of realtime to the vDSO data page.
void publishVdsoClock(Nanos realtimeOffset);
/// Tells the vDSO how to find the number of its CPU. Once all CPUs are up.
void publishVdsoCpu();
/// The vDSO: its ELF image and the data page, each page aligned and alone in its pages, in the kernel's image.
struct VdsoImage {
  const void *data;
  const void *image;
  size_t imageSize; ///< a multiple of the page size
};
VdsoImage vdsoImage();

} // namespace osv::arch

#if !defined(OSV_HOST_TEST)
#include "arch/x64/ClockInline.h" // the build selects the architecture by its include path
#endif

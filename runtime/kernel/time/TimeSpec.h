// SPDX-License-Identifier: BSD-3-Clause
//
// The program's time structures to and from nanoseconds, with Linux's checks: a negative or over-long fraction is
// EINVAL, a time too far away counts as for ever.
#pragma once
#include "kernel/lib/Result.h"
#include "kernel/time/Time.h"
#include <linux/time_types.h>

namespace osv {

inline constexpr Nanos kSecond = 1'000'000'000;
inline constexpr Nanos kMicrosecond = 1'000;

/// struct timeval / itimerval as the kernel reads them (UAPI's __kernel_old_*).
using TimeVal = __kernel_old_timeval;
using TimeSpec = __kernel_timespec;

/// seconds + nanoseconds, saturated at kForever. seconds >= 0, 0 <= ns < 10^9.
constexpr Nanos combine(int64_t seconds, int64_t ns) {
  constexpr int64_t kMaxSeconds = kForever / kSecond - 1;
  return seconds > kMaxSeconds ? kForever : seconds * kSecond + ns;
}
inline Result<Nanos> toNanos(const TimeSpec &t) {
  if (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec >= kSecond)
    return Errno::Inval;
  return combine(t.tv_sec, t.tv_nsec);
}
inline Result<Nanos> toNanos(const TimeVal &t) {
  if (t.tv_sec < 0 || t.tv_usec < 0 || t.tv_usec >= 1'000'000)
    return Errno::Inval;
  return combine(t.tv_sec, t.tv_usec * kMicrosecond);
}
constexpr TimeSpec toTimeSpec(Nanos t) { return {t / kSecond, t % kSecond}; }
constexpr TimeVal toTimeVal(Nanos t) { return {t / kSecond, t % kSecond / kMicrosecond}; }

/// Absolute monotonic time `duration` from now, saturated.
inline Nanos deadlineAfter(Nanos duration) {
  Nanos now = monotonicNow();
  return duration >= kForever - now ? kForever : now + duration;
}

} // namespace osv

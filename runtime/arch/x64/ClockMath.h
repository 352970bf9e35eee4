// SPDX-License-Identifier: BSD-3-Clause
//
// The arithmetic of the clock, without the hardware: scaling of TSC ticks, the line fitted through calibration samples,
// the decoding of CMOS time and of the pvclock page. Everything here is pure and is tried on the host (test/unit/time);
// Clock.cpp supplies the registers.
//
// Scaling. `ns = ticks * mul >> 56` with a 128-bit product: one `mul` and one `shrd`. mul = 2^56 * 1e9 / frequency fits
// 64 bits for every frequency above 3.9 MHz, and its rounding error is below one part in 10^16, so the clock's accuracy
// is that of the frequency alone.
#pragma once
#include "kernel/lib/Types.h"
#include "kernel/vdso/VdsoData.h"
#include <array>
#include <cstdint>
#include <optional>

namespace osv::arch {

inline constexpr unsigned kClockShift = kVdsoShift;
inline constexpr uint64_t kPitHz = 1193182;

/// n / d for a quotient that fits 64 bits (n >> 64 < d); one instruction, since the kernel has no library for 128-bit
/// division.
constexpr uint64_t divide128(unsigned __int128 n, uint64_t d) {
  if (__builtin_is_constant_evaluated())
    return static_cast<uint64_t>(n / d);
  uint64_t quotient, remainder;
  asm("divq %4"
      : "=a"(quotient), "=d"(remainder)
      : "a"(static_cast<uint64_t>(n)), "d"(static_cast<uint64_t>(n >> 64)), "r"(d)
      : "cc");
  return quotient;
}
/// a * b / d, for a result that fits 64 bits.
constexpr uint64_t mulDiv(uint64_t a, uint64_t b, uint64_t d) { return divide128((unsigned __int128)a * b, d); }

/// The factor of a clock that ticks `hz` times a second. hz > 4 MHz.
constexpr uint64_t clockFactor(uint64_t hz) {
  return divide128(((unsigned __int128)1'000'000'000 << kClockShift) + hz / 2, hz);
}
constexpr uint64_t scaleTicks(uint64_t ticks, uint64_t factor) {
  return static_cast<uint64_t>((unsigned __int128)ticks * factor >> kClockShift);
}
/// Inverse of scaleTicks for durations: nanoseconds to ticks, rounded up. ns < 2^63.
constexpr uint64_t nanosToTicks(uint64_t ns, uint64_t hz) {
  return divide128((unsigned __int128)ns * hz + 999'999'999, 1'000'000'000);
}

/// The slope of a line through points (x, y), least squares: how many x a step of y takes. Points are given relative to
/// a near origin: the sums stay below 2^63 for up to 512 points with x < 2^26 and y < 2^14, and the caller keeps within
/// that.
class LineFit {
public:
  void add(uint64_t x, uint64_t y) {
    n++;
    sumX += x;
    sumY += y;
    sumXY += x * y;
    sumYY += y * y;
  }
  unsigned count() const { return static_cast<unsigned>(n); }
  /// slope * `scale`, rounded down; 0 when all y are the same or the line does not rise.
  uint64_t slope(uint64_t scale) const {
    int64_t rise = static_cast<int64_t>(n * sumXY - sumX * sumY);
    int64_t run = static_cast<int64_t>(n * sumYY - sumY * sumY);
    if (run <= 0 || rise <= 0 || (static_cast<unsigned __int128>(rise) * scale >> 64) >= static_cast<uint64_t>(run))
      return 0;
    return mulDiv(static_cast<uint64_t>(rise), scale, static_cast<uint64_t>(run));
  }

private:
  uint64_t n = 0, sumX = 0, sumY = 0, sumXY = 0, sumYY = 0;
};

/// Ticks that a 16-bit down-counter has made since it showed `start`, now that it shows `now` and about `expected`
/// ticks have gone by: the value congruent to the difference that lies nearest to `expected`.
constexpr uint64_t unwrapPit(uint16_t start, uint16_t now, uint64_t expected) {
  uint16_t low = static_cast<uint16_t>(start - now);
  int16_t off = static_cast<int16_t>(low - static_cast<uint16_t>(expected));
  if (off < 0 && expected < static_cast<uint64_t>(-off))
    return low;
  return expected + static_cast<uint64_t>(static_cast<int64_t>(off));
}

/// Registers of the MC146818 as read, in its own coding.
struct RtcRegisters {
  uint8_t second, minute, hour, day, month, year, century;
  uint8_t statusB; ///< bit 2: binary, else BCD; bit 1: 24 hours
  bool operator==(const RtcRegisters &) const = default;
};

/// Days since 1970-01-01 of a Gregorian date (month 1..12).
constexpr int64_t daysFromCivil(int64_t y, unsigned m, unsigned d) {
  y -= m <= 2;
  int64_t era = (y >= 0 ? y : y - 399) / 400;
  unsigned yearOfEra = static_cast<unsigned>(y - era * 400);
  unsigned dayOfYear = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1; // the year begins in March: leap days come last
  return era * 146097 + static_cast<int64_t>(yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear) - 719468;
}

/// Seconds since 1970 (UTC); nothing when a field is out of range (no or unset clock).
constexpr std::optional<int64_t> decodeRtc(const RtcRegisters &r) {
  constexpr uint8_t kBinary = 4, k24Hours = 2, kPm = 0x80;
  bool badDigit = false;
  auto number = [&](uint8_t v) -> unsigned {
    if (r.statusB & kBinary)
      return v;
    badDigit |= (v & 15) > 9 || (v >> 4) > 9;
    return (v >> 4) * 10u + (v & 15);
  };
  unsigned second = number(r.second), minute = number(r.minute), day = number(r.day), month = number(r.month),
           year = number(r.year);
  bool pm = !(r.statusB & k24Hours) && (r.hour & kPm);
  unsigned hour = number(static_cast<uint8_t>(r.statusB & k24Hours ? r.hour : r.hour & ~kPm));
  if (!(r.statusB & k24Hours)) {
    if (hour < 1 || hour > 12)
      return {};
    hour = hour % 12 + (pm ? 12 : 0);
  }
  if (badDigit || second > 59 || minute > 59 || hour > 23 || day < 1 || day > 31 || month < 1 || month > 12 ||
      year > 99)
    return {};
  unsigned century = number(r.century);
  if (century < 19 || century > 29)
    century = year >= 70
                  ? 19
                  : 20; // the century byte is a convention, not a register: old machines keep something else there
  return daysFromCivil(century * 100 + year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

/// KVM's per-CPU time page (MSR_KVM_SYSTEM_TIME_NEW), as the hypervisor writes it.
struct PvclockPage {
  uint32_t version; ///< odd while it is written
  uint32_t pad0;
  uint64_t tscTimestamp;
  uint64_t systemTime; ///< ns at tscTimestamp
  uint32_t tscToSystemMul;
  int8_t tscShift;
  uint8_t flags; ///< bit 0: the TSC is stable, one page serves all CPUs
  uint8_t pad[2];
};
static_assert(sizeof(PvclockPage) == 32);
inline constexpr uint8_t kPvclockTscStable = 1;
/// MSR_KVM_WALL_CLOCK_NEW: the wall clock at system time 0.
struct PvclockWall {
  uint32_t version, sec, nsec;
};

/// TSC frequency that a page states: ns = (ticks << shift) * mul >> 32. 0 when the page is empty.
constexpr uint64_t pvclockHz(const PvclockPage &p) {
  if (p.tscToSystemMul == 0 || p.tscShift > 31 || p.tscShift < -31)
    return 0;
  unsigned __int128 num = (unsigned __int128)1'000'000'000 << 32;
  if (p.tscShift < 0)
    num <<= -p.tscShift;
  if (num >> 64 >= p.tscToSystemMul)
    return 0;
  return divide128(num, p.tscToSystemMul) >> (p.tscShift > 0 ? p.tscShift : 0);
}
constexpr uint64_t pvclockNanos(const PvclockPage &p, uint64_t tsc) {
  uint64_t delta = tsc - p.tscTimestamp;
  delta = p.tscShift >= 0 ? delta << p.tscShift : delta >> -p.tscShift;
  return p.systemTime + static_cast<uint64_t>((unsigned __int128)delta * p.tscToSystemMul >> 32);
}

} // namespace osv::arch

// SPDX-License-Identifier: BSD-3-Clause
//
// The arithmetic of the clock: scaling, calibration, RTC and pvclock decoding, against independent computations.
#include "arch/x64/ClockMath.h"
#include <cmath>
#include <ctime>
#include <gtest/gtest.h>

using namespace osv::arch;

namespace {

TEST(ClockMath, ScaleIsExactForRoundFrequencies) {
  EXPECT_EQ(scaleTicks(123'456'789, clockFactor(1'000'000'000)), 123'456'789u);
  uint64_t year = 365ull * 86400;
  for (uint64_t hz : {4'000'000ull, 1'000'000'000ull, 2'300'000'000ull, 2'995'200'123ull, 5'800'000'000ull}) {
    uint64_t ns = scaleTicks(hz * year, clockFactor(hz));
    EXPECT_NEAR(static_cast<double>(ns), static_cast<double>(year) * 1e9, 2e3) << hz;
  }
}

TEST(ClockMath, ScaleIsMonotonic) {
  uint64_t factor = clockFactor(2'300'000'000), last = 0;
  for (uint64_t t = 1ull << 50; t < (1ull << 50) + 1000; t++) {
    uint64_t ns = scaleTicks(t, factor);
    EXPECT_GE(ns, last);
    last = ns;
  }
}

TEST(ClockMath, TicksRoundUp) {
  for (uint64_t hz : {1'000'000'000ull, 2'300'000'000ull, 3'333'333'333ull})
    for (uint64_t ns : {0ull, 1ull, 999ull, 1'000'000'007ull, 86'400'000'000'000ull}) {
      uint64_t ticks = nanosToTicks(ns, hz);
      EXPECT_GE(scaleTicks(ticks + 1, clockFactor(hz)), ns);
      EXPECT_LE(static_cast<double>(ticks), static_cast<double>(ns) * static_cast<double>(hz) / 1e9 + 2);
    }
}

TEST(ClockMath, LineFitFindsFrequencyThroughQuantisation) {
  // The PIT as a reader sees it: whole counts, read every 4 us with some jitter, for 1 ms.
  for (double hz : {1.0e9, 2.3e9, 4.9e9}) {
    LineFit fit;
    for (int i = 0; i < 250; i++) {
      double t = i * 4e-6 + (i * 37 % 11) * 1e-7;
      fit.add(static_cast<uint64_t>(t * hz) + 5000, static_cast<uint64_t>(t * kPitHz + 0.3));
    }
    EXPECT_NEAR(static_cast<double>(fit.slope(kPitHz)) / hz, 1.0, 150e-6) << hz;
  }
}

TEST(ClockMath, LineFitOfNothing) {
  LineFit fit;
  EXPECT_EQ(fit.slope(kPitHz), 0u);
  for (uint64_t i = 0; i < 100; i++)
    fit.add(i * 1000, 0); // a counter that does not count
  EXPECT_EQ(fit.slope(kPitHz), 0u);
}

TEST(ClockMath, UnwrapPit) {
  EXPECT_EQ(unwrapPit(100, 90, 10), 10u);
  EXPECT_EQ(unwrapPit(100, 90, 0), 10u);
  EXPECT_EQ(unwrapPit(10, 65526, 25), 20u);
  for (uint64_t real : {0ull, 1ull, 65535ull, 65536ull, 65537ull, 298'295ull, 4'772'728ull, 71'590'920ull})
    for (int64_t error : {-20000ll, -1ll, 0ll, 1ll, 20000ll}) {
      if (static_cast<int64_t>(real) + error < 0)
        continue;
      uint16_t start = 12345, now = static_cast<uint16_t>(start - real);
      EXPECT_EQ(unwrapPit(start, now, real + static_cast<uint64_t>(error)), real) << error;
    }
}

RtcRegisters bcd(unsigned y, unsigned mo, unsigned d, unsigned h, unsigned mi, unsigned s, bool h24 = true) {
  auto b = [](unsigned v) { return static_cast<uint8_t>(v / 10 << 4 | v % 10); };
  uint8_t hour = b(h);
  if (!h24)
    hour = static_cast<uint8_t>(b(h % 12 ? h % 12 : 12) | (h >= 12 ? 0x80 : 0));
  return {b(s), b(mi), hour, b(d), b(mo), b(y % 100), b(y / 100), static_cast<uint8_t>(h24 ? 2 : 0)};
}
RtcRegisters binary(unsigned y, unsigned mo, unsigned d, unsigned h, unsigned mi, unsigned s) {
  return {uint8_t(s), uint8_t(mi), uint8_t(h), uint8_t(d), uint8_t(mo), uint8_t(y % 100), uint8_t(y / 100), 6};
}

TEST(Rtc, AgreesWithTimegm) {
  for (int64_t t = 0; t < 4'102'444'800; t += 86400 * 13 + 12345) {
    time_t tt = t;
    tm g;
    gmtime_r(&tt, &g);
    unsigned y = unsigned(g.tm_year + 1900), mo = unsigned(g.tm_mon + 1), d = unsigned(g.tm_mday),
             h = unsigned(g.tm_hour), mi = unsigned(g.tm_min), s = unsigned(g.tm_sec);
    EXPECT_EQ(decodeRtc(bcd(y, mo, d, h, mi, s)), t);
    EXPECT_EQ(decodeRtc(bcd(y, mo, d, h, mi, s, false)), t);
    EXPECT_EQ(decodeRtc(binary(y, mo, d, h, mi, s)), t);
  }
}

TEST(Rtc, CenturyByteMayBeSomethingElse) {
  RtcRegisters r = bcd(2026, 11, 23, 15, 11, 0);
  r.century = 0xff;
  EXPECT_EQ(decodeRtc(r), decodeRtc(bcd(2026, 11, 23, 15, 11, 0)));
  r.century = 0;
  EXPECT_EQ(decodeRtc(r), decodeRtc(bcd(2026, 11, 23, 15, 11, 0)));
}

TEST(Rtc, RejectsNonsense) {
  EXPECT_FALSE(decodeRtc({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
  EXPECT_FALSE(decodeRtc(bcd(2026, 13, 1, 0, 0, 0)));
  EXPECT_FALSE(decodeRtc(bcd(2026, 0, 1, 0, 0, 0)));
  EXPECT_FALSE(decodeRtc(bcd(2026, 1, 32, 0, 0, 0)));
  EXPECT_FALSE(decodeRtc(bcd(2026, 1, 1, 24, 0, 0)));
  RtcRegisters r = bcd(2026, 1, 1, 0, 0, 0);
  r.minute = 0x1a;
  EXPECT_FALSE(decodeRtc(r));
}

PvclockPage pageFor(double hz) {
  PvclockPage p{};
  double perTick = 1e9 / hz; // = mul / 2^32 * 2^shift with mul in [2^31, 2^32)
  int shift = 0;
  while (perTick >= 1) {
    perTick /= 2;
    shift++;
  }
  while (perTick < 0.5) {
    perTick *= 2;
    shift--;
  }
  p.tscShift = static_cast<int8_t>(shift);
  p.tscToSystemMul = static_cast<uint32_t>(perTick * 4294967296.0);
  return p;
}

TEST(Pvclock, Frequency) {
  for (double hz : {5e8, 1e9, 2.3e9, 2.995e9, 4.2e9})
    EXPECT_NEAR(static_cast<double>(pvclockHz(pageFor(hz))), hz, hz * 1e-9 + 2);
  EXPECT_EQ(pvclockHz(PvclockPage{}), 0u);
  PvclockPage bad = pageFor(2e9);
  bad.tscShift = -100;
  EXPECT_EQ(pvclockHz(bad), 0u);
  bad.tscShift = -31;
  bad.tscToSystemMul = 1; // must not divide out of range
  EXPECT_EQ(pvclockHz(bad), 0u);
}

TEST(Pvclock, Nanoseconds) {
  PvclockPage p = pageFor(2.3e9);
  p.tscTimestamp = 1'000'000;
  p.systemTime = 5'000'000'000;
  EXPECT_EQ(pvclockNanos(p, 1'000'000), 5'000'000'000u);
  EXPECT_NEAR(static_cast<double>(pvclockNanos(p, 1'000'000 + 2'300'000'000)), 6e9, 4);
}

} // namespace

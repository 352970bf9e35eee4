// SPDX-License-Identifier: BSD-3-Clause
//
// The signal frame's layout and the checks of rt_sigreturn, against frames that the host's kernel makes.
#include "FrameProbe.h"
#include <gtest/gtest.h>

namespace {

TEST(SignalFrame, IsWhereLinuxPutsIt) {
  FrameProbe p = probeFrame();
  EXPECT_EQ(p.frame, p.expectedFrame);
  EXPECT_EQ(p.fp, p.expectedFp);
  EXPECT_EQ(p.info, p.frame + 8 + 304);
  EXPECT_EQ(p.frame % 16, 8u);
  EXPECT_EQ(p.ucFlags, 7u);
}

TEST(SignalFrame, OnTheAlternateStack) {
  alignas(64) static uint8_t stack[65536];
  FrameProbe p = probeFrame(stack + 8, sizeof stack - 24);
  EXPECT_EQ(p.frame, p.expectedFrame); // no red zone here
  EXPECT_EQ(p.fp, p.expectedFp);
  EXPECT_EQ(p.altStackFlags, 0);
  EXPECT_EQ(p.altStack, stack + 8);
}

TEST(SignalFrame, MarksOfTheFpState) {
  FrameProbe p = probeFrame();
  EXPECT_TRUE(p.magicsRight);
  EXPECT_EQ(p.extendedSize, p.stateSize + 4);
  EXPECT_EQ(p.headerFeatures & 3, 3u);
  EXPECT_TRUE(p.headerValid);
}

TEST(SignalFrame, Selectors) {
  FrameProbe p = probeFrame();
  EXPECT_EQ(p.cs, 0x33);
  EXPECT_EQ(p.ss, 0x2b);
  EXPECT_TRUE(probeSelectors(0x33, 0x2b, true));
  EXPECT_TRUE(probeSelectors(0x30, 0x2b, true));
  EXPECT_TRUE(probeSelectors(0x33, 0, false));
  EXPECT_FALSE(probeSelectors(0x33, 0, true));
  EXPECT_FALSE(probeSelectors(0x23, 0x2b, false)); // 32-bit code
  EXPECT_FALSE(probeSelectors(0x08, 0x10, false)); // the kernel's own
}

TEST(SignalFrame, Flags) {
  constexpr uint64_t kIf = 1 << 9, kIopl = 3 << 12, kNt = 1 << 14, kVm = 1 << 17, kDf = 1 << 10;
  EXPECT_EQ(probeFlags(kIf | 2, 0), kIf | 2); // interrupts stay on
  EXPECT_EQ(probeFlags(kIf | 2, kIopl | kNt | kVm | kDf | 1), kIf | 2 | kDf | 1);
  EXPECT_EQ(probeFlags(kIf | 2 | kDf | 0x8d5, kIf | 2), kIf | 2);
}

TEST(SignalFrame, AltStackMembership) {
  EXPECT_TRUE(probeAltStack(0x2000, 0x1000, 0x1000, 0)); // empty stack: its top belongs to it
  EXPECT_FALSE(probeAltStack(0x1000, 0x1000, 0x1000, 0));
  EXPECT_FALSE(probeAltStack(0x2001, 0x1000, 0x1000, 0));
  EXPECT_TRUE(probeAltStack(0x1001, 0x1000, 0x1000, 0));
  EXPECT_FALSE(probeAltStack(0x1800, 0x1000, 0x1000, static_cast<int>(1u << 31)));
  EXPECT_FALSE(probeAltStack(0x1800, 0, 0, 2));
}

} // namespace

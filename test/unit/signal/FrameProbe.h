// SPDX-License-Identifier: BSD-3-Clause
//
// What FrameTest asks of FrameProbe.cpp, in plain integers.
#pragma once
#include <cstddef>
#include <cstdint>

/// A signal frame of the host's kernel as its handler saw it, and where arch/x64/SignalFrameLayout.h would have put it.
struct FrameProbe {
  uint64_t expectedStack, expectedFrame, expectedFp;
  uint64_t frame, info, fp, rsp, ucFlags;
  uint16_t cs, ss;
  int altStackFlags;
  void *altStack;
  uint32_t stateSize, extendedSize;
  uint64_t headerFeatures;
  bool magicsRight, headerValid;
};
/// Sends itself a signal; on the alternate stack unless that is null.
FrameProbe probeFrame(void *altStack = nullptr, size_t size = 0);

bool probeSelectors(uint16_t cs, uint16_t ss, bool strict);
uint64_t probeFlags(uint64_t now, uint64_t saved);
bool probeAltStack(uint64_t sp, uint64_t base, uint64_t size, int flags);

// SPDX-License-Identifier: BSD-3-Clause
//
// The weights of nice values. The rest of the run queue's order is inline in RunQueue.h.
#include "kernel/sched/RunQueue.h"
#include <algorithm>
#include <array>

namespace osv {
namespace {
/// 1024 * 1.25^-nice, by exact fractions so that no floating point is needed (the kernel has none).
constexpr std::array<uint32_t, 40> makeWeights() {
  std::array<uint32_t, 40> w{};
  for (int nice = -20; nice < 20; nice++) {
    uint64_t n = 1024ull << 20; // 20 bits of fraction
    for (int i = 0; i < nice; i++)
      n = n * 4 / 5;
    for (int i = 0; i > nice; i--)
      n = n * 5 / 4;
    w[static_cast<size_t>(nice + 20)] = static_cast<uint32_t>((n + (1u << 19)) >> 20);
  }
  return w;
}
constexpr std::array<uint32_t, 40> kWeights = makeWeights();
static_assert(kWeights[20] == 1024 && kWeights[19] == 1280 && kWeights[39] == 15);
} // namespace

uint32_t weightOfNice(int nice) { return kWeights[static_cast<size_t>(std::clamp(nice, -20, 19) + 20)]; }

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// The ChaCha20 block function against the test vector of RFC 8439, section 2.3.2, and the generator's promises.
#include "kernel/lib/ChaCha.h"
#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <set>
#include <vector>

using namespace osv;

namespace {

TEST(ChaCha, Rfc8439Block) {
  uint32_t key[8];
  for (unsigned i = 0; i < 8; i++)
    key[i] = (4 * i) | (4 * i + 1) << 8 | (4 * i + 2) << 16 | (4 * i + 3) << 24;
  const uint32_t nonce[3] = {0x09000000, 0x4a000000, 0x00000000};
  uint32_t out[16];
  chachaBlock(key, 1, nonce, out);
  const uint32_t expected[16] = {0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3, 0xc7f4d1c7, 0x0368c033,
                                 0x9aaa2204, 0x4e6cd4c3, 0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9,
                                 0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2};
  EXPECT_TRUE(std::equal(std::begin(out), std::end(out), std::begin(expected)));
}

std::vector<std::byte> take(ChaChaGenerator &g, size_t n) {
  std::vector<std::byte> v(n);
  g.generate(v);
  return v;
}

TEST(ChaChaGenerator, NeverRepeats) {
  ChaChaGenerator g;
  std::set<std::vector<std::byte>> seen;
  for (int i = 0; i < 1000; i++)
    EXPECT_TRUE(seen.insert(take(g, 16)).second);
}

TEST(ChaChaGenerator, EverySizeIsFilled) {
  ChaChaGenerator g;
  for (size_t n : {0, 1, 31, 32, 33, 95, 96, 97, 160, 1000}) {
    std::vector<std::byte> sum(n);
    for (int i = 0; i < 64; i++) { // a byte that is never written stays 0: chance 256^-64
      std::vector<std::byte> v = take(g, n);
      for (size_t k = 0; k < n; k++)
        sum[k] |= v[k];
    }
    EXPECT_EQ(std::count(sum.begin(), sum.end(), std::byte{0}), 0) << n;
  }
}

TEST(ChaChaGenerator, EverySeedBitMatters) {
  std::set<std::vector<std::byte>> seen;
  for (int bit = 0; bit < 6 * 64; bit++) {
    uint64_t seed[6] = {};
    seed[bit / 64] = 1ull << bit % 64;
    ChaChaGenerator g;
    g.mix(seed);
    EXPECT_TRUE(seen.insert(take(g, 16)).second) << bit;
  }
}

TEST(ChaChaGenerator, MixingKeepsWhatWasThere) {
  ChaChaGenerator a, b;
  uint64_t one = 1, two = 2;
  a.mix({&one, 1});
  a.mix({&two, 1});
  b.mix({&two, 1});
  EXPECT_NE(take(a, 32), take(b, 32));
}

} // namespace

// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/lib/ChaCha.h"
#include <algorithm>
#include <bit>
#include <cstring>

namespace osv {
namespace {
inline void quarter(uint32_t &a, uint32_t &b, uint32_t &c, uint32_t &d) {
  a += b, d = std::rotl(d ^ a, 16);
  c += d, b = std::rotl(b ^ c, 12);
  a += b, d = std::rotl(d ^ a, 8);
  c += d, b = std::rotl(b ^ c, 7);
}
} // namespace

void chachaBlock(const uint32_t (&key)[8], uint32_t counter, const uint32_t (&nonce)[3], uint32_t (&out)[16]) {
  const uint32_t in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, // "expand 32-byte k"
                           key[0],     key[1],     key[2],     key[3],     key[4],   key[5],
                           key[6],     key[7],     counter,    nonce[0],   nonce[1], nonce[2]};
  uint32_t x[16];
  std::copy(std::begin(in), std::end(in), x);
  for (int i = 0; i < 10; i++) {
    quarter(x[0], x[4], x[8], x[12]);
    quarter(x[1], x[5], x[9], x[13]);
    quarter(x[2], x[6], x[10], x[14]);
    quarter(x[3], x[7], x[11], x[15]);
    quarter(x[0], x[5], x[10], x[15]);
    quarter(x[1], x[6], x[11], x[12]);
    quarter(x[2], x[7], x[8], x[13]);
    quarter(x[3], x[4], x[9], x[14]);
  }
  for (int i = 0; i < 16; i++)
    out[i] = x[i] + in[i];
}

void ChaChaGenerator::mix(std::span<const uint64_t> seed) {
  // The seed is taken in, 256 bits at a time, as key material, and the block function stirs.
  while (!seed.empty()) {
    size_t n = std::min<size_t>(seed.size(), 4);
    for (size_t i = 0; i < n; i++) {
      key[2 * i] ^= static_cast<uint32_t>(seed[i]);
      key[2 * i + 1] ^= static_cast<uint32_t>(seed[i] >> 32);
    }
    uint32_t block[16];
    chachaBlock(key, 0, {1, 0, 0}, block);
    std::copy_n(block, 8, key);
    seed = seed.subspan(n);
  }
}

void ChaChaGenerator::generate(std::span<std::byte> out) {
  uint32_t block[16];
  uint32_t old[8];
  std::copy(std::begin(key), std::end(key), old);
  chachaBlock(old, 0, {0, 0, 0}, block);
  std::copy_n(block, 8, key); // the first half is the next key; the second is the first output
  size_t n = std::min<size_t>(out.size(), 32);
  memcpy(out.data(), block + 8, n);
  for (uint32_t counter = 1; n < out.size(); counter++) {
    chachaBlock(old, counter, {0, 0, 0}, block);
    size_t m = std::min<size_t>(out.size() - n, 64);
    memcpy(out.data() + n, block, m);
    n += m;
  }
  volatile uint32_t *wipe = old; // the key that gave this output must not stay on the stack
  for (int i = 0; i < 8; i++)
    wipe[i] = 0;
}

} // namespace osv

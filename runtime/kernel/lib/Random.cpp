// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's random generator: one ChaCha20 generator under a lock, seeded from RDSEED/RDRAND where the CPU has it,
// and always from the clock's jitter: a few thousand readings of the time-stamp counter around cache misses and each
// other, whose low bits no outsider can predict. Reseeded from both every megabyte.
#include "kernel/lib/Random.h"
#include "kernel/arch/Clock.h"
#include "kernel/arch/Cpu.h"
#include "kernel/lib/ChaCha.h"
#include "kernel/lib/Log.h"
#include "kernel/lib/SpinLock.h"

namespace osv {
namespace {

constexpr size_t kReseedBytes = 1 << 20;
constexpr int kJitterRounds = 64; ///< of 32 readings

SpinLock lock;
constinit ChaChaGenerator generator;
size_t untilReseed = 0;

/// Both with the lock held, or at boot.
void mixHardware() {
  uint64_t seed[8];
  unsigned n = 0;
  for (uint64_t &word : seed)
    n += arch::hardwareRandom(word);
  if (n == 8)
    generator.mix(seed);
}
void mixJitter(int rounds) {
  for (int round = 0; round < rounds; round++) {
    uint64_t seed[4] = {};
    for (int i = 0; i < 32; i++)
      seed[i & 3] = (seed[i & 3] << 8 | seed[i & 3] >> 56) ^ static_cast<uint64_t>(arch::now());
    generator.mix(seed); // and takes a time of its own
  }
}
} // namespace

void seedRandom() {
  uint64_t base[2] = {static_cast<uint64_t>(arch::bootRealtime()), static_cast<uint64_t>(arch::now())};
  generator.mix(base);
  mixJitter(kJitterRounds);
  mixHardware();
  untilReseed = kReseedBytes;
}

void fillRandom(std::span<std::byte> out) {
  IrqSpinGuard g(lock);
  if (out.size() >= untilReseed) {
    mixHardware();
    mixJitter(1);
    untilReseed = kReseedBytes;
  }
  untilReseed -= out.size() < untilReseed ? out.size() : untilReseed;
  generator.generate(out);
}

uint64_t random64() {
  uint64_t v;
  fillRandom(std::as_writable_bytes(std::span(&v, 1)));
  return v;
}

void addEntropy(uint64_t value) {
  IrqSpinGuard g(lock);
  uint64_t seed[2] = {value, static_cast<uint64_t>(arch::now())};
  generator.mix(seed);
}

} // namespace osv

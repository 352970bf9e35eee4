// SPDX-License-Identifier: BSD-3-Clause
//
// Random bytes of cryptographic quality, for getrandom, /dev/urandom, AT_RANDOM and the layout of address spaces.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace osv {

/// At boot, once the clock works.
void seedRandom();
/// Fills `out`. Any context; hold it to a few hundred bytes at a time, as it runs with interrupts off.
void fillRandom(std::span<std::byte> out);
uint64_t random64();
/// Stirs something unpredictable in (the time of an interrupt, bytes that the program wrote to /dev/random).
void addEntropy(uint64_t value);

} // namespace osv

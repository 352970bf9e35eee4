// SPDX-License-Identifier: BSD-3-Clause
//
// The ChaCha20 block function (RFC 8439, section 2.3), and the generator that is made of it. No state of the kernel:
// compiles on the host.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace osv {

/// One block: 64 bytes of key stream for a 256-bit key, a block counter and a 96-bit nonce.
void chachaBlock(const uint32_t (&key)[8], uint32_t counter, const uint32_t (&nonce)[3], uint32_t (&out)[16]);

/// A generator with fast key erasure: every request first makes a new key out of the old one, so that what it has given
/// out cannot be found from its state later. Not thread-safe.
class ChaChaGenerator {
public:
  /// Mixes `seed` into the key; never makes it worse.
  void mix(std::span<const uint64_t> seed);
  void generate(std::span<std::byte> out);

private:
  uint32_t key[8] = {};
};

} // namespace osv

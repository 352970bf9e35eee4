// SPDX-License-Identifier: BSD-3-Clause
//
// What names a futex, where it is hashed to, and the little language of FUTEX_WAKE_OP: the parts that need no kernel,
// and are tested on the host.
#pragma once
#include "kernel/lib/Result.h"
#include <cstdint>
#include <linux/futex.h>

namespace osv::futex {

struct Key {
  uint64_t space = 0;  ///< address of the AddressSpace; 1: physical
  uint64_t offset = 0; ///< virtual or physical address
  bool operator==(const Key &) const = default;
};

inline constexpr unsigned kBucketBits = 8;
/// Which of 2^kBucketBits buckets a key goes to: neighbouring words and equal offsets in different pages spread.
constexpr unsigned hashOf(const Key &k) {
  uint64_t h = (k.offset >> 2) + (k.space >> 4);
  return static_cast<unsigned>((h * 0x9e3779b97f4a7c15ull) >> (64 - kBucketBits));
}

/// The operation of FUTEX_WAKE_OP on `old`. ENOSYS.
inline Result<uint32_t> applyOperation(uint32_t encoded, uint32_t old) {
  auto argument = static_cast<uint32_t>(static_cast<int32_t>(encoded << 8) >> 20);
  if (encoded >> 31 & 1) // FUTEX_OP_OPARG_SHIFT
    argument = 1u << (argument & 31);
  switch (encoded >> 28 & 7) {
  case FUTEX_OP_SET:
    return argument;
  case FUTEX_OP_ADD:
    return old + argument;
  case FUTEX_OP_OR:
    return old | argument;
  case FUTEX_OP_ANDN:
    return old & ~argument;
  case FUTEX_OP_XOR:
    return old ^ argument;
  }
  return Errno::NoSys;
}

/// Does the old value of the word meet the condition? ENOSYS.
inline Result<bool> meetsCondition(uint32_t encoded, uint32_t old) {
  auto value = static_cast<int32_t>(old), argument = static_cast<int32_t>(encoded << 20) >> 20;
  switch (encoded >> 24 & 15) {
  case FUTEX_OP_CMP_EQ:
    return value == argument;
  case FUTEX_OP_CMP_NE:
    return value != argument;
  case FUTEX_OP_CMP_LT:
    return value < argument;
  case FUTEX_OP_CMP_LE:
    return value <= argument;
  case FUTEX_OP_CMP_GT:
    return value > argument;
  case FUTEX_OP_CMP_GE:
    return value >= argument;
  }
  return Errno::NoSys;
}

} // namespace osv::futex

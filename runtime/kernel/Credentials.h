// SPDX-License-Identifier: BSD-3-Clause
//
// Who a process says it is. It starts as root and may change its ids as Linux lets it; nothing in this kernel is
// refused because of them except raising them again.
#pragma once
#include "kernel/lib/SpinLock.h"
#include <cstdint>

namespace osv {

inline constexpr unsigned kMaxGroups = 64;
inline constexpr unsigned kLastCapability = 40; ///< CAP_CHECKPOINT_RESTORE
inline constexpr uint64_t kAllCapabilities = (1ull << (kLastCapability + 1)) - 1;

struct Credentials {
  SpinLock lock; ///< for changes
  uint32_t uid = 0, effectiveUid = 0, savedUid = 0, fsUid = 0;
  uint32_t gid = 0, effectiveGid = 0, savedGid = 0, fsGid = 0;
  uint32_t groupCount = 0;
  uint32_t groups[kMaxGroups] = {};
  uint64_t permitted = kAllCapabilities, effective = kAllCapabilities, inheritable = 0, bounding = kAllCapabilities,
           ambient = 0;
  bool keepCapabilities = false;
  uint32_t secureBits = 0;

  bool capable(unsigned cap) const { return effective >> cap & 1; }
};

} // namespace osv

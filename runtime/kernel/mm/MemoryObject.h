// SPDX-License-Identifier: BSD-3-Clause
//
// What a mapping shows when it is not anonymous: the pages of a file (fs/ implements it). Refcounted.
#pragma once
#include "kernel/lib/Ref.h"
#include "kernel/lib/Result.h"
#include "kernel/lib/Types.h"
#include <string_view>

namespace osv {
class MemoryObject : public RefCounted {
public:
  virtual ~MemoryObject() = default;
  /// The page that backs byte offset `index * kPageSize`, with a reference taken (releasePage). Beyond the end:
  /// Errno::Range (SIGBUS). `write`: it will be written through a shared mapping. May sleep.
  virtual Result<PAddr> page(uint64_t index, bool write) = 0;
  virtual uint64_t inodeNumber() const { return 0; }
  /// Path for /proc/self/maps.
  virtual std::string_view name() const { return {}; }
};
} // namespace osv

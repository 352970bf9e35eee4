// SPDX-License-Identifier: BSD-3-Clause
//
// Memory without a file that is shared between mappings: what MAP_SHARED|MAP_ANONYMOUS creates. A sparse tree of pages,
// made on demand.
#pragma once
#include "kernel/lib/SpinLock.h"
#include "kernel/mm/MemoryObject.h"

namespace osv {

class SharedMemory final : public MemoryObject {
public:
  /// `size` in bytes is final. ENOMEM.
  static Result<Ref<MemoryObject>> create(size_t size);
  explicit SharedMemory(uint64_t pages);
  ~SharedMemory() override;
  Result<PAddr> page(uint64_t index, bool write) override;
  std::string_view name() const override { return "/dev/zero (deleted)"; }
  /// MADV_REMOVE: pages [first, end) read as zeros again. The caller unmaps them.
  void punchHole(uint64_t first, uint64_t end);

private:
  Result<PAddr *> entryOf(uint64_t index, bool create);
  static void freeLevel(PAddr node, unsigned level);

  uint64_t pages;
  unsigned levels; ///< of nodes above the pages, 512 entries each
  PAddr root;      ///< null: nothing yet. A node, or the page itself when `levels` is 0
  SpinLock lock;
};

} // namespace osv

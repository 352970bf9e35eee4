// SPDX-License-Identifier: BSD-3-Clause
//
// The tree of a SharedMemory: nodes are pages of 512 physical addresses, null where nothing is yet. One spin lock
// guards it; a page is cleared outside of it, so that a fault on another page need not wait for 512 stores.
#include "kernel/mm/SharedMemory.h"
#include "kernel/arch/Mmu.h"
#include "kernel/mm/Heap.h"
#include "kernel/mm/PageAllocator.h"

namespace osv {
namespace {
constexpr unsigned kNodeBits = 9;
PAddr *nodeAt(PAddr p) { return static_cast<PAddr *>(arch::directMap(p)); }
} // namespace

Result<Ref<MemoryObject>> SharedMemory::create(size_t size) {
  return Ref<MemoryObject>::adopt(TRY(make<SharedMemory>(roundUp(size, kPageSize) >> kPageShift)));
}

SharedMemory::SharedMemory(uint64_t pages) : pages(pages), levels(0) {
  while (uint64_t{1} << (levels * kNodeBits) < pages)
    levels++;
}

SharedMemory::~SharedMemory() { freeLevel(root, levels); }

void SharedMemory::freeLevel(PAddr node, unsigned level) {
  if (!node.value)
    return;
  if (level > 0)
    for (unsigned i = 0; i < 512; i++)
      freeLevel(nodeAt(node)[i], level - 1);
  releasePage(node);
}

/// The place of page `index`; null when its node does not exist and `create` is false. `lock` held.
Result<PAddr *> SharedMemory::entryOf(uint64_t index, bool create) {
  PAddr *entry = &root;
  for (unsigned level = levels; level > 0; level--) {
    if (!entry->value) {
      if (!create)
        return nullptr;
      *entry = TRY(allocPages(0, Zero::Yes));
    }
    entry = &nodeAt(*entry)[(index >> ((level - 1) * kNodeBits)) & 511];
  }
  return entry;
}

Result<PAddr> SharedMemory::page(uint64_t index, bool) {
  if (index >= pages)
    return Errno::Range;
  for (PAddr fresh;;) {
    {
      SpinGuard g(lock);
      PAddr *entry = TRY(entryOf(index, true));
      if (!entry->value && fresh.value) {
        *entry = fresh;
        fresh = PAddr();
      }
      if (entry->value) {
        retainPage(*entry);
        PAddr found = *entry;
        if (fresh.value)
          freePages(fresh);
        return found;
      }
    }
    fresh = TRY(allocPages(0, Zero::Yes));
  }
}

void SharedMemory::punchHole(uint64_t first, uint64_t end) {
  for (uint64_t i = first; i < end && i < pages; i++) {
    SpinGuard g(lock);
    PAddr *entry = entryOf(i, false).take();
    if (entry && entry->value)
      releasePage(std::exchange(*entry, PAddr()));
  }
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// The radix tree of PageMap.h. Levels count from the leaves: an entry at level 0 is a page, one at level n a node of
// 512 entries.
#include "kernel/fs/PageMap.h"
#include "kernel/arch/Mmu.h"
#include "kernel/mm/PageAllocator.h"

namespace osv {

PAddr *PageMap::node(PAddr p) { return static_cast<PAddr *>(arch::directMap(p)); }

PageMap::~PageMap() { removeFrom(0); }

PAddr PageMap::find(uint64_t index) const {
  if (index >= span())
    return {};
  PAddr entry = root;
  for (unsigned level = height; level && entry.value; level--)
    entry = node(entry)[(index >> (kBits * (level - 1))) % kFanout];
  return entry;
}

Result<void> PageMap::insert(uint64_t index, PAddr page) {
  while (index >= span()) {
    if (root.value) {
      PAddr top = TRY(allocPages(0, Zero::Yes));
      node(top)[0] = root;
      root = top;
    }
    height++;
  }
  PAddr *entry = &root;
  for (unsigned level = height; level; level--) {
    if (!entry->value)
      *entry = TRY(allocPages(0, Zero::Yes));
    entry = &node(*entry)[(index >> (kBits * (level - 1))) % kFanout];
  }
  *entry = page;
  pages++;
  return {};
}

PAddr PageMap::remove(uint64_t index) {
  if (index >= span())
    return {};
  PAddr *entry = &root;
  for (unsigned level = height; level && entry->value; level--)
    entry = &node(*entry)[(index >> (kBits * (level - 1))) % kFanout];
  PAddr old = *entry;
  if (old.value) {
    *entry = PAddr{};
    pages--;
  }
  return old;
}

void PageMap::removeBelow(PAddr entry, unsigned level, uint64_t first, uint64_t &pages) {
  if (level == 0) {
    releasePage(entry);
    pages--;
    return;
  }
  uint64_t step = uint64_t{1} << (kBits * (level - 1));
  for (uint64_t i = first / step; i < kFanout; i++) {
    PAddr &child = node(entry)[i];
    uint64_t start = i * step;
    uint64_t childFirst = first > start ? first - start : 0;
    if (child.value) {
      removeBelow(child, level - 1, childFirst, pages);
      if (childFirst == 0)
        child = PAddr{};
    }
  }
  if (first == 0)
    freePages(entry);
}

void PageMap::removeFrom(uint64_t first) {
  if (!root.value || first >= span())
    return;
  removeBelow(root, height, first, pages);
  if (first == 0) {
    root = PAddr{};
    height = 0;
  }
}

uint64_t PageMap::findBelow(PAddr entry, unsigned level, uint64_t from) {
  if (level == 0)
    return from == 0 ? 0 : ~0ull;
  uint64_t step = uint64_t{1} << (kBits * (level - 1));
  for (uint64_t i = from / step; i < kFanout; i++) {
    PAddr child = node(entry)[i];
    if (!child.value)
      continue;
    uint64_t start = i * step;
    uint64_t found = findBelow(child, level - 1, from > start ? from - start : 0);
    if (found != ~0ull)
      return start + found;
  }
  return ~0ull;
}

uint64_t PageMap::nextPresent(uint64_t from) const {
  if (!root.value || from >= span())
    return ~0ull;
  return findBelow(root, height, from);
}

} // namespace osv

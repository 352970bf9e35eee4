// SPDX-License-Identifier: BSD-3-Clause
//
// The four-level tables of x86-64: walking, mapping, unmapping, changing and moving entries of one tree.
//
// Knows nothing of privileged instructions (Mmu.cpp flushes and switches), so the unit tests run it as it is. Entries
// are only ever read and changed atomically: page faults fill them on several CPUs at once, and the processor sets
// accessed and dirty bits behind our back. Tables are added by compare-and-exchange; they are removed only by `unmap`
// and `destroy`, which the caller runs alone.
#include "arch/x64/Mmu.h"
#include "kernel/lib/Log.h"
#include "kernel/mm/PageAllocator.h"
#include <algorithm>

namespace osv::arch {
namespace {

uint64_t load(const uint64_t *e) { return __atomic_load_n(e, __ATOMIC_ACQUIRE); }
uint64_t exchange(uint64_t *e, uint64_t v) { return __atomic_exchange_n(e, v, __ATOMIC_ACQ_REL); }
bool replace(uint64_t *e, uint64_t seen, uint64_t v) {
  return __atomic_compare_exchange_n(e, &seen, v, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

uint64_t *tableAt(uint64_t entry) { return static_cast<uint64_t *>(directMap(PAddr(entry & kEntryAddress))); }
bool isLeaf(uint64_t e, unsigned level) { return level == 0 || (e & kEntryLarge); }
uint64_t sizeMask(unsigned level) { return levelSize(level) - 1; }

/// Replaces the large leaf `e` by a table of small ones that say the same. The caller flushes.
Result<void> splitLeaf(uint64_t *entry, uint64_t e, unsigned level) {
  PAddr page = TRY(allocPages(0));
  auto *table = static_cast<uint64_t *>(directMap(page));
  uint64_t step = levelSize(level - 1);
  uint64_t small = level == 1 ? e & ~uint64_t{kEntryLarge} : e;
  for (unsigned i = 0; i < 512; i++)
    table[i] = small + i * step;
  if (pageRefs(PAddr(e & kEntryAddress)) == 1)
    splitPages(PAddr(e & kEntryAddress), 9);
  // Alone but for the processor, which may set accessed and dirty bits; losing one of those does no harm (memory has no
  // backing store).
  exchange(entry, page.value | kTableEntry);
  return {};
}

/// The entry of `v` at the lowest existing level; null when a table is missing.
uint64_t *walk(PAddr root, uint64_t v, unsigned &level) {
  uint64_t *table = tableAt(root.value);
  for (unsigned l = 3;; l--) {
    uint64_t *entry = &table[levelIndex(v, l)];
    uint64_t e = load(entry);
    if (l == 0 || (e & kEntryLarge)) {
      level = l;
      return entry;
    }
    if (!e)
      return nullptr;
    table = tableAt(e);
  }
}

/// Makes sure that no large page straddles `v`.
Result<void> splitAt(PAddr root, uint64_t v) {
  unsigned level;
  for (;;) {
    uint64_t *entry = walk(root, v, level);
    if (!entry || level == 0 || !(v & sizeMask(level)))
      return {};
    TRY(splitLeaf(entry, load(entry), level));
    flushRange(v & ~sizeMask(level), (v & ~sizeMask(level)) + kPageSize);
  }
}

Mapping describeEntry(uint64_t e, bool large) {
  Mapping m;
  m.phys = PAddr(e & kEntryAddress);
  unsigned prot = 0;
  if (e & kEntryPresent)
    prot = 1 | (e & kEntryWritable ? 2 : 0) | (e & kEntryNoExec ? 0 : 4);
  m.prot = static_cast<Prot>(prot);
  m.large = large;
  m.dirty = e & kEntryDirty;
  m.accessed = e & kEntryAccessed;
  m.writeFaults = e & kSoftWriteFaults;
  return m;
}

/// What `unmap` took out and cannot give away before the TLBs have forgotten it.
class Gather {
public:
  Gather(PageTable::Freed freed, void *ctx) : freed(freed), ctx(ctx) {}
  ~Gather() { finish(); }
  void add(uint64_t v, uint64_t entry, unsigned level) {
    start = std::min(start, v);
    end = std::max(end, v + levelSize(level));
    put({v, entry, level == 1 ? Kind::LargePage : Kind::Page});
  }
  void addTable(uint64_t v, uint64_t entry) {
    start = std::min(start, v);
    end = std::max(end, v + kPageSize);
    put({v, entry, Kind::Table});
  }

private:
  enum class Kind : uint8_t { Page, LargePage, Table };
  struct Item {
    uint64_t v, entry;
    Kind kind;
  };
  void put(Item item) {
    items[count++] = item;
    if (count == kItems)
      finish();
  }
  void finish() {
    if (!count)
      return;
    flushRange(start, end);
    for (unsigned i = 0; i < count; i++) {
      if (items[i].kind == Kind::Table)
        freePages(PAddr(items[i].entry & kEntryAddress));
      else if (freed)
        freed(ctx, describeEntry(items[i].entry, items[i].kind == Kind::LargePage), VAddr(items[i].v));
    }
    count = 0;
    start = ~0ull;
    end = 0;
  }

  static constexpr unsigned kItems = 64;
  PageTable::Freed freed;
  void *ctx;
  uint64_t start = ~0ull, end = 0;
  unsigned count = 0;
  Item items[kItems];
};

struct Range {
  uint64_t start, end;
};

/// The first entry of [entry, end) that is not empty, or end. A table of a large mapping is mostly empty.
uint64_t *nextUsed(uint64_t *entry, uint64_t *end) {
  auto peek = [](const uint64_t *e) { return __atomic_load_n(e, __ATOMIC_RELAXED); };
  for (; end - entry >= 8; entry += 8)
    if (peek(entry) | peek(entry + 1) | peek(entry + 2) | peek(entry + 3) | peek(entry + 4) | peek(entry + 5) |
        peek(entry + 6) | peek(entry + 7))
      break;
  while (entry != end && !peek(entry))
    entry++;
  return entry;
}

/// Calls `visit(entry, base, part)` for each entry of one table that is not empty and has a part in `r`, until it
/// returns false; `base` is the first address that the entry is for.
template <typename Visit> void forUsed(uint64_t *table, unsigned level, Range r, Visit visit) {
  if (r.start >= r.end)
    return;
  uint64_t tableBase = r.start & ~sizeMask(level + 1);
  uint64_t *entry = &table[levelIndex(r.start, level)], *end = &table[levelIndex(r.end - 1, level)] + 1;
  for (; (entry = nextUsed(entry, end)) != end; entry++) {
    uint64_t base = tableBase + (static_cast<uint64_t>(entry - table) << levelShift(level));
    if (!visit(entry, base, Range{std::max(r.start, base), std::min(r.end, base + levelSize(level))}))
      return;
  }
}

void unmapLevel(uint64_t *table, unsigned level, Range r, Range freeable, Gather &gather) {
  forUsed(table, level, r, [&](uint64_t *entry, uint64_t base, Range part) {
    uint64_t e = load(entry);
    if (isLeaf(e, level)) {
      gather.add(base, exchange(entry, 0), level);
      return true;
    }
    unmapLevel(tableAt(e), level - 1, part, freeable, gather);
    if (base >= freeable.start && base + levelSize(level) <= freeable.end)
      gather.addTable(base, exchange(entry, 0));
    return true;
  });
}

/// Pages of one lowest table, which stays.
[[gnu::noinline]] void unmapPages(uint64_t *table, Range r, PageTable::Freed freed, void *ctx) {
  Gather gather(freed, ctx);
  unmapLevel(table, 0, r, {}, gather);
}

bool protectLevel(uint64_t *table, unsigned level, Range r, Prot prot) {
  bool any = false;
  forUsed(table, level, r, [&](uint64_t *entry, uint64_t, Range part) {
    uint64_t e = load(entry);
    if (!isLeaf(e, level)) {
      any |= protectLevel(tableAt(e), level - 1, part, prot);
      return true;
    }
    uint64_t kept;
    do {
      e = load(entry);
      kept = e & ~(kEntryPresent | kEntryWritable | kEntryNoExec);
    } while (!replace(entry, e, kept | rightsOf(prot, e & kSoftWriteFaults)));
    any = true;
    return true;
  });
  return any;
}

uint64_t nextMappedLevel(uint64_t *table, unsigned level, Range r) {
  uint64_t found = r.end;
  forUsed(table, level, r, [&](uint64_t *entry, uint64_t, Range part) {
    uint64_t e = load(entry);
    uint64_t first = isLeaf(e, level) ? part.start : nextMappedLevel(tableAt(e), level - 1, part);
    if (first >= part.end)
      return true;
    found = first;
    return false;
  });
  return found;
}

size_t countLevel(uint64_t *table, unsigned level, Range r) {
  size_t pages = 0;
  forUsed(table, level, r, [&](uint64_t *entry, uint64_t, Range part) {
    uint64_t e = load(entry);
    pages += isLeaf(e, level) ? (part.end - part.start) >> kPageShift : countLevel(tableAt(e), level - 1, part);
    return true;
  });
  return pages;
}

void freeTables(uint64_t *table, unsigned level, unsigned first, unsigned end) {
  for (unsigned i = first; i < end; i++) {
    uint64_t e = load(&table[i]);
    if (!e || isLeaf(e, level))
      continue;
    if (level > 1)
      freeTables(tableAt(e), level - 1, 0, 512);
    freePages(PAddr(e & kEntryAddress));
  }
}

} // namespace

Result<uint64_t *> walkCreate(PAddr root, uint64_t v, unsigned &level) {
  uint64_t *table = tableAt(root.value);
  for (unsigned l = 3;; l--) {
    uint64_t *entry = &table[levelIndex(v, l)];
    if (l == level)
      return entry;
    uint64_t e = load(entry);
    if (e & kEntryLarge) {
      level = l;
      return entry;
    }
    if (!e) {
      PAddr page = TRY(allocPages(0, Zero::Yes));
      if (!replace(entry, 0, page.value | kTableEntry))
        freePages(page);
      e = load(entry);
      if (e & kEntryLarge) {
        level = l;
        return entry;
      }
    }
    table = tableAt(e);
  }
}

Result<void> PageTable::map(VAddr v, PAddr p, Prot prot, Cache cache, OnWrite onWrite) {
  TRY(splitAt(rootPage, v.value));
  TRY(splitAt(rootPage, v.value + kPageSize));
  unsigned level = 0;
  uint64_t *entry = TRY(walkCreate(rootPage, v.value, level));
  VERIFY(level == 0);
  if (exchange(entry, makeLeaf(p, prot, cache, onWrite, false)))
    flushRange(v.value, v.value + kPageSize);
  return {};
}

Result<void> PageTable::mapLarge(VAddr v, PAddr p, Prot prot) {
  unsigned level = 1;
  uint64_t *entry = TRY(walkCreate(rootPage, v.value, level));
  if (level != 1 || !replace(entry, 0, makeLeaf(p, prot, Cache::WriteBack, OnWrite::Allow, true)))
    return Errno::Exist;
  return {};
}

Result<void> PageTable::unmap(VAddr v, size_t len, Freed freed, void *ctx, VAddr floor, VAddr ceiling) {
  Range r{v.value, v.value + len};
  Range freeable{std::min(r.start, floor.value), std::max(r.end, ceiling.value)};
  uint64_t block = r.start & ~sizeMask(1);
  if (r.end <= block + levelSize(1) && (block < freeable.start || block + levelSize(1) > freeable.end)) {
    // A few pages of a table that stays: the usual munmap.
    unsigned level;
    uint64_t *entry = walk(rootPage, r.start, level);
    if (!entry)
      return {};
    if (level == 0) {
      if (nextUsed(entry, entry + (len >> kPageShift)) != entry + (len >> kPageShift))
        unmapPages(entry - levelIndex(r.start, 0), r, freed, ctx);
      return {};
    }
  }
  TRY(splitAt(rootPage, r.start));
  TRY(splitAt(rootPage, r.end));
  Gather gather(freed, ctx);
  unmapLevel(tableAt(rootPage.value), 3, r, freeable, gather);
  return {};
}

Result<void> PageTable::split(VAddr v) { return splitAt(rootPage, v.value); }

Result<void> PageTable::protect(VAddr v, size_t len, Prot prot) {
  TRY(splitAt(rootPage, v.value));
  TRY(splitAt(rootPage, v.value + len));
  if (protectLevel(tableAt(rootPage.value), 3, {v.value, v.value + len}, prot))
    flushRange(v.value, v.value + len);
  return {};
}

Result<void> PageTable::move(VAddr from, VAddr to, size_t len) {
  TRY(splitAt(rootPage, from.value));
  TRY(splitAt(rootPage, from.value + len));
  bool largeFits = (from.value - to.value) % kLargePageSize == 0;
  uint64_t end = from.value + len, delta = to.value - from.value;
  // All memory that is needed first; what this leaves behind on failure are empty tables, found again by the next
  // mapping there.
  for (VAddr v = nextMapped(from, VAddr(end)); v.value < end;) {
    unsigned level = 0;
    uint64_t *entry = walk(rootPage, v.value, level);
    if (level == 1 && !largeFits) {
      TRY(splitLeaf(entry, load(entry), level));
      level = 0;
    }
    unsigned target = level;
    TRY(walkCreate(rootPage, v.value + delta, target));
    VERIFY(target == level);
    v = nextMapped(v + levelSize(level), VAddr(end));
  }
  for (VAddr v = nextMapped(from, VAddr(end)); v.value < end;) {
    unsigned level = 0, target;
    uint64_t *entry = walk(rootPage, v.value, level);
    target = level;
    uint64_t *dest = walkCreate(rootPage, v.value + delta, target).take();
    if (level == 1 && load(dest)) { // an empty table left from earlier
      uint64_t table = exchange(dest, 0);
      flushRange(v.value + delta, v.value + delta + kPageSize);
      freePages(PAddr(table & kEntryAddress));
    }
    VERIFY(exchange(dest, exchange(entry, 0)) == 0);
    v = nextMapped(v + levelSize(level), VAddr(end));
  }
  flushRange(from.value, end);
  return {};
}

bool PageTable::query(VAddr v, Mapping &out) const {
  unsigned level;
  uint64_t *entry = walk(rootPage, v.value, level);
  uint64_t e = entry ? load(entry) : 0;
  if (!e)
    return false;
  out = describeEntry(e, level > 0);
  if (level > 0)
    out.phys = PAddr(out.phys.value + (v.pageDown().value & sizeMask(level)));
  return true;
}

VAddr PageTable::nextMapped(VAddr v, VAddr end) const {
  return v < end ? VAddr(nextMappedLevel(tableAt(rootPage.value), 3, {v.value, end.value})) : end;
}

size_t PageTable::countMapped(VAddr v, VAddr end) const {
  return v < end ? countLevel(tableAt(rootPage.value), 3, {v.value, end.value}) : 0;
}

Result<PageTable::Slot> PageTable::slotSlow(VAddr v) {
  unsigned level = 0;
  uint64_t *entry = TRY(walkCreate(rootPage, v.value, level));
  return Slot{entry, load(entry), level > 0};
}

Mapping PageTable::describe(const Slot &s, VAddr v) {
  Mapping m = describeEntry(s.seen, s.large);
  if (s.large)
    m.phys += v.pageDown().value & (kLargePageSize - 1);
  return m;
}

void PageTable::flush(VAddr v) { flushRange(v.value, v.value + kPageSize); }

void PageTable::destroy() {
  freeTables(tableAt(rootPage.value), 3, 0, 256);
  freePages(rootPage);
  rootPage = PAddr(0);
}

} // namespace osv::arch

// SPDX-License-Identifier: BSD-3-Clause
//
// The areas of an address space: finding, cutting and merging them, mmap, munmap, mprotect and brk with Linux's rules,
// and the choice of addresses. Which pages are behind an area is PageFault.cpp's business.
//
// Operations first cut areas (and large pages) at the edges of the range, which may fail for want of memory and then
// has changed nothing that the program can see, and only then change things, which cannot fail.
//
// Free addresses are searched from the top down, like Linux, starting below the main stack. To keep a program with
// thousands of areas from paying for each of them at every mmap, the search starts where the last one ended unless a
// hole above may be large enough.
#include "kernel/mm/AddressSpace.h"
#include "kernel/lib/Log.h"
#include "kernel/mm/Heap.h"
#include "kernel/mm/PageAllocator.h"
#include "kernel/mm/SharedMemory.h"
#include <algorithm>
#include <utility>

namespace osv {
namespace {

/// Where mappings start: 128 MiB below the end of the address space are the main stack's, as on Linux without
/// randomisation.
constexpr VAddr kMapTop{0x7fff'f7ff'f000};
/// MAP_32BIT: Linux's range.
constexpr VAddr kLowStart{0x4000'0000}, kLowEnd{0x8000'0000};

std::atomic<bool> bootTableUsed{false};

} // namespace

Result<AddressSpace *> AddressSpace::create() {
  if (bootTableUsed.exchange(true)) {
    arch::PageTable own = TRY(arch::PageTable::create());
    auto space = make<AddressSpace>(own);
    if (!space.ok())
      own.destroy();
    return space;
  }
  AddressSpace *space = TRY(make<AddressSpace>(arch::PageTable::boot()));
  space->usesBootTable = true;
  return space;
}

AddressSpace::AddressSpace(arch::PageTable table) : table(table), searchTop(kMapTop) {
  kernelArea.start = arch::kernelImageStart();
  kernelArea.end = arch::kernelImageEnd();
  kernelArea.flags = kAreaKernel;
  kernelArea.maxProt = 0;
  insert(kernelArea);
}

AddressSpace::~AddressSpace() {
  VERIFY(removeRange(VAddr(0), arch::kUserMax).ok()); // cuts nothing
  erase(kernelArea);
  delete spareArea;
  if (usesBootTable)
    bootTableUsed = false;
  else
    table.destroy();
}

// ---- The tree

Area *AddressSpace::firstFrom(VAddr v) {
  if (Area *a = lastFound.load(std::memory_order_relaxed); a && a->contains(v))
    return a;
  auto it = areas.upper_bound(v);
  if (it != areas.begin()) {
    auto before = std::prev(it);
    if (before->end > v)
      return &*before;
  }
  return it == areas.end() ? nullptr : &*it;
}

Area *AddressSpace::at(VAddr v) {
  Area *a = lastFound.load(std::memory_order_relaxed);
  if (a && a->contains(v)) [[likely]]
    return a;
  a = firstFrom(v);
  if (!a || !a->contains(v))
    return nullptr;
  lastFound.store(a, std::memory_order_relaxed);
  return a;
}

Area *AddressSpace::next(const Area &a) {
  auto it = std::next(areas.iterator_to(a));
  return it == areas.end() ? nullptr : const_cast<Area *>(&*it);
}

Area *AddressSpace::previous(const Area &a) {
  auto it = areas.iterator_to(a);
  return it == areas.begin() ? nullptr : const_cast<Area *>(&*std::prev(it));
}

void AddressSpace::insert(Area &a) {
  areas.insert(a);
  areaCount++;
  searchAbove = nullptr;
}

/// Takes it out of the tree; whoever allocated it deletes it.
void AddressSpace::erase(Area &a) {
  areas.erase(areas.iterator_to(a));
  areaCount--;
  lastFound.store(nullptr, std::memory_order_relaxed);
  searchAbove = nullptr;
}

/// Programs map and unmap by turns: one area is kept for the next time.
Result<Area *> AddressSpace::newArea(const Area &like) {
  Area *a = std::exchange(spareArea, nullptr);
  if (!a)
    return make<Area>(like);
  *a = like;
  return a;
}

void AddressSpace::discard(Area *a) {
  a->object.reset();
  delete std::exchange(spareArea, a);
}

bool AddressSpace::overlaps(VAddr v, VAddr end) {
  Area *a = firstFrom(v);
  return a && a->start < end;
}

/// Makes `v` a boundary between areas (and between large pages). ENOMEM.
Result<void> AddressSpace::splitAt(VAddr v) {
  Area *a = at(v);
  if (!a || a->start == v || a->isKernel())
    return {};
  if (areaCount >= kMaxAreas)
    return Errno::NoMem;
  TRY(table.split(v));
  Area *upper = TRY(make<Area>(*a));
  upper->start = v;
  upper->offset = a->object ? a->offsetOf(v) : 0;
  a->end = v;
  insert(*upper);
  return {};
}

Result<void> AddressSpace::splitEdges(VAddr v, VAddr end) {
  TRY(splitAt(v));
  return splitAt(end);
}

namespace {
/// Do two areas, `high` above `low`, look like one?
bool mergeable(const Area &low, const Area &high) {
  return low.end == high.start && low.flags == high.flags && low.prot == high.prot && low.maxProt == high.maxProt &&
         low.object == high.object && !low.isKernel() && (!low.object || low.offset + low.size() == high.offset) &&
         low.name == high.name;
}
} // namespace

/// Enters `a`, whose range is free, into the tree: as a part of a neighbour when they agree, else as a copy on the
/// heap (`made`, when the caller has one already). ENOMEM only without `made`.
Result<void> AddressSpace::add(const Area &a, Area *made) {
  auto above = areas.upper_bound(a.start);
  Area *n = above == areas.end() ? nullptr : &*above;
  Area *p = above == areas.begin() ? nullptr : &*std::prev(above);
  searchAbove = nullptr;
  if (p && mergeable(*p, a)) {
    p->end = a.end;
    if (n && mergeable(*p, *n)) {
      p->end = n->end;
      erase(*n);
      discard(n);
    }
  } else if (n && mergeable(a, *n)) {
    n->start = a.start; // the tree's order stays as it is
    n->offset = a.offset;
  } else {
    if (!made)
      made = TRY(newArea(a));
    areas.insert_before(above, *made);
    areaCount++;
    lastFound.store(made, std::memory_order_relaxed); // used or unmapped next, most likely
    return {};
  }
  if (made)
    discard(made);
  return {};
}

/// Merges `a` with its neighbours where they agree; returns the area that `a` is part of now.
Area *AddressSpace::mergeAround(Area &a) {
  Area *merged = &a;
  if (Area *p = previous(a); p && mergeable(*p, a)) {
    p->end = a.end;
    erase(a);
    delete &a;
    merged = p;
  }
  if (Area *n = next(*merged); n && mergeable(*merged, *n)) {
    merged->end = n->end;
    erase(*n);
    delete n;
  }
  return merged;
}

// ---- Choosing addresses

/// Linux's heuristic overcommit refuses only what can never be had. A machine of a few megabytes should still run
/// programs that reserve arenas of hundreds of them, so one more gigabyte is taken for granted.
bool AddressSpace::affordable(size_t bytes) {
  return bytes >> kPageShift <= totalMemoryPages() + (size_t{1} << (30 - kPageShift));
}

/// The size of all areas with `bytes` in the place of what is in [from, to).
size_t AddressSpace::areasWith(size_t bytes, VAddr from, VAddr to) {
  size_t all = bytes;
  for (const Area &a : areas) {
    if (a.isKernel())
      continue;
    VAddr low = std::max(a.start, from), high = std::min(a.end, to);
    all += a.size() - (low < high ? high - low : 0);
  }
  return all;
}

/// May [v, v+len) be mapped on the program's demand?
Result<void> AddressSpace::checkFixed(VAddr v, size_t len) {
  if (len > arch::kUserMax.value || v > arch::kUserMax - len)
    return Errno::NoMem;
  if (!v.isPageAligned())
    return Errno::Inval;
  if (v < arch::kUserMin)
    return Errno::Perm; // mmap_min_addr
  if (v < kernelArea.end && v + len > kernelArea.start)
    return Errno::NoMem;
  return {};
}

/// The highest hole of `len` bytes below the stack; if there is none, anywhere.
Result<VAddr> AddressSpace::findFree(size_t len) {
  if (len > arch::kUserMax - arch::kUserMin)
    return Errno::NoMem;
  if (len <= largestHoleAbove || searchTop < arch::kUserMin + len) {
    searchTop = kMapTop;
    searchAbove = nullptr;
    largestHoleAbove = 0;
  }
  VAddr top = searchTop;
  while (top >= arch::kUserMin + len) {
    VAddr candidate = top - len;
    // The last area that begins below `top`, or guards it.
    Area *above = top == searchTop && searchAbove ? searchAbove : firstFrom(top);
    Area *a = above ? previous(*above) : (areas.empty() ? nullptr : &*areas.rbegin());
    if (above && above->guardedStart() < top)
      a = above;
    if (!a || (a != above && a->end <= candidate)) {
      searchTop = candidate;
      searchAbove = nullptr;
      return candidate;
    }
    if (a != above && a->end < top)
      largestHoleAbove = std::max<size_t>(largestHoleAbove, top - a->end);
    top = a->guardedStart();
  }
  if (top < searchTop) {
    searchTop = top;
    searchAbove = nullptr;
  }
  // Above the usual start: the gap that is the main stack's.
  for (VAddr end = arch::kUserMax; end > kMapTop;) {
    Area *above = firstFrom(end);
    VAddr limit = above ? std::min(end, above->guardedStart()) : end;
    Area *a = above ? previous(*above) : (areas.empty() ? nullptr : &*areas.rbegin());
    VAddr bottom = a ? a->end : arch::kUserMin;
    if (bottom < limit && limit - bottom >= len)
      return limit - len;
    if (!a)
      break;
    end = a->guardedStart();
  }
  return Errno::NoMem;
}

Result<VAddr> AddressSpace::findFreeBelow2G(size_t len) {
  VAddr v = kLowStart;
  for (Area *a = firstFrom(v); len <= kLowEnd - v; a = next(*a)) {
    if (!a || a->guardedStart() >= v + len)
      return v;
    v = std::max(v, a->end);
    if (v >= kLowEnd)
      break;
  }
  return Errno::NoMem;
}

/// Where a mapping of `len` bytes goes. Makes no change.
Result<VAddr> AddressSpace::placeFor(VAddr hint, size_t len, int flags) {
  if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
    TRY(checkFixed(hint, len));
    if ((flags & MAP_FIXED_NOREPLACE) && overlaps(hint, hint + len))
      return Errno::Exist;
    return hint;
  }
  hint = hint.pageDown();
  if (hint.value && hint < arch::kUserMin)
    hint = arch::kUserMin;
  if (hint.value && checkFixed(hint, len).ok()) {
    Area *a = firstFrom(hint);
    if (!a || hint + len <= a->guardedStart())
      return hint;
  }
  if (flags & MAP_32BIT)
    return findFreeBelow2G(len);
  return findFree(len);
}

// ---- mmap, munmap, mprotect

void AddressSpace::releaseMapped(void *self, arch::Mapping m, VAddr) {
  auto &space = *static_cast<AddressSpace *>(self);
  if (m.phys == zeroPage())
    return;
  space.residentPages.fetch_sub(m.large ? kLargePageSize / kPageSize : 1, std::memory_order_relaxed);
  releasePage(m.phys);
}

/// Forgets the pages of [v, end), which lies in `a` and cuts no large page. `n`: the next area.
void AddressSpace::zap(Area &a, VAddr v, VAddr end, Area *n) {
  size_t resident = residentPages.load(std::memory_order_relaxed);
  if (resident > peakResidentPages.load(std::memory_order_relaxed))
    peakResidentPages.store(resident, std::memory_order_relaxed);
  VAddr floor = v, ceiling = end;
  if (v == a.start) {
    Area *p = previous(a);
    floor = p ? p->end : arch::kUserMin;
  }
  if (end == a.end)
    ceiling = n ? n->start : arch::kUserMax;
  VERIFY(table.unmap(v, end - v, releaseMapped, this, floor, ceiling).ok());
}

/// munmap's core. ENOMEM: nothing changed.
Result<void> AddressSpace::removeRange(VAddr v, VAddr end) {
  Area *a = firstFrom(v);
  if (!a || a->start >= end)
    return {};
  // Areas that are cut shrink in place; only one that is cut in the middle becomes two.
  if (a->start < v && !a->isKernel())
    TRY(table.split(v));
  if (Area *last = a->end >= end ? a : at(end); last && last->start < end && last->end > end && !last->isKernel())
    TRY(last->start < v ? splitAt(end) : table.split(end));
  bool any = false;
  while (a && a->start < end) {
    Area *following = next(*a);
    if (!a->isKernel()) {
      VAddr from = std::max(v, a->start), to = std::min(end, a->end);
      zap(*a, from, to, following);
      if (to < a->end) {
        a->offset = a->object ? a->offsetOf(to) : 0;
        a->start = to;
        following = a;
      } else if (from > a->start) {
        a->end = from;
      } else {
        erase(*a);
        discard(a);
      }
      any = true;
    }
    a = following;
  }
  if (any && end > searchTop) { // the hole may reach up to the next area
    VAddr top = std::min(kMapTop, a ? a->guardedStart() : kMapTop);
    searchAbove = top >= searchTop ? a : nullptr;
    searchTop = std::max(searchTop, top);
  }
  return {};
}

Result<VAddr> AddressSpace::map(VAddr hint, size_t len, int prot, int flags, Ref<MemoryObject> object, uint64_t offset,
                                std::string_view name, int maxProt) {
  if (len == 0)
    return Errno::Inval;
  size_t size = roundUp(len, kPageSize);
  if (size < len)
    return Errno::NoMem;
  if (offset + size < offset)
    return Errno::Overflow;
  int type = flags & MAP_TYPE;
  bool shared = type == MAP_SHARED || (type == MAP_SHARED_VALIDATE && object);
  if (!shared && type != MAP_PRIVATE)
    return Errno::Inval;
  if ((flags & MAP_GROWSDOWN) && (shared || object))
    return Errno::Inval;
  prot &= PROT_READ | PROT_WRITE | PROT_EXEC;
  if (prot & ~maxProt)
    return Errno::Acces;
  bool noReserve = flags & MAP_NORESERVE;
  bool charged = !noReserve && (shared ? !object : (prot & PROT_WRITE) != 0);
  if (shared && !object)
    object = TRY(SharedMemory::create(size));
  Area a;
  a.prot = static_cast<uint8_t>(prot);
  a.maxProt = static_cast<uint8_t>(maxProt);
  a.flags = (shared ? kAreaShared : 0) | (noReserve ? kAreaNoReserve : 0) |
            (flags & MAP_GROWSDOWN ? kAreaGrowsDown : 0) | (flags & MAP_LOCKED ? kAreaLocked : 0);
  a.offset = object ? offset : 0;
  a.object = std::move(object);
  a.name = name;
  VAddr where;
  {
    WriteGuard g(lock);
    where = TRY(placeFor(hint, size, flags));
    if (areaCount >= kMaxAreas || (charged && !affordable(size)) || !withinLimit(size, where, where + size))
      return Errno::NoMem;
    a.start = where;
    a.end = where + size;
    a.flags |= futureLock;
    Area *made = nullptr;
    if (flags & MAP_FIXED) { // what was there goes only when nothing can fail any more
      made = TRY(newArea(a));
      if (auto removed = removeRange(where, where + size); !removed.ok()) {
        discard(made);
        return removed.error();
      }
    }
    TRY(add(a, made));
    flags |= a.flags & kAreaLocked && !(a.flags & kAreaLockOnFault) ? MAP_POPULATE : 0;
  }
  // As on Linux a mapping that cannot be populated is not an error.
  if ((flags & MAP_POPULATE) && !(flags & MAP_NONBLOCK))
    (void)populate(where, where + size, !shared && (prot & PROT_WRITE));
  return where;
}

[[gnu::cold]] Result<void> AddressSpace::mapResident(VAddr v, size_t len, int prot, PAddr phys, std::string_view name) {
  VAddr end = (v + len).pageUp();
  VERIFY(v.isPageAligned() && phys.isPageAligned());
  WriteGuard g(lock);
  TRY(checkFixed(v, end - v));
  if (overlaps(v, end))
    return Errno::Exist;
  TRY(adoptPages(phys, phys + (end - v)));
  Area *a = TRY(make<Area>());
  a->start = v;
  a->end = end;
  a->prot = static_cast<uint8_t>(prot);
  a->flags = kAreaResident;
  a->name = name;
  insert(*a); // from here on the destructor cleans up
  for (; v < end; v += kPageSize, phys += kPageSize) {
    auto slot = TRY(table.slot(v));
    // A page that two segments have in common is copied by the one that writes.
    auto onWrite = pageRefs(phys) > 1 ? arch::OnWrite::Fault : arch::OnWrite::Allow;
    VERIFY(slot.empty() && arch::PageTable::fill(slot, phys, archProt(prot), onWrite));
    residentPages.fetch_add(1, std::memory_order_relaxed);
  }
  return {};
}

Result<void> AddressSpace::unmap(VAddr v, size_t len) {
  if (!v.isPageAligned() || v > arch::kUserMax || len > arch::kUserMax - v || len == 0)
    return Errno::Inval;
  WriteGuard g(lock);
  return removeRange(v, (v + len).pageUp());
}

/// mprotect of the part of `a` in [v, end); `a` becomes the area that the part is in afterwards.
Result<void> AddressSpace::protectArea(Area *&a, VAddr v, VAddr end, int prot) {
  VAddr from = std::max(v, a->start), to = std::min(end, a->end);
  if (prot & ~a->maxProt)
    return Errno::Acces;
  if (prot == a->prot)
    return {};
  bool becomesCharged =
      (prot & PROT_WRITE) && !(a->prot & PROT_WRITE) && a->isPrivate() && !(a->flags & kAreaNoReserve);
  if (becomesCharged && !affordable(to - from))
    return Errno::NoMem;
  TRY(splitEdges(from, to));
  a = at(from);
  VERIFY(table.protect(from, to - from, archProt(prot)).ok());
  a->prot = static_cast<uint8_t>(prot);
  a = mergeAround(*a);
  return {};
}

Result<void> AddressSpace::protect(VAddr v, size_t len, int prot) {
  bool down = prot & PROT_GROWSDOWN;
  if (prot & PROT_GROWSUP) // no such areas on x86; both at once are wrong anywhere
    return Errno::Inval;
  if (!v.isPageAligned())
    return Errno::Inval;
  if (len == 0)
    return {};
  size_t size = roundUp(len, kPageSize);
  VAddr end = v + size;
  if (size < len || end <= v)
    return Errno::NoMem;
  prot &= ~PROT_GROWSDOWN;
  if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM))
    return Errno::Inval;
  prot &= PROT_READ | PROT_WRITE | PROT_EXEC;
  WriteGuard g(lock);
  Area *a = firstFrom(v);
  if (!a || a->isKernel())
    return Errno::NoMem;
  if (down) {
    if (a->start >= end)
      return Errno::NoMem;
    if (!(a->flags & kAreaGrowsDown))
      return Errno::Inval;
    v = a->start;
  } else if (a->start > v) {
    return Errno::NoMem;
  }
  for (VAddr cursor = v; cursor < end;) {
    if (!a || a->start > cursor || a->isKernel())
      return Errno::NoMem;
    TRY(protectArea(a, cursor, end, prot));
    cursor = a->end;
    a = next(*a);
  }
  return {};
}

// ---- brk

void AddressSpace::initBreak(VAddr start, VAddr limit) {
  brkStart = brk = start;
  brkLimit = limit;
}

VAddr AddressSpace::setBreak(VAddr v) {
  VAddr populateFrom, populateTo;
  {
    WriteGuard g(lock);
    if (v < brkStart || v > brkLimit)
      return brk;
    VAddr oldEnd = brk.pageUp(), newEnd = v.pageUp();
    if (newEnd < oldEnd) {
      if (!removeRange(newEnd, oldEnd).ok())
        return brk;
    } else if (newEnd > oldEnd) {
      Area *above = firstFrom(oldEnd);
      if (newEnd > brkLimit || (above && above->guardedStart() < newEnd + kPageSize) || areaCount >= kMaxAreas ||
          !affordable(newEnd - oldEnd) || !withinLimit(newEnd - oldEnd, oldEnd, oldEnd))
        return brk;
      Area a;
      a.start = oldEnd;
      a.end = newEnd;
      a.prot = PROT_READ | PROT_WRITE;
      a.flags = futureLock;
      a.name = "[heap]";
      if (!add(a, nullptr).ok())
        return brk;
      if ((a.flags & kAreaLocked) && !(a.flags & kAreaLockOnFault)) {
        populateFrom = oldEnd;
        populateTo = newEnd;
      }
    }
    brk = v;
  }
  if (populateTo > populateFrom)
    (void)populate(populateFrom, populateTo, true);
  return v;
}

// ---- For the rest of the kernel

void AddressSpace::zapObject(const MemoryObject &object, uint64_t firstPage) {
  WriteGuard g(lock);
  for (Area &a : areas) {
    if (a.object.get() != &object || a.pageIndex(a.end) <= firstPage)
      continue;
    VAddr from = firstPage <= a.pageIndex(a.start) ? a.start : a.start + ((firstPage << kPageShift) - a.offset);
    zap(a, from, a.end, next(a)); // no large pages in files
  }
}

bool AddressSpace::isShared(VAddr v) {
  ReadGuard g(lock);
  Area *a = at(v);
  return a && !a->isPrivate();
}

bool AddressSpace::isAnonymous(VAddr v) {
  ReadGuard g(lock);
  Area *a = at(v);
  return a && a->isAnonymous();
}

void AddressSpace::forEach(void (*fn)(void *ctx, const AreaInfo &), void *ctx) {
  ReadGuard g(lock);
  for (const Area &a : areas) {
    if (a.isKernel())
      continue;
    uint64_t inode = a.object ? a.object->inodeNumber() : 0;
    std::string_view name = a.name.empty() && a.object ? a.object->name() : a.name;
    fn(ctx, {a.start, a.end, a.prot, !a.isPrivate(), a.offset, inode, name, a.flags});
  }
}

AddressSpace::Usage AddressSpace::usage() {
  ReadGuard g(lock);
  Usage u{};
  for (const Area &a : areas) {
    if (a.isKernel())
      continue;
    u.virtualPages += a.size() >> kPageShift;
    if (a.flags & kAreaLocked)
      u.lockedPages += a.size() >> kPageShift;
  }
  u.residentPages = residentPages.load(std::memory_order_relaxed);
  u.peakResidentPages = std::max(u.residentPages, peakResidentPages.load(std::memory_order_relaxed));
  return u;
}

} // namespace osv

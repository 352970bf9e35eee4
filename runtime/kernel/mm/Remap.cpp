// SPDX-License-Identifier: BSD-3-Clause
//
// mremap: shrink and grow in place, move with the pages, duplicate shared memory. Errors and their order follow Linux's
// mm/mremap.c.
#include "kernel/lib/Log.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/mm/Heap.h"
#include <algorithm>

namespace osv {

/// May the part of `a` at `old` become `newLen` bytes long?
Result<void> AddressSpace::checkGrow(const Area &a, VAddr old, size_t oldLen, size_t newLen, bool dontUnmap) {
  if (oldLen == 0 && a.isPrivate())
    return Errno::Inval;
  if (dontUnmap && (a.flags & kAreaResident)) // its pages could not be read again at the old place
    return Errno::Inval;
  if (oldLen > a.end - old)
    return Errno::Fault;
  if (newLen == oldLen)
    return {};
  if (a.object && a.offsetOf(old) + newLen < newLen)
    return Errno::Inval;
  bool charged = a.isPrivate() && (a.prot & PROT_WRITE) && !(a.flags & kAreaNoReserve);
  if (charged && newLen > oldLen && !affordable(newLen - oldLen))
    return Errno::NoMem;
  if (newLen > oldLen && !withinLimit(newLen - oldLen, old, old))
    return Errno::NoMem;
  return {};
}

/// Moves [old, old+oldLen) of `a` to the free range [to, to+newLen). `keepOld`: MREMAP_DONTUNMAP.
Result<VAddr> AddressSpace::moveArea(Area &a, VAddr old, size_t oldLen, size_t newLen, VAddr to, bool keepOld) {
  if (areaCount + 3 > kMaxAreas)
    return Errno::NoMem;
  Area *moved = TRY(make<Area>(a));
  moved->offset = a.object ? a.offsetOf(old) : 0;
  moved->start = to;
  moved->end = to + newLen;
  if (keepOld)
    moved->flags &= ~(kAreaLocked | kAreaLockOnFault);
  Result<void> ready = oldLen ? splitEdges(old, old + oldLen) : Result<void>();
  if (ready.ok() && oldLen)
    ready = table.move(old, to, std::min(oldLen, newLen));
  if (!ready.ok()) {
    delete moved;
    return ready.error();
  }
  insert(*moved);
  if (oldLen && !keepOld)
    VERIFY(removeRange(old, old + oldLen).ok());
  mergeAround(*moved);
  if (oldLen && keepOld)
    mergeAround(*at(old));
  return to;
}

/// MREMAP_FIXED and MREMAP_DONTUNMAP.
Result<VAddr> AddressSpace::remapTo(VAddr old, size_t oldLen, size_t newLen, int flags, VAddr newAddr) {
  bool fixed = flags & MREMAP_FIXED, dontUnmap = flags & MREMAP_DONTUNMAP;
  if (!newAddr.isPageAligned())
    return Errno::Inval;
  if (newLen > arch::kUserMax.value || newAddr > arch::kUserMax - newLen)
    return Errno::Inval;
  if (old + oldLen > newAddr && newAddr + newLen > old)
    return Errno::Inval;
  if (fixed) {
    TRY(checkFixed(newAddr, newLen));
    TRY(removeRange(newAddr, newAddr + newLen));
  }
  if (oldLen > newLen) {
    TRY(removeRange(old + newLen, old + oldLen));
    oldLen = newLen;
  }
  Area *a = at(old);
  if (!a || a->isKernel())
    return Errno::Fault;
  TRY(checkGrow(*a, old, oldLen, newLen, dontUnmap));
  if (!fixed)
    newAddr = TRY(placeFor(newAddr, newLen, 0));
  return moveArea(*a, old, oldLen, newLen, newAddr, dontUnmap);
}

Result<VAddr> AddressSpace::remap(VAddr old, size_t oldLen, size_t newLen, int flags, VAddr newAddr) {
  if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
    return Errno::Inval;
  if ((flags & MREMAP_FIXED) && !(flags & MREMAP_MAYMOVE))
    return Errno::Inval;
  if ((flags & MREMAP_DONTUNMAP) && (!(flags & MREMAP_MAYMOVE) || oldLen != newLen))
    return Errno::Inval;
  if (!old.isPageAligned())
    return Errno::Inval;
  size_t oldSize = roundUp(oldLen, kPageSize), newSize = roundUp(newLen, kPageSize);
  if (newSize == 0)
    return Errno::Inval;
  VAddr result, populateFrom, populateTo;
  {
    WriteGuard g(lock);
    Area *a = at(old);
    if (!a || a->isKernel() || oldSize < oldLen || newSize < newLen)
      return Errno::Fault;
    bool locked = (a->flags & kAreaLocked) && !(a->flags & kAreaLockOnFault);
    if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
      result = TRY(remapTo(old, oldSize, newSize, flags, newAddr));
    } else if (oldSize >= newSize) {
      if (oldSize > arch::kUserMax - old)
        return Errno::Inval;
      if (oldSize > newSize)
        TRY(removeRange(old + newSize, old + oldSize));
      return old;
    } else {
      TRY(checkGrow(*a, old, oldSize, newSize, false));
      Area *above = next(*a);
      VAddr limit = above ? above->guardedStart() : arch::kUserMax;
      if (old + oldSize == a->end && newSize <= arch::kUserMax - old && old + newSize <= limit) {
        a->end = old + newSize;
        searchAbove = nullptr;
        mergeAround(*a);
        result = old;
      } else if (flags & MREMAP_MAYMOVE) {
        VAddr to = TRY(placeFor(VAddr(0), newSize, 0));
        result = TRY(moveArea(*a, old, oldSize, newSize, to, false));
      } else {
        return Errno::NoMem;
      }
    }
    if (locked && newSize > oldSize) {
      populateFrom = result + oldSize;
      populateTo = result + newSize;
    }
  }
  if (populateTo > populateFrom)
    (void)populate(populateFrom, populateTo, false);
  return result;
}

} // namespace osv

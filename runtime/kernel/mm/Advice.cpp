// SPDX-License-Identifier: BSD-3-Clause
//
// madvise, mlock and its family, mincore, msync: what the program says about its memory and asks about it. Nothing is
// ever paged out, so a lock only means "make it resident now" and "refuse MADV_DONTNEED"; hints without effect here are
// checked and accepted, as Linux may too.
#include "kernel/lib/Log.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/mm/SharedMemory.h"
#include <algorithm>

namespace osv {

namespace {

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/// MADV_COLLAPSE, MERGEABLE (no KSM) and the hardware-poison tests are not here: EINVAL, as from a Linux built without
/// them.
bool adviceKnown(int advice) {
  switch (advice) {
  case MADV_NORMAL:
  case MADV_RANDOM:
  case MADV_SEQUENTIAL:
  case MADV_WILLNEED:
  case MADV_DONTNEED:
  case MADV_FREE:
  case MADV_REMOVE:
  case MADV_DONTFORK:
  case MADV_DOFORK:
  case MADV_HUGEPAGE:
  case MADV_NOHUGEPAGE:
  case MADV_DONTDUMP:
  case MADV_DODUMP:
  case MADV_WIPEONFORK:
  case MADV_KEEPONFORK:
  case MADV_COLD:
  case MADV_PAGEOUT:
  case MADV_POPULATE_READ:
  case MADV_POPULATE_WRITE:
  case MADV_DONTNEED_LOCKED:
    return true;
  default:
    return false;
  }
}

/// Page-aligned [v, v+len) as Linux's madvise and friends take it. EINVAL.
Result<VAddr> endOf(VAddr v, size_t len) {
  size_t size = roundUp(len, kPageSize);
  if (!v.isPageAligned() || size < len || v + size < v)
    return Errno::Inval;
  return v + size;
}

struct FlagChange {
  uint32_t set, clear;
};
/// Advice that is kept in the area. All zero: none.
FlagChange flagsFor(int advice) {
  switch (advice) {
  case MADV_DONTFORK:
    return {kAreaDontFork, 0};
  case MADV_DOFORK:
    return {0, kAreaDontFork};
  case MADV_HUGEPAGE:
    return {kAreaHuge, kAreaNoHuge};
  case MADV_NOHUGEPAGE:
    return {kAreaNoHuge, kAreaHuge};
  case MADV_DONTDUMP:
    return {kAreaDontDump, 0};
  case MADV_DODUMP:
    return {0, kAreaDontDump};
  case MADV_WIPEONFORK:
    return {kAreaWipeOnFork, 0};
  case MADV_KEEPONFORK:
    return {0, kAreaWipeOnFork};
  default:
    return {0, 0};
  }
}

} // namespace

/// Advice on the part of `a` in [from, to); `a` becomes the area that the part is in afterwards.
Result<void> AddressSpace::adviseArea(Area *&a, VAddr from, VAddr to, int advice) {
  switch (advice) {
  case MADV_DONTNEED:
  case MADV_DONTNEED_LOCKED:
  case MADV_FREE:
    if ((a->flags & kAreaLocked) && advice != MADV_DONTNEED_LOCKED)
      return Errno::Inval;
    if (advice == MADV_FREE && !(a->isPrivate() && a->isAnonymous()))
      return Errno::Inval;
    if (a->flags &
        kAreaResident) // unwritten pages are what a file would give again; written ones have no file to be read from
      return a->prot & PROT_WRITE ? Result<void>(Errno::Inval) : Result<void>();
    TRY(table.split(from));
    TRY(table.split(to));
    zap(*a, from, to, next(*a));
    return {};
  case MADV_REMOVE:
    if ((a->flags & kAreaLocked) || a->isPrivate())
      return Errno::Inval;
    if (!(a->maxProt & PROT_WRITE))
      return Errno::Acces;
    if (a->object->inodeNumber() != 0) // a file: its file system would have to do it
      return Errno::OpNotSupp;
    zap(*a, from, to, next(*a));
    static_cast<SharedMemory &>(*a->object).punchHole(a->pageIndex(from), a->pageIndex(to));
    return {};
  case MADV_COLD:
  case MADV_PAGEOUT:
    return a->flags & kAreaLocked ? Result<void>(Errno::Inval) : Result<void>();
  }
  FlagChange change = flagsFor(advice);
  if (advice == MADV_WIPEONFORK && !(a->isPrivate() && a->isAnonymous()))
    return Errno::Inval;
  uint32_t flags = (a->flags & ~change.clear) | change.set;
  if (flags == a->flags)
    return {};
  TRY(splitEdges(from, to));
  a = at(from);
  a->flags = flags;
  a = mergeAround(*a);
  return {};
}

Result<void> AddressSpace::advise(VAddr v, size_t len, int advice) {
  if (!adviceKnown(advice))
    return Errno::Inval;
  VAddr end = TRY(endOf(v, len));
  if (end == v)
    return {};
  if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE)
    return populate(v, end, advice == MADV_POPULATE_WRITE);
  WriteGuard g(lock);
  bool hole = false;
  for (VAddr cursor = v; cursor < end;) {
    Area *a = firstFrom(cursor);
    if (!a || a->start >= end)
      return Errno::NoMem;
    hole |= a->start > cursor || a->isKernel();
    VAddr from = std::max(cursor, a->start), to = std::min(end, a->end);
    if (!a->isKernel())
      TRY(adviseArea(a, from, to, advice));
    cursor = to;
  }
  return hole ? Result<void>(Errno::NoMem) : Result<void>();
}

// ---- mlock

Result<void> AddressSpace::lockRange(VAddr v, size_t len, bool on, bool onFault) {
  size_t size = roundUp(len + v.pageOffset(), kPageSize);
  v = v.pageDown();
  VAddr end = v + size;
  if (size < len || end < v)
    return Errno::Inval;
  if (end == v)
    return {};
  uint32_t wanted = on ? kAreaLocked | (onFault ? kAreaLockOnFault : 0) : 0;
  {
    WriteGuard g(lock);
    for (VAddr cursor = v; cursor < end;) {
      Area *a = firstFrom(cursor);
      if (!a || a->start > cursor || a->isKernel())
        return Errno::NoMem;
      VAddr to = std::min(end, a->end);
      uint32_t flags = (a->flags & ~(kAreaLocked | kAreaLockOnFault)) | wanted;
      if (flags != a->flags) {
        TRY(splitEdges(cursor, to));
        a = at(cursor);
        a->flags = flags;
        mergeAround(*a);
      }
      cursor = to;
    }
  }
  if (!on || onFault)
    return {};
  // Linux reports what a fault would have said in mlock's own terms.
  if (auto r = populate(v, end, false); !r.ok())
    return r.error() == Errno::Fault ? Errno::NoMem : Errno::Again;
  return {};
}

Result<void> AddressSpace::lockAll(int flags) {
  uint32_t wanted = flags ? kAreaLocked | (flags & MCL_ONFAULT ? kAreaLockOnFault : 0) : 0;
  {
    WriteGuard g(lock);
    futureLock = flags & MCL_FUTURE ? wanted : 0;
    if (flags && !(flags & MCL_CURRENT))
      return {};
    for (Area *a = firstFrom(VAddr(0)); a; a = next(*a)) {
      if (a->isKernel())
        continue;
      a->flags = (a->flags & ~(kAreaLocked | kAreaLockOnFault)) | wanted;
      a = mergeAround(*a);
    }
  }
  if (!(flags & MCL_CURRENT) || (flags & MCL_ONFAULT))
    return {};
  for (VAddr v(0);;) { // areas may come and go meanwhile; failures are not reported, as on Linux
    VAddr end;
    {
      ReadGuard g(lock);
      Area *a = firstFrom(v);
      while (a && (a->isKernel() || !a->prot))
        a = next(*a);
      if (!a)
        return {};
      v = std::max(v, a->start);
      end = a->end;
    }
    (void)populate(v, end, false);
    v = end;
  }
}

// ---- mincore, msync

Result<size_t> AddressSpace::residency(VAddr v, std::span<uint8_t> out) {
  ReadGuard g(lock);
  Area *a = at(v);
  if (!a || a->isKernel())
    return Errno::NoMem;
  VAddr end = std::min(a->end, v + (out.size() << kPageShift));
  size_t pages = (end - v) >> kPageShift;
  // Files live in memory: all of a file's mapping is resident, as far as mincore is concerned.
  std::fill_n(out.begin(), pages, a->object ? 1 : 0);
  if (!a->object)
    for (VAddr p = table.nextMapped(v, end); p < end; p = table.nextMapped(p + kPageSize, end))
      out[(p - v) >> kPageShift] = 1;
  return pages;
}

Result<void> AddressSpace::sync(VAddr v, size_t len, int flags) {
  if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || !v.isPageAligned() || ((flags & MS_ASYNC) && (flags & MS_SYNC)))
    return Errno::Inval;
  size_t size = roundUp(len, kPageSize);
  VAddr end = v + size;
  if (size < len || end < v)
    return Errno::NoMem;
  ReadGuard g(lock);
  bool hole = false;
  for (VAddr cursor = v; cursor < end;) {
    Area *a = firstFrom(cursor);
    if (!a || a->start >= end)
      return Errno::NoMem;
    hole |= a->start > cursor || a->isKernel();
    if ((flags & MS_INVALIDATE) && (a->flags & kAreaLocked))
      return Errno::Busy;
    cursor = std::min(end, a->end); // a mapped file's pages are the file: there is nothing to write back
  }
  return hole ? Result<void>(Errno::NoMem) : Result<void>();
}

} // namespace osv

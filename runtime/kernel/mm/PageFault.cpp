// SPDX-License-Identifier: BSD-3-Clause
//
// Demand paging: which page belongs behind an address of an area, and the rights it gets.
//
// The common case, the first write to anonymous memory, is: lock shared, last area again, walk three tables, take a
// page, clear it, one compare-and-exchange. No heap. Faults run on all CPUs at once; who loses the exchange gives its
// page back.
//
// Rights in the tables follow the area's (protect changes both), but for pages marked OnWrite::Fault:
//     the page of zeros             read before written: private memory gets its own page when it is written
//     a file's page, mapped private copied when it is written
//     a page mapped shared          its object hears of the first write
#include "kernel/lib/Log.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/mm/PageAllocator.h"
#include <cstring>
#if defined(OSV_HOST_TEST)
#include <csignal> // the host's C library has the same constants, and its headers do not go with Linux's
#else
#include <asm/siginfo.h>
#include <asm/signal.h>
#endif

namespace osv {

using arch::OnWrite;
using arch::PageTable;

namespace {
/// Large pages are for machines that have plenty.
constexpr uint64_t kPlentyPages = (32 << 20) >> kPageShift;
constexpr unsigned kLargeOrder = kLargePageShift - kPageShift;

bool memoryIsPlentiful() {
  MemoryStats s = memoryStats();
  return s.freePages > kPlentyPages && s.freePages > s.totalPages / 4;
}
} // namespace

bool AddressSpace::fault(VAddr v, bool write, bool exec, int *signo, int *code) {
  int needed = write ? PROT_WRITE : exec ? PROT_EXEC : PROT_READ | PROT_WRITE | PROT_EXEC;
  for (;;) {
    Outcome outcome;
    {
      ReadGuard g(lock);
      Area *a = at(v);
      if (a) [[likely]] {
        if (!(a->prot & needed)) {
          *signo = SIGSEGV;
          *code = SEGV_ACCERR;
          return false;
        }
        outcome = resolve(*a, v.pageDown(), write);
        if (outcome == Outcome::Done) [[likely]]
          return true;
        if (outcome == Outcome::NoMemory) {
          *signo = SIGKILL;
          *code = SI_KERNEL;
        } else {
          *signo = SIGBUS;
          *code = BUS_ADRERR;
        }
        return false;
      }
    }
    if (!growStack(v)) {
      *signo = SIGSEGV;
      *code = SEGV_MAPERR;
      return false;
    }
  }
}

/// Extends the stack above `v` down to it. False when there is none, or it may not grow that far.
bool AddressSpace::growStack(VAddr v) {
  v = v.pageDown();
  {
    ReadGuard g(lock); // most such faults are null pointers: do not stop everybody for them
    Area *a = firstFrom(v);
    if (!a || (!a->contains(v) && !(a->flags & kAreaGrowsDown)))
      return false;
  }
  WriteGuard g(lock);
  Area *a = firstFrom(v);
  if (!a)
    return false;
  if (a->contains(v)) // somebody else was faster
    return true;
  if (!(a->flags & kAreaGrowsDown) || v < arch::kUserMin || a->end - v > stackLimit || !withinLimit(a->start - v, v, v))
    return false;
  if (Area *p = previous(*a);
      p && (p->prot || p->isKernel()) && !(p->flags & kAreaGrowsDown) && v - p->end < kStackGuardGap)
    return false;
  a->start = v; // the tree's order stays as it is
  return true;
}

/// Puts the page of `v` (page aligned) into the tables. The access was found to be allowed.
AddressSpace::Outcome AddressSpace::resolve(Area &a, VAddr v, bool write) {
  // Large pages are considered at the edges of 2 MiB blocks, or anywhere when asked for; the test keeps the others off
  // that path.
  if (write && !a.object) {
    uint64_t inBlock = v.value & (kLargePageSize - 1);
    bool edge = inBlock == 0 || inBlock == kLargePageSize - kPageSize;
    if ((edge || (a.flags & kAreaHuge)) && tryLarge(a, v))
      return Outcome::Done;
  }
  for (;;) {
    auto slot = table.slot(v);
    if (!slot.ok())
      return Outcome::NoMemory;
    if (slot->empty()) [[likely]]
      return a.object ? fillFromObject(a, *slot, v, write) : fillAnonymous(a, *slot, write);
    arch::Mapping m = PageTable::describe(*slot, v);
    if (write && m.writeFaults && !has(m.prot, arch::Prot::Write))
      return allowWrite(a, *slot, v);
    // Another CPU resolved it, or the TLB was behind: the processor forgot the entry with the fault.
    VERIFY(m.prot != arch::Prot::None);
    return Outcome::Done;
  }
}

AddressSpace::Outcome AddressSpace::fillAnonymous(Area &a, const PageTable::Slot &slot, bool write) {
  arch::Prot prot = archProt(a.prot);
  if (!write) {
    (void)PageTable::fill(slot, zeroPage(), prot, OnWrite::Fault);
    return Outcome::Done;
  }
  auto page = allocPages(0, Zero::Yes);
  if (!page.ok())
    return Outcome::NoMemory;
  if (!PageTable::fill(slot, *page, prot, OnWrite::Allow)) [[unlikely]] {
    freePages(*page);
    return Outcome::Done; // the access is tried again and sees what the other CPU put there
  }
  residentPages.fetch_add(1, std::memory_order_relaxed);
  return Outcome::Done;
}

AddressSpace::Outcome AddressSpace::fillFromObject(Area &a, const PageTable::Slot &slot, VAddr v, bool write) {
  auto found = a.object->page(a.pageIndex(v), write && !a.isPrivate());
  if (!found.ok())
    return found.error() == Errno::NoMem ? Outcome::NoMemory : Outcome::BusError;
  PAddr page = *found;
  OnWrite onWrite = write ? OnWrite::Allow : OnWrite::Fault;
  if (write && a.isPrivate()) {
    auto copy = allocPages(0);
    if (copy.ok())
      memcpy(arch::directMap(*copy), arch::directMap(page), kPageSize);
    releasePage(page);
    if (!copy.ok())
      return Outcome::NoMemory;
    page = *copy;
  }
  if (PageTable::fill(slot, page, archProt(a.prot), onWrite))
    residentPages.fetch_add(1, std::memory_order_relaxed);
  else
    releasePage(page);
  return Outcome::Done;
}

/// A write to a page that is there but not for writing.
AddressSpace::Outcome AddressSpace::allowWrite(Area &a, const PageTable::Slot &slot, VAddr v) {
  arch::Prot prot = archProt(a.prot);
  PAddr old = PageTable::describe(slot, v).phys, page;
  VERIFY(!slot.large);
  bool zero = old == zeroPage();
  if (!a.isPrivate()) {
    auto found = a.object->page(a.pageIndex(v), true);
    if (!found.ok())
      return found.error() == Errno::NoMem ? Outcome::NoMemory : Outcome::BusError;
    page = *found;
  } else if (!zero && pageRefs(old) == 1) {
    (void)PageTable::fill(slot, old, prot, OnWrite::Allow); // ours alone: no other CPU can be misled by its old entry
    return Outcome::Done;
  } else {
    auto copy = allocPages(0, zero ? Zero::Yes : Zero::No);
    if (!copy.ok())
      return Outcome::NoMemory;
    page = *copy;
    if (!zero)
      memcpy(arch::directMap(page), arch::directMap(old), kPageSize);
  }
  if (!PageTable::fill(slot, page, prot, OnWrite::Allow)) {
    releasePage(page);
    return Outcome::Done;
  }
  if (page != old)
    PageTable::flush(v);
  if (zero)
    residentPages.fetch_add(1, std::memory_order_relaxed);
  else
    releasePage(old);
  return Outcome::Done;
}

/// A 2 MiB page for anonymous memory, when the program asked for it or is walking through memory: the neighbour page on
/// the other side of the block's edge is there. (Taking one at the first touch would clear 2 MiB for programs that use
/// a page of each arena.)
bool AddressSpace::tryLarge(Area &a, VAddr v) {
  VAddr block(roundDown(v.value, kLargePageSize));
  if (block < a.start || a.end - block < kLargePageSize || (a.flags & (kAreaNoHuge | kAreaResident | kAreaKernel)))
    return false;
  if (!(a.flags & kAreaHuge)) {
    VAddr neighbour = v == block ? v - kPageSize : v + kPageSize;
    arch::Mapping m;
    if (!a.contains(neighbour) || !table.query(neighbour, m))
      return false;
  }
  if (!memoryIsPlentiful() || table.nextMapped(block, block + kLargePageSize) != block + kLargePageSize)
    return false;
  auto page = allocPages(kLargeOrder, Zero::Yes);
  if (!page.ok())
    return false;
  if (!table.mapLarge(block, *page, archProt(a.prot)).ok()) {
    freePages(*page, kLargeOrder);
    return false;
  }
  residentPages.fetch_add(kLargePageSize / kPageSize, std::memory_order_relaxed);
  return true;
}

Result<void> AddressSpace::populate(VAddr v, VAddr end, bool forWrite) {
  while (v < end) {
    ReadGuard g(lock);
    Area *a = firstFrom(v);
    if (!a || a->start >= end)
      return Errno::NoMem;
    if (a->start > v)
      return Errno::NoMem;
    if (!a->prot || a->isKernel() || (forWrite && !(a->prot & PROT_WRITE)))
      return Errno::Fault;
    bool write = (a->prot & PROT_WRITE) && (forWrite || a->isPrivate());
    switch (resolve(*a, v, write)) {
    case Outcome::Done:
      break;
    case Outcome::NoMemory:
      return Errno::NoMem;
    case Outcome::BusError:
      return Errno::Fault;
    }
    arch::Mapping m;
    v = table.query(v, m) && m.large ? VAddr(roundDown(v.value, kLargePageSize)) + kLargePageSize : v + kPageSize;
  }
  return {};
}

} // namespace osv

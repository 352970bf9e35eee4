// SPDX-License-Identifier: BSD-3-Clause
//
// The program's address space: a tree of areas (VMAs) over an arch::PageTable, with Linux's mmap rules and errors.
//
// One RwMutex guards the tree: faults take it shared, everything that changes areas or removes entries takes it
// exclusively. All calls may sleep. Where things are: AddressSpace.cpp (areas: map, unmap, protect, brk, free
// addresses), PageFault.cpp (demand paging), Remap.cpp (mremap), Advice.cpp (madvise, mlock, mincore, msync),
// FaultEntry.cpp (the trap's upcall). docs/memory.md has the whole picture.
#pragma once
#include "kernel/arch/Mmu.h"
#include "kernel/lib/Ref.h"
#include "kernel/mm/Area.h"
#include "kernel/mm/MemoryObject.h"
#include "kernel/sched/WaitQueue.h"
#include <atomic>
#include <span>
#include <string_view>

namespace osv {

class AddressSpace {
public:
  /// The first one uses the tree that initMmu made, so that the boot CPU need not switch.
  static Result<AddressSpace *> create();
  AddressSpace(arch::PageTable table);
  /// Unmaps everything and frees the tree. No thread runs in it, and no CPU has it loaded unless it is the boot tree.
  ~AddressSpace();

  /// mmap: `prot`, `flags` as in <linux/mman.h>; `object` null for anonymous; `maxProt` limits a later mprotect
  /// (EACCES). `name` (for /proc/self/maps) is not copied. Returns the address.
  Result<VAddr> map(VAddr hint, size_t len, int prot, int flags, Ref<MemoryObject> object, uint64_t offset,
                    std::string_view name = {}, int maxProt = PROT_READ | PROT_WRITE | PROT_EXEC);
  /// A program segment that the monitor already placed in physical memory at `phys` (page aligned). Its pages are used
  /// in place and go to the page allocator when unmapped. At load time only.
  Result<void> mapResident(VAddr v, size_t len, int prot, PAddr phys, std::string_view name);
  Result<void> unmap(VAddr v, size_t len);
  /// `prot` may carry PROT_GROWSDOWN.
  Result<void> protect(VAddr v, size_t len, int prot);
  Result<VAddr> remap(VAddr old, size_t oldLen, size_t newLen, int flags, VAddr newAddr);
  Result<void> advise(VAddr v, size_t len, int advice);
  /// mlock, mlock2 (`onFault`), munlock (`on` false).
  Result<void> lockRange(VAddr v, size_t len, bool on, bool onFault);
  /// mlockall (`flags` MCL_*), munlockall (0).
  Result<void> lockAll(int flags);
  /// mincore: one byte a page from `v` on, up to the end of `out` or of the area; returns how many. ENOMEM when nothing
  /// is mapped at `v`.
  Result<size_t> residency(VAddr v, std::span<uint8_t> out);
  Result<void> sync(VAddr v, size_t len, int flags);
  /// brk: returns the new (or, on failure, the old) break, as Linux does.
  VAddr setBreak(VAddr v);
  void initBreak(VAddr start, VAddr limit);
  /// RLIMIT_STACK, for areas that grow down. 8 MiB at first.
  void setStackLimit(size_t bytes) { stackLimit = bytes; }
  /// RLIMIT_AS: what would make the areas larger than this together is ENOMEM. None at first.
  void setAddressLimit(size_t bytes) { addressLimit = bytes; }

  /// Page fault. False: no area allows it; *signo/*code tell why (SIGSEGV/SEGV_MAPERR, SEGV_ACCERR; SIGBUS/BUS_ADRERR;
  /// SIGKILL/SI_KERNEL when there is no memory).
  bool fault(VAddr v, bool write, bool exec, int *signo, int *code);

  /// The file behind `object` was cut: pages from index `firstPage` on are unmapped wherever they are mapped, private
  /// copies too.
  void zapObject(const MemoryObject &object, uint64_t firstPage);
  /// Is `v` in a shared mapping (futex keys)?
  bool isShared(VAddr v);
  /// Is v in anonymous private memory?
  bool isAnonymous(VAddr v);

  /// Calls fn for each area in order (for /proc/self/maps), with the lock held shared. Resident pages:
  /// pageTable().countMapped.
  struct AreaInfo {
    VAddr start, end;
    int prot;
    bool shared;
    uint64_t offset, inode;
    std::string_view name;
    uint32_t flags; ///< AreaFlags
  };
  void forEach(void (*fn)(void *ctx, const AreaInfo &), void *ctx);

  struct Usage {
    size_t virtualPages, residentPages, peakResidentPages, lockedPages;
  };
  Usage usage();
  arch::PageTable &pageTable() { return table; }
  VAddr breakStart() const { return brkStart; }
  VAddr currentBreak() const { return brk; }

private:
  enum class Outcome : uint8_t { Done, NoMemory, BusError };

  // Areas; the lock is held exclusively for all that changes them (AddressSpace.cpp).
  Area *firstFrom(VAddr v); ///< the first area that ends above `v`
  Area *at(VAddr v);        ///< the area that contains `v`
  Area *next(const Area &a);
  Area *previous(const Area &a);
  Result<void> splitAt(VAddr v);
  Result<void> splitEdges(VAddr v, VAddr end);
  Result<void> add(const Area &a, Area *made);
  Result<Area *> newArea(const Area &like);
  void discard(Area *a);
  Area *mergeAround(Area &a);
  void insert(Area &a);
  void erase(Area &a);
  bool overlaps(VAddr v, VAddr end);
  Result<void> checkFixed(VAddr v, size_t len);
  Result<VAddr> placeFor(VAddr hint, size_t len, int flags);
  Result<VAddr> findFree(size_t len);
  Result<VAddr> findFreeBelow2G(size_t len);
  Result<void> removeRange(VAddr v, VAddr end);
  void zap(Area &a, VAddr v, VAddr end, Area *n);
  Result<void> protectArea(Area *&a, VAddr v, VAddr end, int prot);
  static bool affordable(size_t bytes);
  /// Do `bytes` more in the place of what is in [from, to) keep RLIMIT_AS? Only a program that has set one pays for the
  /// look at all areas.
  bool withinLimit(size_t bytes, VAddr from, VAddr to) {
    return addressLimit == ~size_t{0} || areasWith(bytes, from, to) <= addressLimit;
  }
  OSV_COLD size_t areasWith(size_t bytes, VAddr from, VAddr to);
  static void releaseMapped(void *self, arch::Mapping m, VAddr v);

  // PageFault.cpp; the lock is held shared (or exclusively).
  Outcome resolve(Area &a, VAddr v, bool write);
  Outcome fillAnonymous(Area &a, const arch::PageTable::Slot &slot, bool write);
  Outcome fillFromObject(Area &a, const arch::PageTable::Slot &slot, VAddr v, bool write);
  Outcome allowWrite(Area &a, const arch::PageTable::Slot &slot, VAddr v);
  bool tryLarge(Area &a, VAddr v);
  bool growStack(VAddr v);
  /// Makes [v, end) resident as mlock and MAP_POPULATE do; takes the lock shared, a page at a time. ENOMEM, EFAULT
  /// (SIGBUS or no access).
  Result<void> populate(VAddr v, VAddr end, bool forWrite);

  // Remap.cpp
  Result<VAddr> moveArea(Area &a, VAddr old, size_t oldLen, size_t newLen, VAddr to, bool keepOld);
  Result<void> checkGrow(const Area &a, VAddr old, size_t oldLen, size_t newLen, bool dontUnmap);
  Result<VAddr> remapTo(VAddr old, size_t oldLen, size_t newLen, int flags, VAddr newAddr);

  // Advice.cpp
  Result<void> adviseArea(Area *&a, VAddr v, VAddr end, int advice);

  arch::PageTable table;
  RwMutex lock;
  AreaTree areas;
  size_t areaCount = 0;
  std::atomic<Area *> lastFound{nullptr};
  Area kernelArea;
  bool usesBootTable = false;

  VAddr brkStart, brkLimit, brk;
  size_t stackLimit = 8 << 20, addressLimit = ~size_t{0};
  uint32_t futureLock = 0; ///< AreaFlags that new areas get (mlockall(MCL_FUTURE))

  // Where the search for free addresses starts: every hole above is smaller than or as large as `largestHoleAbove`.
  VAddr searchTop;
  size_t largestHoleAbove = 0;

  std::atomic<size_t> residentPages{0};
  std::atomic<size_t> peakResidentPages{0};

  Area *searchAbove = nullptr; ///< the first area that ends above `searchTop`, while that is known
  Area *spareArea = nullptr;   ///< in no tree, for the next mmap
};

/// SIGBUS etc. aside: maximum number of areas, Linux's vm.max_map_count.
inline constexpr size_t kMaxAreas = 65530;

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// The program's address space: a tree of areas (VMAs) over an arch::PageTable, with Linux's mmap rules and errors.
// One RwMutex guards the tree; faults take it shared. All calls may sleep.
#pragma once
#include "kernel/arch/Mmu.h"
#include "kernel/lib/Ref.h"
#include "kernel/mm/MemoryObject.h"
#include "kernel/sched/WaitQueue.h"
#include <boost/intrusive/set.hpp>
#include <string_view>

namespace osv {

struct Area;

class AddressSpace {
public:
  static Result<AddressSpace *> create();

  /// mmap: `prot`, `flags` as in <linux/mman.h>; `object` null for anonymous. Returns the address.
  Result<VAddr> map(VAddr hint, size_t len, int prot, int flags, Ref<MemoryObject> object, uint64_t offset, std::string_view name = {});
  /// A program segment that the monitor already placed in physical memory at `phys` (page aligned, resident, never freed to the file).
  Result<void> mapResident(VAddr v, size_t len, int prot, PAddr phys, std::string_view name);
  Result<void> unmap(VAddr v, size_t len);
  Result<void> protect(VAddr v, size_t len, int prot);
  Result<VAddr> remap(VAddr old, size_t oldLen, size_t newLen, int flags, VAddr newAddr);
  Result<void> advise(VAddr v, size_t len, int advice);
  /// brk: returns the new (or, on failure, the old) break, as Linux does.
  VAddr setBreak(VAddr v);
  void initBreak(VAddr start, VAddr limit);

  /// Page fault. False: no area allows it; *signo/*code tell why (SIGSEGV/SEGV_MAPERR, SEGV_ACCERR, SIGBUS/BUS_ADRERR).
  bool fault(VAddr v, bool write, bool exec, int *signo, int *code);

  /// Calls fn for each area in order (for /proc/self/maps).
  struct AreaInfo { VAddr start, end; int prot; bool shared; uint64_t offset, inode; std::string_view name; size_t residentPages; };
  void forEach(void (*fn)(void *ctx, const AreaInfo &), void *ctx);

  struct Usage { size_t virtualPages, residentPages, peakResidentPages; };
  Usage usage() const;
  arch::PageTable &pageTable() { return table; }

private:
  arch::PageTable table;
  RwMutex lock;
  friend struct AddressSpaceImpl;
  struct AddressSpaceImpl *impl = nullptr;
};

} // namespace osv

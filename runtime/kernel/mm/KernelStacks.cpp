// SPDX-License-Identifier: BSD-3-Clause
//
// Kernel stacks: slots of the kernel's run-time mappings, each an unmapped guard page with the stack above it, so that
// an overflow faults (on the exception's own IST stack) instead of overwriting a neighbour.
//
// A freed stack gives its pages back (who makes threads keeps a few for reuse: arch/x64/Context.cpp). Its slot is then
// *stale*: another CPU may still have the old translation, and `freeKernelStack` may run where no shoot-down can be
// waited for. Stale slots come back into use together, after one flush of everything, when no other slot is left.
#include "kernel/arch/Mmu.h"
#include "kernel/lib/SpinLock.h"
#include "kernel/mm/PageAllocator.h"
#include <bit>

namespace osv {
namespace {

constexpr size_t kSlotSize = kKernelStackSize + kPageSize;
constexpr unsigned kSlots = 16384;

enum class SlotState { Free, Used, Stale };
SpinLock lock;
uint64_t usedSlots[kSlots / 64], staleSlots[kSlots / 64];
unsigned searchFrom; ///< no word before it has a slot that is neither used nor stale
unsigned staleCount;

VAddr bottomOf(unsigned slot) { return arch::kKernelMap + slot * kSlotSize + kPageSize; }

/// `lock` held.
bool takeSlot(unsigned &slot) {
  for (; searchFrom < kSlots / 64; searchFrom++) {
    uint64_t available = ~(usedSlots[searchFrom] | staleSlots[searchFrom]);
    if (!available)
      continue;
    unsigned bit = static_cast<unsigned>(std::countr_zero(available));
    usedSlots[searchFrom] |= uint64_t{1} << bit;
    slot = searchFrom * 64 + bit;
    return true;
  }
  return false;
}

void returnSlot(unsigned slot) {
  IrqSpinGuard g(lock);
  usedSlots[slot / 64] &= ~(uint64_t{1} << slot % 64);
  staleSlots[slot / 64] |= uint64_t{1} << slot % 64;
  staleCount++;
}

void unmapPages(VAddr bottom, size_t len) {
  arch::PageTable table = arch::PageTable::boot();
  for (size_t i = 0; i < len; i += kPageSize) {
    arch::Mapping m;
    if (!table.query(bottom + i, m))
      continue;
    arch::unmapKernelPage(bottom + i);
    freePages(m.phys);
  }
}

} // namespace

Result<VAddr> allocKernelStack() {
  unsigned slot;
  for (;;) {
    {
      IrqSpinGuard g(lock);
      if (takeSlot(slot))
        break;
      if (!staleCount)
        return Errno::NoMem;
    }
    // Only slots that were stale before the flush are clean after it; a slot that turns stale meanwhile keeps its mark
    // in the copy.
    static uint64_t flushed[kSlots / 64];
    static SpinLock flushedLock;
    SpinGuard one(flushedLock);
    {
      IrqSpinGuard g(lock);
      for (unsigned i = 0; i < kSlots / 64; i++)
        flushed[i] = staleSlots[i];
    }
    arch::flushAllTlbs();
    IrqSpinGuard g(lock);
    for (unsigned i = 0; i < kSlots / 64; i++) {
      staleSlots[i] &= ~flushed[i];
      staleCount -= static_cast<unsigned>(std::popcount(flushed[i]));
    }
    searchFrom = 0;
  }
  VAddr bottom = bottomOf(slot);
  for (size_t i = 0; i < kKernelStackSize; i += kPageSize) {
    auto page = allocPages(0);
    auto mapped =
        page.ok() ? arch::mapKernelPage(bottom + i, *page, arch::Prot::ReadWrite) : Result<void>(Errno::NoMem);
    if (mapped.ok())
      continue;
    if (page.ok())
      freePages(*page);
    unmapPages(bottom, i);
    returnSlot(slot);
    return Errno::NoMem;
  }
  return bottom;
}

void freeKernelStack(VAddr bottom) {
  unmapPages(bottom, kKernelStackSize);
  returnSlot(static_cast<unsigned>((bottom - arch::kKernelMap) / kSlotSize));
}

} // namespace osv

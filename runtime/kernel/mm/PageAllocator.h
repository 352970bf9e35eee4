// SPDX-License-Identifier: BSD-3-Clause
//
// Physical memory: a buddy allocator over what the monitor's memory map gives, minus the image. Pages are not cleared
// unless asked for. Any context but NMI; never sleeps.
#pragma once
#include "kernel/lib/Result.h"
#include "kernel/lib/Types.h"

namespace osv {

enum class Zero : bool { No, Yes };

/// Gives [start, end) to the allocator. At boot, before other CPUs run.
void addMemory(PAddr start, PAddr end);
/// 2^order contiguous pages, naturally aligned. ENOMEM.
Result<PAddr> allocPages(unsigned order = 0, Zero zero = Zero::No);
void freePages(PAddr p, unsigned order = 0);
/// Pages may be shared (copy-on-write, file pages): the count starts at 1; `releasePage` frees at 0.
void retainPage(PAddr p);
void releasePage(PAddr p);
uint32_t pageRefs(PAddr p);

/// Turns one allocated block of 2^order pages into that many single ones, each with a count of 1 (a large mapping is
/// cut).
void splitPages(PAddr p, unsigned order);
/// Takes pages of the image, which are not the allocator's, into its books with a count of 1, so that they can be
/// shared and released like any other; one that is known already is retained. [start, end) page aligned. ENOMEM:
/// nothing changed.
Result<void> adoptPages(PAddr start, PAddr end);

/// A page of zeros for everybody to read. It is never released.
PAddr zeroPage();

struct MemoryStats {
  uint64_t totalPages, freePages;
};
MemoryStats memoryStats();
/// MemoryStats::totalPages alone, without a lock.
uint64_t totalMemoryPages();

/// A kernel stack with an unmapped guard page below; returns its lowest usable address. ENOMEM.
inline constexpr size_t kKernelStackSize = 16 * 1024;
/// Interrupts on: may have to flush the TLBs.
Result<VAddr> allocKernelStack();
/// Any context.
void freeKernelStack(VAddr bottom);

} // namespace osv

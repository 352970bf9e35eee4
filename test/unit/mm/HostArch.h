// SPDX-License-Identifier: BSD-3-Clause
//
// The machine that the memory tests pretend to have: `kRamSize` bytes of RAM from physical address 0 on, backed by host
// memory at arch::kDirectMap, given to the page allocator once per process.
#pragma once
#include "kernel/lib/Types.h"
#include "kernel/mm/PageAllocator.h"

namespace osv::test {
inline constexpr size_t kRamSize = 64 << 20;
inline constexpr PAddr kImageStart{48 << 20},
    kImageEnd{52 << 20}; ///< not given to the allocator: "the program's image"
void bringUpMemory();
/// How often a TLB flush was asked for, and what the last covered.
extern unsigned flushCount;
extern uint64_t flushStart, flushEnd;
} // namespace osv::test

// SPDX-License-Identifier: BSD-3-Clause
//
// What arch/x64 keeps to itself of the MMU: the format of the entries, and the boot-time entry point. The contract for
// everybody else is kernel/arch/Mmu.h.
//
// A leaf entry carries two bits of ours in the part that the processor ignores. `kSoftPage` says that the entry holds a
// page, also when it is not present: a page under PROT_NONE keeps its place. `kSoftWriteFaults` keeps the writable bit
// from being set by `protect` (copy-on-write). User/supervisor is not used: the program runs in ring 0 like the kernel.
#pragma once
#include "kernel/arch/Mmu.h"
#include <span>

namespace osv::arch {

/// An entry that points to the next level; rights are decided by the leaf alone.
inline constexpr uint64_t kTableEntry = kEntryPresent | kEntryWritable | kEntryAccessed;

/// The entry of `v` at `level` of the tree at `root`, making the tables above it; a larger leaf on the way ends the
/// walk and `level` says where. ENOMEM. Safe against other walks at the same time.
Result<uint64_t *> walkCreate(PAddr root, uint64_t v, unsigned &level);

/// Flushes [start, end) here and on the other CPUs (interrupts on when there are any).
void flushRange(uint64_t start, uint64_t end);
/// The same on this CPU only.
void flushRangeLocal(uint64_t start, uint64_t end);

struct PhysRange {
  PAddr start, end;
};
/// Builds the final tables and switches to them: a direct map of `ram`, the kernel's image with W^X, nothing else.
/// Once, by boot code on the boot CPU, after the RAM below 1 GiB (that boot.S mapped) was given to addMemory; RAM above
/// it can be given afterwards. CR0.WP and EFER.NXE are on.
void initMmu(std::span<const PhysRange> ram);

} // namespace osv::arch

// SPDX-License-Identifier: BSD-3-Clause
//
// The inline half of kernel/arch/Mmu.h for x86-64: what a page fault does with the tables. Included by it; the entries'
// format is explained in arch/x64/Mmu.h.
#pragma once

namespace osv::arch {

enum EntryBits : uint64_t {
  kEntryPresent = 1u << 0,
  kEntryWritable = 1u << 1,
  kEntryWriteThrough = 1u << 3,
  kEntryNoCache = 1u << 4,
  kEntryAccessed = 1u << 5,
  kEntryDirty = 1u << 6,
  kEntryLarge = 1u << 7,
  kSoftPage = 1u << 9,
  kSoftWriteFaults = 1u << 10,
  kEntryNoExec = 1ull << 63,
};
inline constexpr uint64_t kEntryAddress = 0x000f'ffff'ffff'f000;

/// Level 0 holds 4 KiB pages, 1 holds 2 MiB, 2 holds 1 GiB, 3 is the root.
constexpr unsigned levelShift(unsigned level) { return 12 + 9 * level; }
constexpr uint64_t levelSize(unsigned level) { return uint64_t{1} << levelShift(level); }
constexpr unsigned levelIndex(uint64_t v, unsigned level) { return (v >> levelShift(level)) & 511; }

/// The rights' part of a leaf.
inline uint64_t rightsOf(Prot prot, bool writeFaults) {
  if (prot == Prot::None)
    return kEntryNoExec;
  return kEntryPresent | (has(prot, Prot::Exec) ? 0 : kEntryNoExec) |
         (has(prot, Prot::Write) && !writeFaults ? kEntryWritable : 0);
}

/// The leaf for a page, of any level.
inline uint64_t makeLeaf(PAddr p, Prot prot, Cache cache, OnWrite onWrite, bool large) {
  uint64_t e = p.value | rightsOf(prot, onWrite == OnWrite::Fault) | kSoftPage | kEntryAccessed;
  e |= (e & kEntryWritable) << 5; // dirty: saves the processor a locked update; nothing here depends on clean pages
  static_assert(kEntryWritable << 5 == kEntryDirty);
  if (onWrite == OnWrite::Fault)
    e |= kSoftWriteFaults;
  if (cache == Cache::Uncached)
    e |= kEntryNoCache | kEntryWriteThrough;
  return large ? e | kEntryLarge : e;
}

#if !defined(OSV_HOST_TEST)
extern "C" char osv_kernel_start[], osv_kernel_end[]; // kernel.ld
inline VAddr kernelImageStart() { return VAddr(reinterpret_cast<uint64_t>(osv_kernel_start)); }
inline VAddr kernelImageEnd() { return VAddr(reinterpret_cast<uint64_t>(osv_kernel_end)); }
#endif

inline Result<PageTable::Slot> PageTable::slot(VAddr v) {
  auto *entry = static_cast<uint64_t *>(directMap(rootPage)) + levelIndex(v.value, 3);
  for (unsigned level = 2; level != ~0u; level--) {
    uint64_t e = __atomic_load_n(entry, __ATOMIC_ACQUIRE);
    if (!(e & kEntryPresent) || (e & kEntryLarge)) [[unlikely]]
      return slotSlow(v);
    entry = static_cast<uint64_t *>(directMap(PAddr(e & kEntryAddress))) + levelIndex(v.value, level);
  }
  return Slot{entry, __atomic_load_n(entry, __ATOMIC_ACQUIRE), false};
}

inline bool PageTable::fill(const Slot &s, PAddr p, Prot prot, OnWrite onWrite) {
  uint64_t seen = s.seen;
  return __atomic_compare_exchange_n(s.entry, &seen, makeLeaf(p, prot, Cache::WriteBack, onWrite, s.large), false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

} // namespace osv::arch

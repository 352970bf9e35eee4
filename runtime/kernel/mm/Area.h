// SPDX-License-Identifier: BSD-3-Clause
//
// An area (Linux: VMA): a range of the program's addresses with the same attributes. mm-private.
//
// Areas are disjoint, sorted by start in a tree, and never straddled by a large page: whoever cuts an area cuts the
// large page too, so that later changes of whole areas cannot fail for want of a table page. Neighbours that agree in
// everything are merged.
#pragma once
#include "kernel/arch/Mmu.h"
#include "kernel/lib/Ref.h"
#include "kernel/mm/MemoryObject.h"
#include <asm/mman.h>
#include <boost/intrusive/set.hpp>
#include <linux/mman.h>
#include <string_view>

namespace osv {

enum AreaFlags : uint32_t {
  kAreaShared = 1u << 0,
  kAreaNoReserve = 1u << 1,
  kAreaGrowsDown = 1u << 2,
  kAreaLocked = 1u << 3,
  kAreaLockOnFault = 1u << 4,
  kAreaHuge = 1u << 5,   ///< MADV_HUGEPAGE
  kAreaNoHuge = 1u << 6, ///< MADV_NOHUGEPAGE
  kAreaDontFork = 1u << 7,
  kAreaWipeOnFork = 1u << 8,
  kAreaDontDump = 1u << 9,
  kAreaResident = 1u << 10, ///< a program segment used where the monitor put it: there is no file to read it from again
  kAreaKernel = 1u << 11,   ///< the kernel's image: a hole in the program's addresses
};

struct Area : boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                              boost::intrusive::optimize_size<true>> {
  VAddr start, end;
  uint32_t flags = 0; ///< AreaFlags
  uint8_t prot = 0;   ///< PROT_*
  uint8_t maxProt = PROT_READ | PROT_WRITE | PROT_EXEC;
  Ref<MemoryObject> object; ///< null: anonymous and private
  uint64_t offset = 0;      ///< of `start` in the object, bytes
  std::string_view name;    ///< outlives the area

  size_t size() const { return end - start; }
  bool contains(VAddr v) const { return start <= v && v < end; }
  bool isPrivate() const { return !(flags & kAreaShared); }
  bool isAnonymous() const { return !object && !(flags & (kAreaResident | kAreaKernel)); }
  bool isKernel() const { return flags & kAreaKernel; }
  uint64_t offsetOf(VAddr v) const { return offset + (v - start); }
  uint64_t pageIndex(VAddr v) const { return offsetOf(v) >> kPageShift; }
  /// Where this area begins for whoever looks for free addresses: a stack keeps its guard gap.
  VAddr guardedStart() const;
};

struct AreaStart {
  using type = VAddr;
  const VAddr &operator()(const Area &a) const { return a.start; }
};
using AreaTree =
    boost::intrusive::set<Area, boost::intrusive::key_of_value<AreaStart>, boost::intrusive::constant_time_size<false>>;

/// Linux's stack_guard_gap.
inline constexpr size_t kStackGuardGap = 256 * kPageSize;

inline VAddr Area::guardedStart() const {
  if (!(flags & kAreaGrowsDown))
    return start;
  return start.value > kStackGuardGap ? start - kStackGuardGap : VAddr(0);
}

/// The processor's rights for PROT_*: writable or executable memory is readable too on x86, and Linux lets it be.
constexpr arch::Prot archProt(int prot) {
  return static_cast<arch::Prot>(prot & (PROT_WRITE | PROT_EXEC) ? (prot & 7) | PROT_READ : prot & PROT_READ);
}

} // namespace osv

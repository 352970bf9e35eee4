// SPDX-License-Identifier: BSD-3-Clause
//
// Contract: translation tables. One `PageTable` is one address space's tree; the kernel half (addresses >= kKernelBase)
// is shared by all. The caller serialises changes of the program's half (AddressSpace's lock) and allocates nothing
// itself: table pages come from mm/PageAllocator. None of these calls sleeps. TLB: `unmap` and `protect` flush locally
// and on the other CPUs that may hold the entry.
#pragma once
#include "kernel/lib/Result.h"
#include "kernel/lib/Types.h"

namespace osv::arch {

/// Program addresses are [kUserMin, kUserMax); 0..64K is never mapped. The kernel image itself lies in that range too
/// (low 2 GiB): [kernelImageStart(), kernelImageEnd()) is excluded from it.
inline constexpr VAddr kUserMin{0x10000};
inline constexpr VAddr kUserMax{0x7fff'ffff'f000};
/// All physical memory, linearly, no-execute. (Unit tests put their pretended memory at a program address of the host.)
#if defined(OSV_HOST_TEST)
inline constexpr VAddr kDirectMap{0x2000'0000'0000};
#else
inline constexpr VAddr kDirectMap{0xffff'8000'0000'0000};
#endif
/// Kernel mappings made at run time (stacks with guard pages, device registers): 64 GiB.
inline constexpr VAddr kKernelMap{0xffff'c000'0000'0000};
inline constexpr VAddr kKernelMapEnd{0xffff'c010'0000'0000};

VAddr kernelImageStart(); ///< inline: every range check asks
VAddr kernelImageEnd();

inline void *directMap(PAddr p) { return reinterpret_cast<void *>((kDirectMap + p.value).value); }
inline PAddr directMapPhys(const void *v) { return PAddr(reinterpret_cast<uint64_t>(v) - kDirectMap.value); }

/// Bits as in <sys/mman.h>: PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4. None: present in the tables as "no access".
enum class Prot : uint8_t { None = 0, Read = 1, Write = 2, Exec = 4, ReadWrite = 3, ReadExec = 5, All = 7 };
constexpr bool has(Prot p, Prot bit) { return (static_cast<uint8_t>(p) & static_cast<uint8_t>(bit)) != 0; }
enum class Cache : uint8_t { WriteBack, Uncached };

/// What the tables say of one page.
struct Mapping {
  PAddr phys;
  Prot prot;  ///< what the processor allows; a page whose writes must fault first shows no Write
  bool large; ///< 2 MiB entry
  bool dirty;
  bool accessed;
  bool writeFaults; ///< see OnWrite::Fault
};

/// Whether a write to a page whose protection allows it goes through, or faults first (copy-on-write, first write to a
/// shared page). The mark stays with the entry until it is replaced; `protect` keeps it.
enum class OnWrite : bool { Allow, Fault };

class PageTable {
public:
  /// A new tree that shares the kernel half and maps the kernel's image. ENOMEM.
  static Result<PageTable> create();
  /// The tree that initMmu made.
  static PageTable boot();

  /// Maps one 4 KiB page; replaces what was there (splitting a large entry); no flush is needed when nothing was.
  /// ENOMEM.
  Result<void> map(VAddr v, PAddr p, Prot prot, Cache cache = Cache::WriteBack, OnWrite onWrite = OnWrite::Allow);
  /// Maps one 2 MiB page, both addresses aligned, where nothing is mapped. ENOMEM; EEXIST when a page or a table of
  /// pages is there.
  Result<void> mapLarge(VAddr v, PAddr p, Prot prot);
  /// Removes [v, v+len) and calls `freed` (may be null) for each page that was mapped after the TLB no longer has it.
  /// Large entries that are cut are split. ENOMEM only when a split is needed (nothing changed then). Table pages that
  /// cover nothing outside [floor, ceiling) are freed: the caller knows that nothing else is mapped in there. By
  /// default that is [v, v+len).
  using Freed = void (*)(void *ctx, Mapping m, VAddr v);
  Result<void> unmap(VAddr v, size_t len, Freed freed, void *ctx, VAddr floor = VAddr(~0ull), VAddr ceiling = VAddr(0));
  /// Changes the protection of the pages that are mapped in [v, v+len). ENOMEM as for unmap.
  Result<void> protect(VAddr v, size_t len, Prot prot);
  /// Cuts the large page that straddles `v`, if there is one. ENOMEM.
  Result<void> split(VAddr v);
  /// Moves what is mapped in [from, from+len) to [to, to+len), where nothing is mapped; the ranges are disjoint.
  /// ENOMEM: nothing changed.
  Result<void> move(VAddr from, VAddr to, size_t len);
  /// False when nothing is mapped at `v`.
  bool query(VAddr v, Mapping &out) const;
  /// The first address in [v, end) that is mapped, or end.
  VAddr nextMapped(VAddr v, VAddr end) const;
  /// How many 4 KiB pages are mapped in [v, end).
  size_t countMapped(VAddr v, VAddr end) const;

  /// For page faults, which run on several CPUs at once: the entry of `v`, with its tables allocated, and what it held
  /// when looked at.
  struct Slot {
    uint64_t *entry;
    uint64_t seen;
    bool large; ///< the entry is a 2 MiB one
    bool empty() const { return seen == 0; }
  };
  Result<Slot> slot(VAddr v);
  static Mapping describe(const Slot &s, VAddr v);
  /// Puts a page into the slot unless somebody changed it meanwhile (false). Flush when the slot was not empty.
  static bool fill(const Slot &s, PAddr p, Prot prot, OnWrite onWrite);
  /// Forgets the translation of one page, here and on the other CPUs. Interrupts on.
  static void flush(VAddr v);

  void activate() const;
  PAddr root() const { return rootPage; }
  /// Frees the tree; everything must have been unmapped.
  void destroy();

private:
  Result<Slot> slotSlow(VAddr v);
  PAddr rootPage;
};

/// Maps device registers into the kernel's half, uncached. ENOMEM.
Result<volatile void *> mapDevice(PAddr p, size_t len);
/// The kernel's half, for mm's kernel stacks. Any context.
Result<void> mapKernelPage(VAddr v, PAddr p, Prot prot);
/// Other CPUs may keep the translation until flushAllTlbs; so do not map something else there before.
void unmapKernelPage(VAddr v);
/// Forgets every translation on every CPU. Interrupts on.
void flushAllTlbs();

} // namespace osv::arch

#include "arch/x64/MmuInline.h" // the build selects the architecture by its include path

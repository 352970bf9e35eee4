// SPDX-License-Identifier: BSD-3-Clause
//
// Contract: translation tables. One `PageTable` is one address space's tree; the kernel half (addresses >= kKernelBase) is shared by
// all. The caller serialises changes of the program's half (AddressSpace's lock) and allocates nothing itself: table pages come from
// mm/PageAllocator. None of these calls sleeps. TLB: `unmap` and `protect` flush locally and on the other CPUs that may hold the entry.
#pragma once
#include "kernel/lib/Result.h"
#include "kernel/lib/Types.h"

namespace osv::arch {

/// Program addresses are [kUserMin, kUserMax); 0..64K is never mapped. The kernel image itself lies in that range too (low
/// 2 GiB): [kernelImageStart(), kernelImageEnd()) is excluded from it.
inline constexpr VAddr kUserMin{0x10000};
inline constexpr VAddr kUserMax{0x7fff'ffff'f000};
/// All physical memory, linearly, no-execute.
inline constexpr VAddr kDirectMap{0xffff'8000'0000'0000};
/// Kernel mappings made at run time (stacks with guard pages, device registers): 64 GiB.
inline constexpr VAddr kKernelMap{0xffff'c000'0000'0000};
inline constexpr VAddr kKernelMapEnd{0xffff'c010'0000'0000};

VAddr kernelImageStart();
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
  Prot prot;
  bool large; ///< 2 MiB entry
  bool dirty;
  bool accessed;
};

class PageTable {
public:
  /// A new tree that shares the kernel half. ENOMEM.
  static Result<PageTable> create();
  /// The tree the boot code made.
  static PageTable boot();

  /// Maps one 4 KiB page; replaces what was there (splitting a large entry); no flush is needed when nothing was. ENOMEM.
  Result<void> map(VAddr v, PAddr p, Prot prot, Cache cache = Cache::WriteBack);
  /// Maps one 2 MiB page, both addresses aligned. ENOMEM.
  Result<void> mapLarge(VAddr v, PAddr p, Prot prot);
  /// Removes [v, v+len) and calls `freed` (may be null) for each page that was mapped after the TLB no longer has it. Large entries that are cut are
  /// split. ENOMEM only when a split is needed (nothing changed then). Empty table pages are freed.
  Result<void> unmap(VAddr v, size_t len, void (*freed)(void *ctx, Mapping m, VAddr v), void *ctx);
  /// Changes the protection of the pages that are mapped in [v, v+len). ENOMEM as for unmap.
  Result<void> protect(VAddr v, size_t len, Prot prot);
  /// False when nothing is mapped at `v`.
  bool query(VAddr v, Mapping &out) const;
  /// Clears the accessed/dirty bit (madvise, mincore).
  void activate() const;
  PAddr root() const { return rootPage; }
  void destroy();

private:
  PAddr rootPage;
};

/// Maps device registers into the kernel's half, uncached. ENOMEM.
Result<volatile void *> mapDevice(PAddr p, size_t len);
/// The kernel's half, for mm's kernel stacks.
Result<void> mapKernelPage(VAddr v, PAddr p, Prot prot);
void unmapKernelPage(VAddr v);

} // namespace osv::arch

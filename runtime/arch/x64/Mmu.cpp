// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's own mappings, and everything about translation that needs privileged instructions: the final tables at
// boot, the TLBs, switching trees. Walking and changing a tree is PageTable.cpp's.
//
//     0x10000 .. 0x7fff'ffff'f000   the program, with a hole: the kernel's image (low 2 GiB; text R+X, rodata R, data
//     RW) 0xffff'8000'0000'0000 ..      all RAM, RW, no-execute; read-only where it aliases the kernel's text and
//     rodata 0xffff'c000'0000'0000 ..      run-time mappings: 32 GiB of stack slots (mm/KernelStacks.cpp), then 32 GiB
//     of device registers
//
// Every tree has its own lower half with the kernel's image in it, and shares the tables of the upper half.
#include "arch/x64/Mmu.h"
#include "kernel/arch/Cpu.h"
#include "kernel/lib/Log.h"
#include "kernel/lib/SpinLock.h"
#include "kernel/mm/PageAllocator.h"
#include <algorithm>

// kernel.ld
extern "C" const char osv_text_start[], osv_text_end[], osv_rodata_start[], osv_rodata_end[], osv_data_start[],
    osv_data_end[];
extern "C" const uint64_t osv_image_shift; // Cpu.h

namespace osv::arch {
namespace {

PAddr bootRoot;
SpinLock kernelMapLock; ///< changes of the shared upper half after boot
constexpr VAddr kDeviceMap = kKernelMap + (32ull << 30);
VAddr nextDevice = kDeviceMap;

uint64_t addressOf(const char *symbol) { return reinterpret_cast<uint64_t>(symbol); }

struct ImagePart {
  uint64_t start, end;
  Prot prot;
};
ImagePart imagePart(unsigned i) {
  const ImagePart parts[] = {{addressOf(osv_text_start), addressOf(osv_text_end), Prot::ReadExec},
                             {addressOf(osv_rodata_start), addressOf(osv_rodata_end), Prot::Read},
                             {addressOf(osv_data_start), addressOf(osv_data_end), Prot::ReadWrite}};
  ImagePart p = parts[i];
  return {roundDown(p.start, kPageSize), roundUp(p.end, kPageSize), p.prot};
}
constexpr unsigned kImageParts = 3;
uint64_t imagePhys(uint64_t v) { return v - osv_image_shift; }

bool haveGigabytePages() { return cpuid(0x80000000).eax >= 0x80000001 && (cpuid(0x80000001).edx & (1u << 26)); }

/// Maps [v, v+len) to `p` with the largest pages that fit.
Result<void> mapRange(PAddr root, uint64_t v, uint64_t p, uint64_t len, Prot prot, unsigned largest) {
  while (len) {
    unsigned level = largest;
    while (level > 0 && (((v | p) & (levelSize(level) - 1)) || len < levelSize(level)))
      level--;
    unsigned reached = level;
    uint64_t *entry = TRY(walkCreate(root, v, reached));
    VERIFY(reached == level && *entry == 0);
    *entry = makeLeaf(PAddr(p), prot, Cache::WriteBack, OnWrite::Allow, level > 0);
    v += levelSize(level);
    p += levelSize(level);
    len -= levelSize(level);
  }
  return {};
}

Result<void> mapImage(PAddr root) {
  for (unsigned i = 0; i < kImageParts; i++) {
    ImagePart part = imagePart(i);
    TRY(mapRange(root, part.start, imagePhys(part.start), part.end - part.start, part.prot, 1));
  }
  return {};
}

/// Direct-maps [start, end), read-only where it is the kernel's text or rodata.
Result<void> mapDirect(PAddr root, uint64_t start, uint64_t end, unsigned largest) {
  while (start < end) {
    uint64_t stop = end;
    Prot prot = Prot::ReadWrite;
    for (unsigned i = 0; i < kImageParts; i++) {
      ImagePart part = imagePart(i);
      if (has(part.prot, Prot::Write))
        continue;
      uint64_t from = imagePhys(part.start), to = imagePhys(part.end);
      if (start >= from && start < to) {
        prot = Prot::Read;
        stop = std::min(end, to);
        break;
      }
      if (from > start)
        stop = std::min(stop, from);
    }
    TRY(mapRange(root, kDirectMap.value + start, start, stop - start, prot, largest));
    start = stop;
  }
  return {};
}

Result<PAddr> buildTables(std::span<const PhysRange> ram) {
  PAddr root = TRY(allocPages(0, Zero::Yes));
  TRY(mapImage(root));
  unsigned largest = haveGigabytePages() ? 2 : 1;
  for (const PhysRange &r : ram)
    TRY(mapDirect(root, r.start.pageUp().value, r.end.pageDown().value, largest));
  unsigned level = 2;
  TRY(walkCreate(root, kKernelMap.value, level)); // the root's entry must exist before the root is copied
  return root;
}

/// A page of the program's that is only read, or the flush of a long range, costs a whole flush; single pages go one by
/// one.
constexpr uint64_t kFlushAll = 32 * kPageSize;

struct FlushRequest {
  uint64_t start, end;
};
void flushLocal(void *request) {
  auto *r = static_cast<FlushRequest *>(request);
  flushRangeLocal(r->start, r->end);
}

} // namespace

void initMmu(std::span<const PhysRange> ram) {
  auto root = buildTables(ram);
  if (!root.ok())
    panic("not enough memory below 1 GiB for the page tables");
  bootRoot = *root;
  writeCr3(bootRoot.value);
}

void flushRangeLocal(uint64_t start, uint64_t end) {
  if (end - start > kFlushAll)
    return writeCr3(readCr3()); // no entry is global
  for (uint64_t v = start; v < end; v += kPageSize)
    flushPage(v);
}

void flushRange(uint64_t start, uint64_t end) {
  if (cpuCount() == 1)
    return flushRangeLocal(start, end);
  FlushRequest request{start, end};
  callOnAllCpus(flushLocal, &request);
}

void flushAllTlbs() { flushRange(0, ~0ull); }

Result<PageTable> PageTable::create() {
  PageTable t;
  t.rootPage = TRY(allocPages(0, Zero::Yes));
  auto *root = static_cast<uint64_t *>(directMap(t.rootPage));
  auto *shared = static_cast<const uint64_t *>(directMap(bootRoot));
  std::copy(shared + 256, shared + 512, root + 256);
  if (auto mapped = mapImage(t.rootPage); !mapped.ok()) {
    t.destroy();
    return mapped.error();
  }
  return t;
}

PageTable PageTable::boot() {
  PageTable t;
  t.rootPage = bootRoot;
  return t;
}

void PageTable::activate() const {
  if (readCr3() != rootPage.value)
    writeCr3(rootPage.value);
}

Result<volatile void *> mapDevice(PAddr p, size_t len) {
  uint64_t first = p.pageDown().value, size = (p + len).pageUp().value - first;
  IrqSpinGuard g(kernelMapLock);
  VAddr v = nextDevice;
  if (size > kKernelMapEnd - v)
    return Errno::NoMem;
  nextDevice += size;
  for (uint64_t i = 0; i < size; i += kPageSize) {
    unsigned level = 0;
    uint64_t *entry = TRY(walkCreate(bootRoot, v.value + i, level));
    *entry = makeLeaf(PAddr(first + i), Prot::ReadWrite, Cache::Uncached, OnWrite::Allow, false);
  }
  return reinterpret_cast<volatile void *>(v.value + p.pageOffset());
}

Result<void> mapKernelPage(VAddr v, PAddr p, Prot prot) {
  IrqSpinGuard g(kernelMapLock);
  unsigned level = 0;
  uint64_t *entry = TRY(walkCreate(bootRoot, v.value, level));
  VERIFY(level == 0);
  uint64_t old = *entry;
  *entry = makeLeaf(p, prot, Cache::WriteBack, OnWrite::Allow, false);
  if (old)
    flushRangeLocal(v.value, v.value + kPageSize);
  return {};
}

void unmapKernelPage(VAddr v) {
  IrqSpinGuard g(kernelMapLock);
  unsigned level = 0;
  auto entry = walkCreate(bootRoot, v.value, level);
  VERIFY(entry.ok() && level == 0);
  **entry = 0;
  flushRangeLocal(v.value, v.value + kPageSize);
}

} // namespace osv::arch

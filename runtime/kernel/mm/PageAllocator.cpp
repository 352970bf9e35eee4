// SPDX-License-Identifier: BSD-3-Clause
//
// The buddy allocator of physical pages, and the per-page descriptors behind retainPage and releasePage.
//
// Each range of memory starts with its own table of descriptors, four bytes a page. A descriptor is only meaningful for
// the first page of a block: whether the block is free, its order, and how often it is referenced. Descriptors are
// written when a block comes into being (a range is added, a block is split), never read before, and so need no
// initialisation: adding 64 GiB touches a few pages.
//
// Free blocks of one order form a list through the free pages themselves (the direct map reaches them). One lock guards
// lists and descriptors except for the reference counts of allocated pages, which are atomic.
#include "kernel/mm/PageAllocator.h"
#include "kernel/arch/Mmu.h"
#include "kernel/lib/Log.h"
#include "kernel/lib/SpinLock.h"
#include "kernel/mm/Heap.h"
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

namespace osv {
namespace {

constexpr unsigned kMaxOrder = 18; // 1 GiB: a large machine is a handful of blocks at boot
constexpr unsigned kMaxRanges = 64;

/// A page's descriptor: bit 31 free, bits 24..28 order of the block, bits 0..23 references.
using Descriptor = std::atomic<uint32_t>;
constexpr uint32_t kFree = 1u << 31;
constexpr uint32_t kRefs = (1u << 24) - 1;
constexpr uint32_t descriptorFor(unsigned order, uint32_t rest) { return order << 24 | rest; }

struct Range {
  uint64_t first, end; ///< page numbers
  Descriptor *pages;   ///< of `first`
};

struct FreeBlock {
  FreeBlock *next, *prev;
};

SpinLock lock;
Range ranges[kMaxRanges]; // largest first
unsigned rangeCount;
FreeBlock *freeLists[kMaxOrder + 1];
uint32_t nonEmpty; ///< bit per order
uint64_t totalPages, freePageCount;

/// One CPU's pages, as page numbers; one cache line.
struct alignas(64) PageCache {
  static constexpr uint32_t kCapacity = 15, kBatchOrder = 3, kBatch = 1u << kBatchOrder;
  uint32_t count;
  uint32_t pages[kCapacity];
};
constexpr unsigned kMaxCpus = 64;
PageCache caches[kMaxCpus];

Range *rangeOf(uint64_t page) {
  for (unsigned i = 0; i < rangeCount; i++)
    if (page - ranges[i].first < ranges[i].end - ranges[i].first)
      return &ranges[i];
  return nullptr;
}

Descriptor &descriptorOf(uint64_t page) {
  Range *r = rangeOf(page);
  VERIFY(r != nullptr);
  return r->pages[page - r->first];
}

FreeBlock *blockAt(uint64_t page) { return static_cast<FreeBlock *>(arch::directMap(PAddr(page << kPageShift))); }
uint64_t pageOf(const FreeBlock *b) { return arch::directMapPhys(b).value >> kPageShift; }

void pushFree(uint64_t page, unsigned order, Descriptor &d) {
  FreeBlock *b = blockAt(page);
  b->prev = nullptr;
  b->next = freeLists[order];
  if (b->next)
    b->next->prev = b;
  freeLists[order] = b;
  nonEmpty |= 1u << order;
  d.store(descriptorFor(order, kFree), std::memory_order_relaxed);
}

void removeFree(FreeBlock *b, unsigned order) {
  if (b->next)
    b->next->prev = b->prev;
  if (b->prev)
    b->prev->next = b->next;
  else if (!(freeLists[order] = b->next))
    nonEmpty &= ~(1u << order);
}

/// Puts a block back and merges it with its buddies. `lock` held.
void freeBlock(uint64_t page, unsigned order) {
  Range *r = rangeOf(page);
  VERIFY(r != nullptr);
  freePageCount += uint64_t{1} << order;
  for (; order < kMaxOrder; order++) {
    uint64_t buddy = page ^ (uint64_t{1} << order);
    if (buddy < r->first || buddy + (uint64_t{1} << order) > r->end)
      break;
    if (r->pages[buddy - r->first].load(std::memory_order_relaxed) != descriptorFor(order, kFree))
      break;
    removeFree(blockAt(buddy), order);
    page = std::min(page, buddy);
  }
  pushFree(page, order, r->pages[page - r->first]);
}

/// Enters [first, end) with its descriptor table. Interrupts off or boot. `lock` held.
bool insertRange(Range range) {
  if (rangeCount == kMaxRanges)
    return false;
  unsigned i = rangeCount++;
  for (; i > 0 && ranges[i - 1].end - ranges[i - 1].first < range.end - range.first; i--)
    ranges[i] = ranges[i - 1];
  ranges[i] = range;
  return true;
}

} // namespace

[[gnu::cold]] void addMemory(PAddr start, PAddr end) {
  uint64_t first = start.pageUp().value >> kPageShift, last = end.pageDown().value >> kPageShift;
  if (first == 0)
    first = 1; // a null PAddr stays invalid
  if (first >= last)
    return;
  uint64_t tablePages = roundUp((last - first) * sizeof(Descriptor), kPageSize) >> kPageShift;
  if (last - first <= tablePages)
    return;
  IrqSpinGuard g(lock);
  auto *table = static_cast<Descriptor *>(arch::directMap(PAddr(first << kPageShift)));
  first += tablePages;
  if (!insertRange({first, last, table}))
    return log(LogLevel::Warn, "memory: more than {} ranges; [{}, {}) is not used", kMaxRanges, start, end);
  totalPages += last - first;
  while (first < last) {
    unsigned order = std::min<unsigned>({kMaxOrder, static_cast<unsigned>(std::countr_zero(first)),
                                         static_cast<unsigned>(std::bit_width(last - first)) - 1});
    pushFree(first, order, table[first - rangeOf(first)->first]);
    freePageCount += uint64_t{1} << order;
    first += uint64_t{1} << order;
  }
}

namespace {

/// Takes a block off the lists. `lock` held.
Result<uint64_t> takeBlock(unsigned order) {
  uint32_t candidates = order <= kMaxOrder ? nonEmpty >> order << order : 0;
  if (!candidates)
    return Errno::NoMem;
  unsigned have = std::countr_zero(candidates);
  FreeBlock *b = freeLists[have];
  removeFree(b, have);
  uint64_t page = pageOf(b);
  Range *r = rangeOf(page);
  while (have > order) {
    have--;
    uint64_t upper = page + (uint64_t{1} << have);
    pushFree(upper, have, r->pages[upper - r->first]);
  }
  r->pages[page - r->first].store(descriptorFor(order, 1), std::memory_order_relaxed);
  freePageCount -= uint64_t{1} << order;
  return page;
}

/// Gives all but `keep` of this CPU's pages back to the lists. Interrupts off; `lock` not held.
void drainCache(PageCache &c, uint32_t keep) {
  IrqSpinGuard g(lock);
  while (c.count > keep)
    freeBlock(c.pages[--c.count], 0);
}

/// Fills an empty cache: with one block of 2^kBatchOrder pages, or with what is left. Interrupts off. ENOMEM.
Result<void> refill(PageCache &c) {
  IrqSpinGuard g(lock);
  if (auto block = takeBlock(PageCache::kBatchOrder); block.ok()) {
    Descriptor *d = &descriptorOf(*block);
    for (uint32_t i = PageCache::kBatch; i-- > 0;) { // the lowest page goes first
      d[i].store(descriptorFor(0, 1), std::memory_order_relaxed);
      c.pages[c.count++] = static_cast<uint32_t>(*block) + i;
    }
    return {};
  }
  while (c.count < PageCache::kBatch) {
    auto page = takeBlock(0);
    if (!page.ok())
      break;
    c.pages[c.count++] = static_cast<uint32_t>(*page);
  }
  return c.count ? Result<void>() : Errno::NoMem;
}

/// The page that a fault takes. Interrupts off.
Result<uint64_t> takePage(PageCache &c) {
  if (c.count == 0) [[unlikely]]
    TRY(refill(c));
  return uint64_t{c.pages[--c.count]};
}

/// Takes back a single page whose descriptor says count 1.
void returnPage(uint64_t page) {
  IrqGuard g;
  PageCache &c = caches[gate().cpu];
  if (c.count == PageCache::kCapacity) [[unlikely]]
    drainCache(c, PageCache::kCapacity - PageCache::kBatch);
  c.pages[c.count++] = static_cast<uint32_t>(page);
}

Result<uint64_t> takeLargeBlock(unsigned order) {
  {
    IrqSpinGuard g(lock);
    if (auto page = takeBlock(order); page.ok())
      return page;
  }
  IrqGuard off; // the pages kept here may be what is missing
  drainCache(caches[gate().cpu], 0);
  IrqSpinGuard g(lock);
  return takeBlock(order);
}

} // namespace

/// Plain stores, a loop only as far as they would be more code than they save: one page is most of what a fault costs.
static void zeroOnePage(char *page) {
  constexpr size_t kStep = 1024;
#pragma clang loop unroll(disable)
  for (char *at = page; at != page + kPageSize; at += kStep) {
    __builtin_memset_inline(__builtin_assume_aligned(at, kStep), 0, kStep);
    asm volatile("" ::: "memory"); // or the compiler would make one call of memset of it
  }
}

Result<PAddr> allocPages(unsigned order, Zero zero) {
  Result<uint64_t> page = Errno::NoMem;
  if (order == 0) {
    IrqGuard g;
    page = takePage(caches[gate().cpu]);
  } else {
    page = takeLargeBlock(order);
  }
  if (!page.ok())
    return page.error();
  PAddr p(*page << kPageShift);
  if (zero == Zero::Yes) {
    if (order == 0)
      zeroOnePage(static_cast<char *>(arch::directMap(p)));
    else
      memset(arch::directMap(p), 0, kPageSize << order);
  }
  return p;
}

void freePages(PAddr p, unsigned order) {
  VERIFY(descriptorOf(p.value >> kPageShift).load(std::memory_order_relaxed) == descriptorFor(order, 1));
  if (order == 0)
    return returnPage(p.value >> kPageShift);
  IrqSpinGuard g(lock);
  freeBlock(p.value >> kPageShift, order);
}

void retainPage(PAddr p) { descriptorOf(p.value >> kPageShift).fetch_add(1, std::memory_order_relaxed); }

void releasePage(PAddr p) {
  Descriptor &d = descriptorOf(p.value >> kPageShift);
  // Most pages have one owner, who then is alone with the descriptor.
  if (d.load(std::memory_order_acquire) == descriptorFor(0, 1))
    return returnPage(p.value >> kPageShift);
  uint32_t old = d.fetch_sub(1, std::memory_order_acq_rel);
  VERIFY((old & kRefs) != 0 && !(old & kFree));
  if ((old & kRefs) != 1)
    return;
  d.store(old, std::memory_order_relaxed);
  freePages(p, old >> 24);
}

uint32_t pageRefs(PAddr p) {
  Range *r = rangeOf(p.value >> kPageShift);
  if (!r)
    return 0;
  uint32_t d = r->pages[(p.value >> kPageShift) - r->first].load(std::memory_order_acquire);
  return d & kFree ? 0 : d & kRefs;
}

void splitPages(PAddr p, unsigned order) {
  Range *r = rangeOf(p.value >> kPageShift);
  VERIFY(r != nullptr);
  Descriptor *d = &r->pages[(p.value >> kPageShift) - r->first];
  VERIFY(d->load(std::memory_order_relaxed) == descriptorFor(order, 1));
  for (uint64_t i = 0; i < uint64_t{1} << order; i++)
    d[i].store(descriptorFor(0, 1), std::memory_order_relaxed);
}

[[gnu::cold]] Result<void> adoptPages(PAddr start, PAddr end) {
  uint64_t page = start.value >> kPageShift, last = end.value >> kPageShift;
  while (page < last) {
    if (rangeOf(page)) { // the page that two segments share
      retainPage(PAddr(page << kPageShift));
      page++;
      continue;
    }
    uint64_t stop = page;
    while (stop < last && !rangeOf(stop))
      stop++;
    auto *table = static_cast<Descriptor *>(heapAlloc((stop - page) * sizeof(Descriptor)));
    if (!table)
      return Errno::NoMem;
    for (uint64_t i = 0; i < stop - page; i++)
      new (&table[i]) Descriptor(descriptorFor(0, 1));
    IrqSpinGuard g(lock);
    VERIFY(insertRange({page, stop, table}));
    totalPages += stop - page;
    page = stop;
  }
  return {};
}

PAddr zeroPage() {
  static std::atomic<uint64_t> page{0};
  uint64_t p = page.load(std::memory_order_relaxed);
  if (p) [[likely]]
    return PAddr(p);
  auto made = allocPages(0, Zero::Yes);
  if (!made.ok())
    panic("no memory for the page of zeros");
  if (!page.compare_exchange_strong(p, made->value))
    freePages(*made);
  return PAddr(page.load());
}

uint64_t totalMemoryPages() { return __atomic_load_n(&totalPages, __ATOMIC_RELAXED); }

MemoryStats memoryStats() {
  IrqSpinGuard g(lock);
  uint64_t cached = 0;
  for (const PageCache &c : caches)
    cached += c.count; // of other CPUs: as it was a moment ago
  return {totalPages, freePageCount + cached};
}

} // namespace osv

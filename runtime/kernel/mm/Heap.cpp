// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's heap: slabs of one page for sizes up to 1984 bytes, whole blocks of pages above.
//
// A slab starts with a 64-byte header and holds objects of one class. Classes from 64 bytes on are multiples of 64, so
// that every object whose size is a multiple of 64 is aligned to 64 (XSAVE areas, cache lines). No object of a slab is
// page aligned, and every larger block is: that is how `heapFree` tells them apart. Empty slabs go back to the page
// allocator, but for one a class.
#include "kernel/mm/Heap.h"
#include "kernel/arch/Mmu.h"
#include "kernel/lib/Log.h"
#include "kernel/lib/SpinLock.h"
#include "kernel/mm/PageAllocator.h"
#include <bit>

namespace osv {
namespace {

constexpr uint16_t kClassSizes[] = {16,  32,  48,  64,  80,  96,  112, 128,  192, 256,
                                    320, 384, 448, 576, 640, 768, 960, 1344, 1984};
constexpr unsigned kClasses = sizeof kClassSizes / sizeof kClassSizes[0];
constexpr size_t kSlabHeader = 64;
constexpr size_t kMaxSlabObject = kClassSizes[kClasses - 1];

struct FreeObject {
  FreeObject *next;
};
struct Slab {
  Slab *next, *prev;   ///< in the class's list of slabs that have room
  FreeObject *objects; ///< freed ones
  uint16_t used;
  uint16_t fresh; ///< objects from this index on were never given out
  uint16_t capacity;
  uint16_t sizeClass;
  uint32_t magic;
};
static_assert(sizeof(Slab) <= kSlabHeader);
constexpr uint32_t kSlabMagic = 0x42414c53; // "SLAB"

struct SizeClass {
  SpinLock lock;
  Slab *partial = nullptr;
  uint16_t emptySlabs = 0;
};
SizeClass classes[kClasses];

/// kClassOf[(size + 15) / 16]: the smallest class that fits and keeps the promise of alignment.
struct ClassTable {
  uint8_t of[kMaxSlabObject / 16 + 1];
  constexpr ClassTable() : of{} {
    for (size_t i = 0; i <= kMaxSlabObject / 16; i++) {
      unsigned c = 0;
      while (kClassSizes[c] < i * 16 || (i > 0 && i % 4 == 0 && kClassSizes[c] % 64 != 0))
        c++;
      of[i] = static_cast<uint8_t>(c);
    }
  }
};
constexpr ClassTable kClassOf;

void link(SizeClass &c, Slab *s) {
  s->prev = nullptr;
  s->next = c.partial;
  if (s->next)
    s->next->prev = s;
  c.partial = s;
}
void unlink(SizeClass &c, Slab *s) {
  if (s->next)
    s->next->prev = s->prev;
  (s->prev ? s->prev->next : c.partial) = s->next;
}

Slab *newSlab(unsigned index) {
  auto page = allocPages(0);
  if (!page.ok())
    return nullptr;
  auto *s = static_cast<Slab *>(arch::directMap(*page));
  *s = {};
  s->sizeClass = static_cast<uint16_t>(index);
  s->capacity = static_cast<uint16_t>((kPageSize - kSlabHeader) / kClassSizes[index]);
  s->magic = kSlabMagic;
  return s;
}

void *allocSmall(unsigned index) {
  SizeClass &c = classes[index];
  IrqSpinGuard g(c.lock);
  Slab *s = c.partial;
  if (!s) {
    s = newSlab(index); // the page allocator's lock nests inside ours
    if (!s)
      return nullptr;
    link(c, s);
    c.emptySlabs++;
  }
  if (s->used == 0)
    c.emptySlabs--;
  void *p = s->objects;
  if (p)
    s->objects = s->objects->next;
  else
    p = reinterpret_cast<char *>(s) + kSlabHeader + size_t{s->fresh++} * kClassSizes[index];
  if (++s->used == s->capacity)
    unlink(c, s);
  return p;
}

void freeSmall(void *p) {
  auto *s = reinterpret_cast<Slab *>(reinterpret_cast<uint64_t>(p) & ~(kPageSize - 1));
  VERIFY(s->magic == kSlabMagic && s->used > 0);
  SizeClass &c = classes[s->sizeClass];
  IrqSpinGuard g(c.lock);
  auto *o = static_cast<FreeObject *>(p);
  o->next = s->objects;
  s->objects = o;
  if (s->used-- == s->capacity)
    link(c, s);
  if (s->used != 0)
    return;
  if (c.emptySlabs++ == 0)
    return;
  c.emptySlabs--;
  unlink(c, s);
  s->magic = 0;
  freePages(arch::directMapPhys(s), 0);
}

unsigned orderFor(size_t size) {
  size_t pages = (size + kPageSize - 1) >> kPageShift;
  return static_cast<unsigned>(std::bit_width(pages - 1));
}

} // namespace

void *heapAlloc(size_t size, size_t align) {
  if (align > 16)
    size = roundUp(size, 64);
  if (size <= kMaxSlabObject && align <= 64)
    return allocSmall(kClassOf.of[(size + 15) / 16]);
  if (align > kPageSize || size > (size_t{1} << 40))
    return nullptr;
  auto p = allocPages(orderFor(size));
  return p.ok() ? arch::directMap(*p) : nullptr;
}

void heapFree(void *p) {
  if (!p)
    return;
  if (reinterpret_cast<uint64_t>(p) & (kPageSize - 1))
    return freeSmall(p);
  releasePage(arch::directMapPhys(p)); // its descriptor knows the order
}

} // namespace osv

#if !defined(OSV_HOST_TEST)
// The nothrow forms only: a plain `new` does not link, so that nobody forgets the failure.
void *operator new(size_t n, const std::nothrow_t &) noexcept { return osv::heapAlloc(n); }
void *operator new[](size_t n, const std::nothrow_t &) noexcept { return osv::heapAlloc(n); }
void *operator new(size_t n, std::align_val_t a, const std::nothrow_t &) noexcept {
  return osv::heapAlloc(n, size_t(a));
}
void *operator new[](size_t n, std::align_val_t a, const std::nothrow_t &) noexcept {
  return osv::heapAlloc(n, size_t(a));
}
void operator delete(void *p) noexcept { osv::heapFree(p); }
void operator delete[](void *p) noexcept { osv::heapFree(p); }
void operator delete(void *p, size_t) noexcept { osv::heapFree(p); }
void operator delete[](void *p, size_t) noexcept { osv::heapFree(p); }
void operator delete(void *p, std::align_val_t) noexcept { osv::heapFree(p); }
void operator delete[](void *p, std::align_val_t) noexcept { osv::heapFree(p); }
void operator delete(void *p, size_t, std::align_val_t) noexcept { osv::heapFree(p); }
void operator delete[](void *p, size_t, std::align_val_t) noexcept { osv::heapFree(p); }
void operator delete(void *p, const std::nothrow_t &) noexcept { osv::heapFree(p); }
void operator delete[](void *p, const std::nothrow_t &) noexcept { osv::heapFree(p); }
const std::nothrow_t std::nothrow{};
#endif

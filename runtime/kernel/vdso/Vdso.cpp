// SPDX-License-Identifier: BSD-3-Clause
//
// Maps the vDSO into the program: two areas over pages of the kernel's own image, which are never freed (this file
// keeps a reference to each), however the program unmaps, copies or protects them.
#include "kernel/vdso/Vdso.h"
#include "kernel/arch/Clock.h"
#include "kernel/arch/Mmu.h"
#include "kernel/lib/Log.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/mm/Heap.h"
#include "kernel/mm/PageAllocator.h"
#include <linux/mman.h>

namespace osv {
namespace {

PAddr physicalOf(const void *p) {
  arch::Mapping m;
  VERIFY(arch::PageTable::boot().query(VAddr(reinterpret_cast<uint64_t>(p)), m));
  return m.phys;
}

/// Some pages of the kernel's image as a file.
class ImagePages : public MemoryObject {
public:
  ImagePages(const void *start, size_t size, std::string_view name)
      : start(physicalOf(start)), size(size), text(name) {}
  Result<void> adopt() { return adoptPages(start, start + size); }
  Result<PAddr> page(uint64_t index, bool write) override {
    if (write)
      return Errno::Acces;
    if (index >= size / kPageSize)
      return Errno::Range;
    PAddr p = start + index * kPageSize;
    retainPage(p);
    return p;
  }
  std::string_view name() const override { return text; }

private:
  PAddr start;
  size_t size;
  std::string_view text;
};

Result<Ref<MemoryObject>> makePages(const void *start, size_t size, std::string_view name) {
  ImagePages *pages = TRY(make<ImagePages>(start, size, name));
  Ref<MemoryObject> object = Ref<MemoryObject>::adopt(pages);
  TRY(pages->adopt());
  return object;
}

} // namespace

Result<VAddr> mapVdso(AddressSpace &space) {
  arch::publishVdsoCpu();
  arch::VdsoImage vdso = arch::vdsoImage();
  Ref<MemoryObject> data = TRY(makePages(vdso.data, kPageSize, "[vvar]"));
  Ref<MemoryObject> image = TRY(makePages(vdso.image, vdso.imageSize, "[vdso]"));
  // One hole for both, then each in its place.
  VAddr at = TRY(space.map(VAddr(0), kPageSize + vdso.imageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, nullptr, 0));
  TRY(space.map(at, kPageSize, PROT_READ, MAP_SHARED | MAP_FIXED, data, 0, "[vvar]", PROT_READ));
  VAddr start = at + kPageSize;
  TRY(space.map(start, vdso.imageSize, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, image, 0, "[vdso]"));
  return start;
}

} // namespace osv

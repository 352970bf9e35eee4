// SPDX-License-Identifier: BSD-3-Clause
//
// Look-ups in the parsed program. Segments and symbols are sorted by address, so each is a binary search.
#include "rewriter/elf/Image.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/BinaryFormat/ELF.h"

using namespace llvm;

namespace osv::elf {

const Segment *Image::segmentAt(VAddr addr) const {
  auto next = partition_point(segments, [&](const Segment &s) { return s.vaddr <= addr; });
  if (next == segments.begin() || !(next - 1)->range().contains(addr))
    return nullptr;
  return &*(next - 1);
}

ArrayRef<uint8_t> Image::bytesFrom(VAddr addr) const {
  const Segment *segment = segmentAt(addr);
  if (!segment || addr >= segment->fileEnd())
    return {};
  return segment->bytes.drop_front(addr - segment->vaddr);
}

ArrayRef<uint8_t> Image::bytesAt(VAddr addr, uint64_t size) const {
  ArrayRef<uint8_t> rest = bytesFrom(addr);
  return size <= rest.size() ? rest.take_front(size) : ArrayRef<uint8_t>();
}

bool Image::isExecutable(VAddr addr) const {
  const Segment *segment = segmentAt(addr);
  return segment && segment->isExec();
}

std::vector<AddrRange> Image::executableRanges() const {
  std::vector<AddrRange> ranges;
  for (const Segment &segment : segments)
    if (segment.isExec() && segment.filesz)
      ranges.push_back({segment.vaddr, segment.fileEnd()});
  return ranges;
}

const Section *Image::sectionAt(VAddr addr) const {
  for (const Section &section : sections) {
    // .tbss occupies no memory: its addresses are those of what follows.
    bool isTbss = (section.flags & ELF::SHF_TLS) && section.type == ELF::SHT_NOBITS;
    if ((section.flags & ELF::SHF_ALLOC) && !isTbss && section.range().contains(addr))
      return &section;
  }
  return nullptr;
}

const Section *Image::sectionNamed(StringRef sectionName) const {
  auto it = find_if(sections, [&](const Section &s) { return s.name == sectionName; });
  return it == sections.end() ? nullptr : &*it;
}

const Symbol *Image::functionAt(VAddr addr) const {
  auto next = partition_point(symbols, [&](const Symbol &s) { return s.addr <= addr; });
  // Nested or aliased symbols are rare; look back a little for the nearest function that reaches `addr`.
  unsigned patience = 16;
  for (auto it = next; it != symbols.begin() && patience; patience--) {
    --it;
    if (!it->isFunction())
      continue;
    if (it->size ? addr < it->addr + it->size : sectionAt(addr) == sectionAt(it->addr))
      return &*it;
  }
  return nullptr;
}

std::string Image::describe(VAddr addr) const {
  std::string text;
  if (const Symbol *function = functionAt(addr)) {
    text = ("'" + function->name + "'").str();
    if (addr != function->addr)
      text += "+" + hex(addr - function->addr);
  }
  if (const Section *section = sectionAt(addr))
    text += ((text.empty() ? "in " : " in ") + section->name).str();
  return text;
}

} // namespace osv::elf

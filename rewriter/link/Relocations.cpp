// SPDX-License-Identifier: BSD-3-Clause
//
// See Relocations.h. The reader has checked that each place is 8 bytes of the file.
#include "rewriter/link/Relocations.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Endian.h"

using namespace llvm;

namespace osv::link {

void applyRelocations(Context &ctx) {
  if (ctx.image.kind != elf::Kind::GoPie)
    return;
  std::vector<elf::RelativeReloc> relocs = ctx.image.dynamic->relatives;
  llvm::sort(relocs,
             [](const auto &a, const auto &b) { return std::pair(a.place, a.addend) < std::pair(b.place, b.addend); });
  for (const elf::RelativeReloc &reloc : relocs) {
    Edit edit{reloc.place, {}, {}};
    edit.bytes.resize(8);
    support::endian::write64le(edit.bytes.data(), reloc.addend + ctx.image.bias);
    if (!ctx.edits.empty() && ctx.edits.back().addr == reloc.place)
      continue; // DT_RELA and DT_JMPREL may both count it
    ctx.edits.push_back(std::move(edit));
  }
}

} // namespace osv::link

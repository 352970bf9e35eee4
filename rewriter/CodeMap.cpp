// SPDX-License-Identifier: BSD-3-Clause
//
// Look-ups in the map of the program's code; see CodeMap.h.
#include "rewriter/CodeMap.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/bit.h"

using namespace llvm;

namespace osv {

std::optional<VAddr> CodeMap::previousInstruction(VAddr addr, bool wide) const {
  const Region *region = regionAt(addr);
  if (!region && addr.raw())
    region = regionAt(addr - 1); // the end of the region
  if (!region)
    return std::nullopt;
  std::optional<VAddr> found;
  for (unsigned back = 1; back <= 15 && back <= addr - region->range.begin; back++) {
    VAddr start = addr - back;
    if (!(wide ? isPossibleStart(start) : isInstructionStart(start)) || shapeAt(start).length != back)
      continue;
    if (found)
      return std::nullopt;
    found = start;
  }
  return found;
}

std::optional<VAddr> CodeMap::nextStart(VAddr addr, bool wide) const {
  for (const Region &region : regions) {
    if (addr >= region.range.end)
      continue;
    uint64_t at = addr > region.range.begin ? addr - region.range.begin : 0;
    for (uint64_t word = at / 64; word < region.proven.size(); word++) {
      uint64_t bits = region.proven[word] | (wide ? region.possible[word] : 0);
      if (word == at / 64)
        bits &= ~uint64_t(0) << (at % 64);
      if (bits)
        return region.range.begin + word * 64 + countr_zero(bits);
    }
  }
  return std::nullopt;
}

std::vector<VAddr> CodeMap::instructionsIn(AddrRange range, bool wide) const {
  std::vector<VAddr> all;
  for (std::optional<VAddr> at = nextStart(range.begin, wide); at && *at < range.end; at = nextStart(*at + 1, wide))
    all.push_back(*at);
  return all;
}

const Function *CodeMap::functionAt(VAddr addr) const {
  auto next = partition_point(functions, [&](const Function &f) { return f.range.begin <= addr; });
  // A function inside another one (an assembler entry point) hides the outer; look back a little for that.
  for (unsigned patience = 8; next != functions.begin() && patience; patience--)
    if ((--next)->range.contains(addr))
      return &*next;
  return nullptr;
}

std::vector<VAddr> CodeMap::callersOf(VAddr target) const {
  std::vector<VAddr> sites;
  if (!regionAt(target))
    return sites;
  uint64_t wanted = target - callBase();
  for (auto call = llvm::lower_bound(calls, wanted << 32); call != calls.end() && *call >> 32 == wanted; ++call)
    sites.push_back(callBase() + uint32_t(*call));
  return sites;
}

std::string CodeMap::functionName(VAddr addr) const {
  const Function *function = functionAt(addr);
  if (!function)
    return "";
  return function->name.empty() ? hex(function->range.begin) : function->name.str();
}

std::string CodeMap::describe(const elf::Image &image, VAddr addr) const {
  std::string text;
  if (const Function *function = functionAt(addr)) {
    text = function->name.empty() ? "the function at " + hex(function->range.begin) : "'" + function->name.str() + "'";
    if (addr != function->range.begin)
      text += "+" + hex(addr - function->range.begin);
  }
  if (const elf::Section *section = image.sectionAt(addr))
    text += ((text.empty() ? "in " : " in ") + section->name).str();
  return text;
}

} // namespace osv

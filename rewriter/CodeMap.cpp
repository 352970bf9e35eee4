// SPDX-License-Identifier: BSD-3-Clause
//
// Look-ups in the map of the program's code; see CodeMap.h.
#include "rewriter/CodeMap.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/bit.h"
#include "llvm/Demangle/Demangle.h"

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

bool CodeMap::isInsideInstruction(VAddr addr) const {
  const Region *region = regionAt(addr);
  for (uint64_t back = 0; region && back < 15 && back <= addr - region->range.begin; back++)
    if (isPossibleStart(addr - back) && shapeAt(addr - back).length > back)
      return true;
  return false;
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

/// The text of a mangled name can be exponentially longer than the name: each reference back to an earlier part may
/// double it, each expansion of a parameter pack may repeat it once for each argument. A name from a compiler stays far
/// below this bound, which keeps the text of a crafted one in the megabytes.
static bool isSafeToDemangle(StringRef name) {
  constexpr unsigned kMostDoublings = 16, kMostLength = 1024;
  if (name.size() > kMostLength)
    return false;
  unsigned doublings = unsigned(name.count("Dp") + name.count("sp")) * 8;
  for (size_t i = 0; i + 1 < name.size(); i++)
    if (name[i] == 'S' || name[i] == 'T' || (name[i] == 'B' && name.starts_with("_R")))
      doublings += name.drop_front(i + 1)
                       .ltrim("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
                       .starts_with("_");
  return doublings <= kMostDoublings;
}

std::string displayName(StringRef name) {
  if (!(name.starts_with("_Z") || name.starts_with("_R")) || !isSafeToDemangle(name))
    return name.str();
  std::string text = demangle(name);
  // rustc's older scheme is C++'s with a hash at the end: "core::fmt::write::h0123456789abcdef".
  StringRef view = text;
  if (size_t at = view.rfind("::h"); at != StringRef::npos && view.size() - at == 19 &&
                                     all_of(view.drop_front(at + 3), [](char c) { return isHexDigit(c); }))
    text.resize(at);
  return text;
}

std::string CodeMap::functionName(VAddr addr) const {
  const Function *function = functionAt(addr);
  if (!function)
    return "";
  return function->name.empty() ? hex(function->range.begin) : displayName(function->name);
}

std::string CodeMap::describe(const elf::Image &image, VAddr addr) const {
  std::string text;
  if (const Function *function = functionAt(addr)) {
    text = function->name.empty() ? "the function at " + hex(function->range.begin)
                                  : "'" + displayName(function->name) + "'";
    if (addr != function->range.begin)
      text += "+" + hex(addr - function->range.begin);
  }
  if (const elf::Section *section = image.sectionAt(addr))
    text += ((text.empty() ? "in " : " in ") + section->name).str();
  return text;
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// A hole begins where a walk ended and nothing proven begins, and reaches to the next proven start: an instruction that
// falls through leads to another one. So nothing has to be decoded a second time but what is around the holes.
#include "rewriter/analysis/Coverage.h"
#include "rewriter/analysis/Parallel.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/bit.h"
#include "llvm/BinaryFormat/ELF.h"

using namespace llvm;

namespace osv::analysis {

unsigned paddingLength(ArrayRef<uint8_t> bytes, VAddr addr) {
  if (bytes[0] == 0 || bytes[0] == 0xcc || bytes[0] == 0x90)
    return 1;
  // nopw and friends, with any number of 66 and a segment prefix
  size_t at = 0;
  while (at < bytes.size() && (bytes[at] == 0x66 || bytes[at] == 0x2e))
    at++;
  bool isNop =
      at < bytes.size() && (bytes[at] == 0x90 || (at + 1 < bytes.size() && bytes[at] == 0x0f && bytes[at + 1] == 0x1f));
  x64::Shape shape = x64::scan(bytes, addr);
  return isNop && shape.flow != x64::Flow::Invalid ? shape.length : 0;
}

std::vector<AddrRange> codeRanges(const elf::Image &image, const CodeMap &map) {
  std::vector<AddrRange> ranges, segments;
  for (const CodeMap::Region &region : map.regions)
    segments.push_back(region.range);
  for (const elf::Section &section : image.sections)
    if ((section.flags & ELF::SHF_EXECINSTR) && (section.flags & ELF::SHF_ALLOC) && section.size &&
        section.type != ELF::SHT_NOBITS && image.bytesAt(section.addr, section.size).size())
      ranges.push_back(section.range());
  llvm::sort(ranges);
  for (size_t i = 1; i < ranges.size(); i++)
    if (ranges[i].begin < ranges[i - 1].end)
      return segments;
  erase_if(ranges, [&](AddrRange r) { return !map.regionAt(r.begin) || !map.regionAt(r.end - 1); });
  // Headers that do not even know the first instruction are not to be believed.
  bool areTrue = any_of(ranges, [&](AddrRange r) { return r.contains(image.entry); });
  return areTrue ? ranges : segments;
}

namespace {

/// Where the proven instructions that cover `at`, or end there, have all ended. More than one does when code jumps into
/// the middle of an instruction.
VAddr behindInstructions(const CodeMap::Region &region, VAddr at) {
  uint64_t offset = at - region.range.begin;
  VAddr end = at;
  for (uint64_t start = offset - std::min<uint64_t>(14, offset); start < offset; start++)
    if (region.proven.test(start))
      end = std::max(end, region.range.begin + start +
                              x64::scan(region.bytes.drop_front(start), region.range.begin + start).length);
  return end;
}

uint64_t countStarts(const CodeMap::Region &region, AddrRange range) {
  uint64_t count = 0, at = range.begin - region.range.begin, end = range.end - region.range.begin;
  for (; at < end && at % 64; at++)
    count += region.proven.test(at);
  for (; at + 64 <= end; at += 64)
    count += popcount(region.proven[at / 64]);
  for (; at < end; at++)
    count += region.proven.test(at);
  return count;
}

/// Counts the padding at both ends of a hole; what remains is really unproven.
AddrRange trimPadding(const CodeMap &map, AddrRange hole) {
  VAddr at = hole.begin;
  while (at < hole.end) {
    unsigned length = paddingLength(map.bytesFrom(at).take_front(hole.end - at), at);
    if (length == 0)
      break;
    at += length;
  }
  VAddr last = hole.end;
  auto isFiller = [](uint8_t byte) { return byte == 0 || byte == 0xcc || byte == 0x90; };
  while (last > at && isFiller(map.bytesFrom(last - 1)[0]))
    last = last - 1;
  return {at, last};
}

} // namespace

void measureCoverage(const elf::Image &image, CodeMap &map, std::vector<VAddr> &ends) {
  erase_if(ends, [&](VAddr end) { return map.isInstructionStart(end); });
  sortOnThreads(ends);
  ends.erase(llvm::unique(ends), ends.end());
  map.coverage = {};
  map.unproven.clear();
  for (AddrRange range : codeRanges(image, map)) {
    const CodeMap::Region &region = *map.regionAt(range.begin);
    std::vector<VAddr> begins{range.begin};
    begins.insert(begins.end(), llvm::upper_bound(ends, range.begin), llvm::lower_bound(ends, range.end));
    std::vector<AddrRange> holes(begins.size()), rests(begins.size());
    forPieces(threadsFor(begins.size(), 1 << 14), begins.size(), 1 << 10, [&](unsigned, size_t first, size_t last) {
      for (size_t i = first; i < last; i++) {
        VAddr begin = behindInstructions(region, begins[i]);
        VAddr end = std::min(map.nextStart(begin).value_or(range.end), range.end);
        if (begin >= end)
          continue;
        holes[i] = {begin, end};
        rests[i] = trimPadding(map, holes[i]);
      }
    });
    map.coverage.executable += range.size();
    map.coverage.proven += range.size();
    map.coverage.instructions += countStarts(region, range);
    VAddr last = range.begin;
    for (size_t i = 0; i < holes.size(); i++) {
      if (holes[i].begin < last || holes[i].empty()) // of an instruction inside another one
        continue;
      last = holes[i].end;
      map.coverage.proven -= holes[i].size();
      map.coverage.padding += holes[i].size() - rests[i].size();
      if (!rests[i].empty())
        map.unproven.push_back(rests[i]);
    }
  }
}

} // namespace osv::analysis

// SPDX-License-Identifier: BSD-3-Clause
//
// One pass over the proven starts, in pieces, on all cores. Decoding everything a second time would double the time of
// finding code; but an instruction that falls through reaches up to the next start, so that only those that may end a
// block have to be looked at.
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

struct Piece {
  Coverage coverage;
  std::vector<AddrRange> holes;
};

/// False when the instruction that begins with these bytes surely falls through: its length is the distance to the next
/// start. True for returns, jumps, calls (which may not come back), ud2, hlt, and for prefixes that may hide one.
bool mayEndBlock(const uint8_t *bytes) {
  switch (bytes[0]) {
  case 0x0f:
    return bytes[1] == 0x0b || bytes[1] == 0xb9 || bytes[1] == 0xff || bytes[1] == 0x07 || bytes[1] == 0x35;
  case 0xc2:
  case 0xc3:
  case 0xca:
  case 0xcb:
  case 0xcf:
  case 0xe8:
  case 0xe9:
  case 0xeb:
  case 0xf4:
  case 0xff:
    return true;
  case 0x26:
  case 0x2e:
  case 0x36:
  case 0x3e:
  case 0x64:
  case 0x65:
  case 0x66:
  case 0x67:
  case 0xf0:
  case 0xf2:
  case 0xf3:
    return true;
  default:
    return bytes[0] >= 0x40 && bytes[0] < 0x50 &&
           (bytes[1] == 0xff || bytes[1] == 0x0f || bytes[1] == 0xe8 || bytes[1] == 0xe9 || bytes[1] == 0xc3 ||
            bytes[1] == 0xcf || bytes[1] == 0xcb || bytes[1] == 0xca || bytes[1] == 0xeb || bytes[1] == 0xc2 ||
            bytes[1] == 0xf4);
  }
}

class Meter {
public:
  Meter(const CodeMap::Region &region, AddrRange range) : region(region), range(range) {}

  /// Pieces meet at fixed places; an instruction across a border is counted where it begins.
  Piece measure(AddrRange part) {
    Piece piece;
    VAddr covered = part.begin;
    uint64_t base = region.range.begin.raw(), begin = part.begin.raw() - base, end = part.end.raw() - base;
    for (uint64_t back = begin - std::min<uint64_t>(14, part.begin - range.begin); back < begin; back++)
      if (isStart(back))
        covered = std::max(covered, VAddr(base + back + scanLength(back)));
    auto hole = [&](VAddr to) {
      if (covered < to)
        piece.holes.push_back({covered, to});
    };
    for (uint64_t at = next(begin, end); at < end;) {
      uint64_t following = next(at + 1, region.bytes.size());
      uint64_t distance = following - at;
      bool isPlain = distance <= 15 && at + 1 < region.bytes.size() && !mayEndBlock(&region.bytes[at]);
      uint64_t length = isPlain ? distance : scanLength(at);
      VAddr addr(base + at);
      hole(addr);
      piece.coverage.instructions++;
      VAddr from = std::max(covered, addr);
      covered = std::max(covered, std::min(addr + length, range.end));
      piece.coverage.proven += covered - from;
      at = following;
    }
    hole(part.end);
    return piece;
  }

private:
  bool isStart(uint64_t at) const { return region.proven.test(at); }
  unsigned scanLength(uint64_t at) const {
    return x64::scan(region.bytes.drop_front(at), region.range.begin + at).length;
  }
  /// The next start at or after `at`; `end` when there is none before.
  uint64_t next(uint64_t at, uint64_t end) const {
    while (at < end) {
      if (uint64_t bits = region.proven[at / 64] >> (at % 64))
        return std::min(end, at + countr_zero(bits));
      at = (at / 64 + 1) * 64;
    }
    return end;
  }

  const CodeMap::Region &region;
  AddrRange range;
};

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

void measureCoverage(const elf::Image &image, CodeMap &map) {
  map.coverage = {};
  map.unproven.clear();
  std::vector<AddrRange> holes;
  for (AddrRange range : codeRanges(image, map)) {
    constexpr uint64_t kPiece = 1 << 18;
    map.coverage.executable += range.size();
    Meter meter(*map.regionAt(range.begin), range);
    std::vector<Piece> pieces((range.size() + kPiece - 1) / kPiece);
    forPieces(threadsFor(range.size(), 1 << 20), pieces.size(), 1, [&](unsigned, size_t index, size_t) {
      VAddr begin = range.begin + index * kPiece;
      pieces[index] = meter.measure({begin, std::min(range.end, begin + kPiece)});
    });
    for (Piece &piece : pieces) {
      map.coverage.proven += piece.coverage.proven;
      map.coverage.instructions += piece.coverage.instructions;
      for (AddrRange hole : piece.holes) {
        if (!holes.empty() && holes.back().end == hole.begin)
          holes.back().end = hole.end;
        else
          holes.push_back(hole);
      }
    }
  }
  for (AddrRange hole : holes) {
    AddrRange rest = trimPadding(map, hole);
    map.coverage.padding += hole.size() - rest.size();
    if (!rest.empty())
      map.unproven.push_back(rest);
  }
}

} // namespace osv::analysis

// SPDX-License-Identifier: BSD-3-Clause
//
// Cuts what is proven in an island into *chunks*. A chunk begins where something is called, where a pointer leads that
// proves a function (and another ends), or behind an unproven hole; it ends where the next begins, at a hole, or with
// the island. Those behind a hole are no functions: what they are part of is not known. The others become functions.
//
// What is asked of a function is where a jump may go that no analysis sees (CodeMap::mayBeHiddenTarget). Such a jump is
// an indirect one, and compilers let it stay within its function: it is the `goto *` or `switch` of the source. So
// its targets are in the same chunk or, if the cuts here are not the source's, in one that is *joined* to it: control
// goes from one to the other by a direct jump, through a jump table, or by falling through, or one takes an address in
// the other (the base of a table of distances), in either direction. That undoes any cut within a function, and takes
// in its cold part, which compilers put elsewhere. When one has an indirect jump that is not understood, all that are
// joined to it, and so on, are marked. What is joined too much (by tail calls) costs a few sites, never correctness.
//
// An FDE says no more than that: its range is one function's, and hidden jumps are looked for in it. What it adds, that
// landing pads are known, is not missed here, since without an FDE there are none.
#include "rewriter/analysis/Islands.h"
#include "rewriter/analysis/Coverage.h"
#include "llvm/ADT/STLExtras.h"

using namespace llvm;

namespace osv::analysis {

using x64::Flow;

namespace {

/// Between functions that a compiler aligns there are up to 15 bytes of padding.
constexpr uint64_t kLeastSize = 16;

struct Branch {
  VAddr from, to;
  bool isCall;
};

struct Chunk {
  AddrRange range;
  bool isFunction, isOpen = false;
};

class Chunks {
public:
  Chunks(const CodeMap &map, ArrayRef<AddrRange> islands, ArrayRef<AddrRange> holes, ArrayRef<VAddr> begins);
  void join(ArrayRef<Branch> branches);
  void markOpen(ArrayRef<VAddr> jumps);
  std::vector<Function> functions() const;

private:
  void cut(AddrRange range, bool isFunction);
  std::optional<uint32_t> indexOf(VAddr addr) const {
    auto next = partition_point(chunks, [&](const Chunk &c) { return c.range.begin <= addr; });
    if (next == chunks.begin() || !std::prev(next)->range.contains(addr))
      return std::nullopt;
    return std::prev(next) - chunks.begin();
  }
  void join(uint32_t a, uint32_t b) {
    if (a != b)
      joined.insert(joined.end(), {{a, b}, {b, a}});
  }
  void join(VAddr from, VAddr to) {
    if (std::optional<uint32_t> a = indexOf(from), b = indexOf(to); a && b)
      join(*a, *b);
  }

  const CodeMap &map;
  std::vector<Chunk> chunks;                         ///< ascending
  std::vector<std::pair<uint32_t, uint32_t>> joined; ///< indices of chunks, each pair both ways
};

/// Whether what is before `begin` ends there, as far as one can see. A pointer that nothing else supports may be a
/// number.
bool isBehindEnd(const CodeMap &map, VAddr begin) {
  const CodeMap::Region *region = map.regionAt(begin);
  if (begin == region->range.begin)
    return true;
  if (std::optional<VAddr> previous = map.previousInstruction(begin)) {
    Flow flow = map.shapeAt(*previous).flow;
    bool isPadding = paddingLength(map.bytesFrom(*previous).take_front(begin - *previous), *previous) != 0;
    return isPadding || (flow != Flow::Next && flow != Flow::Jcc);
  }
  uint8_t before = map.bytesFrom(begin - 1)[0];
  return before == 0xc3 || before == 0x90 || before == 0xcc || before == 0x00;
}

/// Whether a hole is what a compiler put behind a `hlt` or `ud2`, from there straight to the hole's end; what it
/// branches to is then marked. (musl's a_crash() is a `hlt` that its callers do not know to be the end.)
bool isBehindStop(CodeMap &map, AddrRange hole) {
  std::optional<VAddr> stop = map.previousInstruction(hole.begin);
  if (!stop || map.shapeAt(*stop).flow != Flow::Stop)
    return false;
  SmallVector<VAddr, 4> targets;
  VAddr at = hole.begin;
  while (at < hole.end) {
    x64::Shape shape = map.shapeAt(at);
    if (shape.flow == Flow::Invalid || shape.flow == Flow::IndirectJmp)
      return false;
    at += shape.length;
    bool isBranch = shape.flow == Flow::Jcc || shape.flow == Flow::Jmp || shape.flow == Flow::Call;
    if (isBranch)
      targets.push_back(VAddr(shape.value));
    bool isEnd = shape.flow == Flow::Jmp || shape.flow == Flow::Return || shape.flow == Flow::Stop;
    if (isEnd)
      break;
  }
  // The hole's end lacks what looks like padding: zeros of a distance.
  std::optional<VAddr> next = map.nextStart(hole.begin);
  if (at < hole.end || (next && *next < at))
    return false;
  for (VAddr target : targets)
    map.markTarget(target);
  return true;
}

/// All lists ascending.
Chunks::Chunks(const CodeMap &map, ArrayRef<AddrRange> islands, ArrayRef<AddrRange> holes, ArrayRef<VAddr> begins)
    : map(map) {
  auto hole = holes.begin();
  auto begin = begins.begin();
  for (AddrRange island : islands)
    for (VAddr at = island.begin; at < island.end;) {
      while (hole != holes.end() && hole->end <= at)
        ++hole;
      if (hole != holes.end() && hole->begin <= at) {
        at = hole->end;
        continue;
      }
      while (begin != begins.end() && *begin < at)
        ++begin;
      bool isFunction = begin != begins.end() && *begin == at;
      VAddr end = island.end;
      if (hole != holes.end())
        end = std::min(end, hole->begin);
      if (auto next = isFunction ? std::next(begin) : begin; next != begins.end())
        end = std::min(end, *next);
      cut({at, end}, isFunction);
      at = end;
    }
}

/// Without the padding at its ends.
void Chunks::cut(AddrRange range, bool isFunction) {
  std::optional<VAddr> first = map.nextStart(range.begin);
  if (!first || *first >= range.end)
    return;
  VAddr last = range.end - 1;
  while (!map.isInstructionStart(last))
    last = last - 1;
  chunks.push_back({{*first, std::min(last + map.shapeAt(last).length, range.end)}, isFunction});
}

void Chunks::join(ArrayRef<Branch> branches) {
  for (const Branch &branch : branches)
    if (!branch.isCall)
      join(branch.from, branch.to);
  for (const JumpTable &table : map.jumpTables)
    for (VAddr target : table.targets)
      join(table.jump, target);
  for (size_t i = 0; i + 1 < chunks.size(); i++)
    if (chunks[i].range.end == chunks[i + 1].range.begin)
      if (std::optional<VAddr> last = map.previousInstruction(chunks[i].range.end)) {
        Flow flow = map.shapeAt(*last).flow;
        bool fallsThrough = flow == Flow::Next || flow == Flow::Jcc || flow == Flow::Call || flow == Flow::IndirectCall;
        if (fallsThrough)
          join(i, i + 1);
      }
}

void Chunks::markOpen(ArrayRef<VAddr> jumps) {
  std::vector<uint32_t> work;
  auto mark = [&](uint32_t index) {
    if (!std::exchange(chunks[index].isOpen, true))
      work.push_back(index);
  };
  for (VAddr jump : jumps)
    if (std::optional<uint32_t> index = indexOf(jump))
      mark(*index);
  if (work.empty())
    return;
  for (const Chunk &chunk : chunks)
    for (VAddr at : map.instructionsIn(chunk.range))
      if (x64::Shape shape = map.shapeAt(at); shape.traits & (x64::kRef | x64::kImmRef))
        join(at, VAddr(shape.value));
  llvm::sort(joined);
  while (!work.empty()) {
    uint32_t index = work.back();
    work.pop_back();
    auto other = partition_point(joined, [&](const auto &pair) { return pair.first < index; });
    for (; other != joined.end() && other->first == index; ++other)
      mark(other->second);
  }
}

std::vector<Function> Chunks::functions() const {
  std::vector<Function> found;
  for (const Chunk &chunk : chunks)
    if (chunk.isFunction)
      found.push_back({chunk.range, {}, FunctionSource::Reference, chunk.isOpen});
  return found;
}

} // namespace

Islands::Islands(const elf::Image &image, const CodeMap &map) {
  if (!map.hasCalls())
    return; // too large for `calls`, without which nothing can be inferred
  base = map.callBase();
  VAddr covered; // by the functions so far
  auto function = map.functions.begin();
  for (AddrRange range : codeRanges(image, map))
    for (;;) {
      bool isLast = function == map.functions.end() || function->range.begin >= range.end;
      AddrRange gap{std::max(range.begin, covered), isLast ? range.end : function->range.begin};
      if (gap.begin < gap.end && gap.size() >= kLeastSize)
        ranges.push_back(gap);
      if (isLast)
        break;
      covered = std::max(covered, (function++)->range.end);
    }
  if (ranges.empty())
    return;
  pages = BitMap((map.regions.back().range.end - base) / kPage + 1);
  for (AddrRange range : ranges)
    for (uint64_t page = (range.begin - base) / kPage; page <= (range.end - 1 - base) / kPage; page++)
      pages.set(page);
}

bool Islands::contains(VAddr addr) const {
  auto next = partition_point(ranges, [&](AddrRange range) { return range.begin <= addr; });
  return next != ranges.begin() && std::prev(next)->contains(addr);
}

void Islands::inferFunctions(CodeMap &map, std::vector<VAddr> begins, ArrayRef<VAddr> pointers,
                             ArrayRef<VAddr> openJumps) const {
  if (ranges.empty())
    return;
  std::vector<Branch> branches;
  for (uint64_t call : map.calls) {
    VAddr from = map.callBase() + uint32_t(call), to = map.callBase() + (call >> 32);
    if (!mayContain(to))
      continue;
    bool isCall = map.shapeAt(from).flow == Flow::Call;
    branches.push_back({from, to, isCall});
    if (isCall)
      begins.push_back(to);
  }
  copy_if(pointers, std::back_inserter(begins), [&](VAddr pointer) { return isBehindEnd(map, pointer); });
  erase_if(begins, [&](VAddr begin) { return !contains(begin) || !map.isInstructionStart(begin); });
  llvm::sort(begins);
  begins.erase(llvm::unique(begins), begins.end());
  std::vector<AddrRange> holes;
  copy_if(map.unproven, std::back_inserter(holes),
          [&](AddrRange hole) { return !contains(hole.begin) || !isBehindStop(map, hole); });
  Chunks chunks(map, ranges, holes, begins);
  chunks.join(branches);
  chunks.markOpen(openJumps);
  std::vector<Function> inferred = chunks.functions(), all(map.functions.size() + inferred.size());
  std::merge(map.functions.begin(), map.functions.end(), inferred.begin(), inferred.end(), all.begin(),
             [](const Function &a, const Function &b) { return a.range.begin < b.range.begin; });
  map.functions = std::move(all);
}

} // namespace osv::analysis

// SPDX-License-Identifier: BSD-3-Clause
//
// Finds the program's code: collects the roots, walks from them, and between rounds of walking resolves what takes more
// than one instruction to see (jump tables, pointers that code takes). Then the same with the wide roots, in what is
// left over. docs/analysis.md tells how far that can be trusted.
//
// The result depends on the file only: each round works on the closure of the rounds before, and sorts what it found.
#include "rewriter/analysis/Coverage.h"
#include "rewriter/analysis/JumpTables.h"
#include "rewriter/analysis/Parallel.h"
#include "rewriter/analysis/Roots.h"
#include "rewriter/analysis/Stages.h"
#include "rewriter/analysis/Walker.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Support/Endian.h"

using namespace llvm;

namespace osv::analysis {

namespace {

/// Functions of the common libraries that do not return. Without a symbol, the end of the caller's FDE does the same.
const StringSet<> &noReturnNames() {
  static const StringSet<> names{"abort",
                                 "exit",
                                 "_exit",
                                 "_Exit",
                                 "__stack_chk_fail",
                                 "__stack_chk_fail_local",
                                 "__assert_fail",
                                 "__assert",
                                 "__fortify_fail",
                                 "__chk_fail",
                                 "__libc_fatal",
                                 "__libc_start_main",
                                 "longjmp",
                                 "siglongjmp",
                                 "__longjmp_chk",
                                 "_Unwind_Resume",
                                 "__cxa_throw",
                                 "__cxa_rethrow",
                                 "__cxa_bad_cast",
                                 "__cxa_bad_typeid",
                                 "_ZSt9terminatev",
                                 "__cxa_call_unexpected",
                                 "rust_begin_unwind",
                                 "runtime.throw",
                                 "runtime.fatal",
                                 "runtime.gopanic",
                                 "runtime.panicIndex",
                                 "runtime.goPanicIndex",
                                 "runtime.panicwrap",
                                 "runtime.panicshift",
                                 "runtime.panicdivide",
                                 "runtime.goexit0",
                                 "runtime.fatalthrow",
                                 "runtime.panicmem"};
  return names;
}

class Finder {
public:
  explicit Finder(Context &context)
      : image(context.image), map(context.code), walker(image, map), code(codeRanges(image, map)) {}
  void run();

private:
  void collectFunctions();
  void addCalls(std::vector<uint64_t> calls) {
    if (map.calls.empty())
      map.calls = std::move(calls);
    else
      map.calls.insert(map.calls.end(), calls.begin(), calls.end());
  }
  void proveFrom(std::vector<VAddr> roots);
  struct Table {
    TableCandidate candidate;
    unsigned read; ///< entries believed
    bool done;
    std::vector<VAddr> targets;
  };
  static constexpr size_t kLookAhead = 32; ///< instructions behind a table's entry that must look like code
  void findTables(ArrayRef<VAddr> jumps);
  void readTables(unsigned entries, std::vector<VAddr> &work);
  std::vector<VAddr> readTable(Table &table, unsigned entries) const;
  void sweepFunctions();
  bool sweep(AddrRange range);
  bool isPlausibleBlock(VAddr target) const;
  void retryJumps();
  std::vector<VAddr> finishTables();
  void judgePointers(std::vector<VAddr> pointers, std::vector<VAddr> &roots);
  void scanData(std::vector<VAddr> &work);
  bool beginsLikeFunction(VAddr to) const;
  void findPossible();
  bool tryPossible(VAddr at);
  void drainPossible();

  /// Whether a pointer to `addr` can be one to code.
  bool mayBeCode(VAddr addr) const {
    return any_of(code, [&](AddrRange range) { return range.contains(addr); });
  }

  bool mayBeInIsland(VAddr addr) const { return map.regionAt(addr) && walker.islands.mayContain(addr); }

  const elf::Image &image;
  CodeMap &map;
  Walker walker;
  std::vector<AddrRange> code;
  Roots roots;
  std::vector<VAddr> possiblePointers;
  std::vector<VAddr> ends;                         ///< Walker::Found::ends of all walks
  std::vector<VAddr> islandBegins, islandPointers; ///< strict roots and what pointers proved, in islands and near
  std::vector<Table> tables;
  std::vector<VAddr> tableStarts; ///< of certain tables, ascending
  DenseSet<uint64_t> judged;
  DenseMap<uint64_t, bool> sweeps; ///< functions that were swept, and whether that came out even
  std::vector<BitMap> sweepStarts; ///< a bit for each byte of each region
  enum class JumpState : uint8_t { New, Pointer, NoTable, Open, Resolved };
  DenseMap<uint64_t, JumpState> jumpStates;
};

/// One function for each address, the best source first; ends that are not known reach to the next function.
void Finder::collectFunctions() {
  addElfTables(image, roots);
  addGoTable(image, roots);
  addEhFrame(image, roots);
  llvm::sort(roots.functions, [](const Function &a, const Function &b) {
    return std::tie(a.range.begin, a.source, a.name, a.range.end) <
           std::tie(b.range.begin, b.source, b.name, b.range.end);
  });
  for (Function &function : roots.functions) {
    roots.strict.push_back(function.range.begin);
    if (!map.functions.empty() && map.functions.back().range.begin == function.range.begin) {
      Function &kept = map.functions.back();
      if (kept.range.empty())
        kept.range = function.range;
      if (kept.name.empty())
        kept.name = function.name;
      // Of several names for an address, a global's plain one reads best.
      bool isNicer = function.source == kept.source && !function.name.empty() && kept.name.starts_with("_") &&
                     !function.name.starts_with("_");
      if (isNicer)
        kept.name = function.name;
      continue;
    }
    map.functions.push_back(function);
  }
  roots.functions = {};
  std::vector<VAddr> begins, ends;
  for (size_t i = 0; i < map.functions.size(); i++) {
    Function &function = map.functions[i];
    if (noReturnNames().contains(function.name))
      walker.noReturn.insert(function.range.begin.raw());
    const CodeMap::Region *region = map.regionAt(function.range.begin);
    if (!region)
      continue; // executable, but zero-filled: nothing to see there
    VAddr next = i + 1 < map.functions.size() ? map.functions[i + 1].range.begin : region->range.end;
    if (function.range.empty())
      function.range.end = std::min(next, region->range.end);
    begins.push_back(function.range.begin);
    ends.push_back(function.range.end);
  }
  walker.functionBegins.assign(std::move(begins));
  walker.functionEnds.assign(std::move(ends));
  erase_if(map.functions, [&](const Function &f) { return !map.regionAt(f.range.begin); });
  walker.islands = Islands(image, map);
  copy_if(roots.strict, std::back_inserter(islandBegins), [&](VAddr root) { return mayBeInIsland(root); });
}

/// Walks from `work` and from what that leads to, until nothing new comes.
void Finder::proveFrom(std::vector<VAddr> work) {
  constexpr unsigned kFirst = 4; // clang makes no table of fewer entries
  bool retried = false;
  for (unsigned entries = kFirst;;) {
    if (!work.empty()) {
      Walker::Found found = walker.walk(work);
      map.remarkable.insert(map.remarkable.end(), found.remarkable.begin(), found.remarkable.end());
      addCalls(std::move(found.calls));
      ends.insert(ends.end(), found.ends.begin(), found.ends.end());
      map.coverage.instructions = 1; // from now on rounds are small
      work.clear();
      findTables(found.indirectJumps);
      judgePointers(std::move(found.taken), work);
    }
    readTables(entries, work);
    if (!work.empty())
      continue;
    if (entries < kMostEntries) {
      entries *= 2;
    } else if (!retried) {
      retried = true;
      retryJumps();
      entries = kFirst;
    } else {
      break;
    }
  }
}

/// An indirect jump that has the form of a table jump, but whose table was not found, may go anywhere in its function.
/// Gives the jumps in islands that may; there, where assemblers wrote more of the code, any other is one that does not
/// go where a pointer says.
std::vector<VAddr> Finder::finishTables() {
  for (const Table &table : tables) {
    if (table.read == 0)
      continue;
    const TableCandidate &c = table.candidate;
    jumpStates[c.jump.raw()] = JumpState::Resolved;
    map.jumpTables.push_back({c.jump, c.table, c.base, c.entrySize, table.targets});
  }
  llvm::sort(map.jumpTables, [](const JumpTable &a, const JumpTable &b) {
    return std::tie(a.jump, a.table, a.base) < std::tie(b.jump, b.table, b.base);
  });
  std::vector<VAddr> inIslands;
  for (const auto &[jump, state] : jumpStates) {
    if (state != JumpState::Open && state != JumpState::NoTable)
      continue;
    if (const Function *function = map.functionAt(VAddr(jump)))
      map.functions[function - map.functions.data()].hasHiddenJump |= state == JumpState::Open;
    else
      inIslands.push_back(VAddr(jump));
  }
  return inIslands;
}

/// Looks again at jumps whose tables were not found when less of their function was known.
void Finder::retryJumps() {
  DenseSet<uint64_t> resolved;
  for (const Table &table : tables)
    if (table.read)
      resolved.insert(table.candidate.jump.raw());
  erase_if(tables, [](const Table &table) { return table.read == 0; });
  std::vector<VAddr> again;
  for (auto &[jump, state] : jumpStates)
    if (state == JumpState::Open && !resolved.contains(jump)) {
      state = JumpState::New;
      again.push_back(VAddr(jump));
    }
  findTables(again);
}

void Finder::findTables(ArrayRef<VAddr> jumps) {
  std::vector<VAddr> open;
  for (VAddr jump : jumps)
    if (jumpStates.try_emplace(jump.raw(), JumpState::New).first->second == JumpState::New)
      open.push_back(jump);
  llvm::sort(open);
  std::vector<IndirectJump> results(open.size());
  forPieces(threadsFor(open.size(), 256), open.size(), 64, [&](unsigned, size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++)
      results[i] = analyseIndirectJump(image, map, open[i]);
  });
  for (size_t i = 0; i < open.size(); i++) {
    jumpStates[open[i].raw()] = results[i].isTable     ? JumpState::Open
                                : results[i].isPointer ? JumpState::Pointer
                                                       : JumpState::NoTable;
    for (const TableCandidate &candidate : results[i].candidates) {
      tables.push_back({candidate, 0, false, {}});
      if (candidate.isCertain)
        tableStarts.push_back(candidate.table);
    }
  }
  llvm::sort(tableStarts);
  tableStarts.erase(llvm::unique(tableStarts), tableStarts.end());
}

/// Reads the tables with a bound, and the first `entries` of those without. The latter end where an entry makes no
/// sense or another table begins. Since that one may be known only when more code is, they grow in steps: a table that
/// were read too far would prove data, or the middle of instructions, to be code.
void Finder::readTables(unsigned entries, std::vector<VAddr> &work) {
  sweepFunctions();
  std::vector<std::vector<VAddr>> results(tables.size());
  forPieces(threadsFor(tables.size(), 512), tables.size(), 64, [&](unsigned, size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++)
      results[i] = readTable(tables[i], entries);
  });
  for (const std::vector<VAddr> &targets : results)
    for (VAddr target : targets) {
      walker.markTarget(target);
      if (!map.isInstructionStart(target))
        work.push_back(target);
    }
  llvm::sort(work);
  work.erase(llvm::unique(work), work.end());
}

/// Decodes the functions with tables from their first to their last byte. Compilers put no data among the instructions
/// of a function, so that when this comes out even, it shows where instructions begin. It proves nothing to be
/// executed, but a table's entry that points between two of them is none.
void Finder::sweepFunctions() {
  std::vector<AddrRange> ranges;
  for (const Table &table : tables) {
    if (table.done)
      continue;
    const Function *function = map.functionAt(table.candidate.jump);
    if (function && sweeps.try_emplace(function->range.begin.raw(), false).second)
      ranges.push_back(function->range);
  }
  if (ranges.empty())
    return;
  if (sweepStarts.empty())
    for (const CodeMap::Region &region : map.regions)
      sweepStarts.emplace_back(region.range.size());
  std::vector<uint8_t> isEven(ranges.size());
  forPieces(threadsFor(ranges.size(), 64), ranges.size(), 16, [&](unsigned, size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++)
      isEven[i] = sweep(ranges[i]);
  });
  for (size_t i = 0; i < ranges.size(); i++)
    sweeps[ranges[i].begin.raw()] = isEven[i];
}

bool Finder::sweep(AddrRange range) {
  const CodeMap::Region *region = map.regionAt(range.begin);
  if (!region || range.end > region->range.end)
    return false;
  BitMap &bits = sweepStarts[region - map.regions.data()];
  uint64_t base = region->range.begin.raw(), at = range.begin.raw() - base, end = range.end.raw() - base;
  while (at < end) {
    std::atomic_ref(bits[at / 64]).fetch_or(uint64_t(1) << (at % 64), std::memory_order_relaxed);
    x64::Shape shape = x64::scan(region->bytes.drop_front(at), VAddr(base + at));
    if (shape.flow == x64::Flow::Invalid)
      return false;
    at += shape.length;
  }
  return at == end;
}

bool Finder::isPlausibleBlock(VAddr target) const {
  if (const Function *function = map.functionAt(target))
    if (auto found = sweeps.find(function->range.begin.raw()); found != sweeps.end() && found->second) {
      const CodeMap::Region *region = map.regionAt(target);
      uint64_t at = target - region->range.begin;
      return sweepStarts[region - map.regions.data()].test(at);
    }
  return walker.speculate(target, /*wide=*/false, kLookAhead).has_value();
}

std::vector<VAddr> Finder::readTable(Table &table, unsigned entries) const {
  std::vector<VAddr> targets;
  TableCandidate &c = table.candidate;
  if (table.done)
    return targets;
  auto next = llvm::upper_bound(tableStarts, c.table);
  uint64_t room = next == tableStarts.end() ? kMostEntries : (*next - c.table) / c.entrySize;
  unsigned most = unsigned(std::min<uint64_t>(room, c.bound ? c.bound : entries));
  for (unsigned i = table.read; i < most; i++) {
    std::optional<VAddr> target = tableEntry(image, map, c, i);
    bool isPlausible = target && (map.isInstructionStart(*target) || isPlausibleBlock(*target));
    if (isPlausible) {
      targets.push_back(*target);
      continue;
    }
    table.done = true;
    break;
  }
  if (c.bound && targets.size() < most) {
    // The comparison was not the one that guards this jump; believe what lies in the function.
    c.bound = 0;
    table.done = false;
    return readTable(table, entries);
  }
  // Something that only may be the table must look like one.
  if (!c.isCertain && table.read == 0 && targets.size() < std::min(most, 2u)) {
    table.done = true;
    return {};
  }
  table.read += targets.size();
  table.targets.insert(table.targets.end(), targets.begin(), targets.end());
  table.done |= c.bound || most == room;
  return targets;
}

/// A pointer that proven code takes, or that a relocation makes, proves what it points to if that is not inside a known
/// function and looks like code all the way. A pointer to data among the code does not.
void Finder::judgePointers(std::vector<VAddr> pointers, std::vector<VAddr> &work) {
  erase_if(pointers, [&](VAddr pointer) { return !mayBeCode(pointer); });
  sortOnThreads(pointers);
  pointers.erase(llvm::unique(pointers), pointers.end());
  map.taken.insert(map.taken.end(), pointers.begin(), pointers.end());
  for (VAddr pointer : pointers) {
    if (map.isInstructionStart(pointer) || !judged.insert(pointer.raw()).second)
      continue;
    const Function *function = map.functionAt(pointer);
    bool isInside = function && function->range.begin != pointer;
    // An immediate can be an address by chance, as a word of data can.
    bool mayBeNumber = !function && !image.isPie();
    bool isCode = mayBeNumber ? beginsLikeFunction(pointer) : !isInside && walker.speculate(pointer, /*wide=*/false);
    if (!isCode) {
      possiblePointers.push_back(pointer);
      continue;
    }
    work.push_back(pointer);
    if (mayBeInIsland(pointer))
      islandPointers.push_back(pointer);
  }
}

/// A number in data can be an address by chance. It is one of a function when it also points right behind the end of
/// another one and what is there looks like code all the way.
bool Finder::beginsLikeFunction(VAddr to) const {
  if (map.functionAt(to) && map.functionAt(to)->range.begin != to)
    return false;
  const CodeMap::Region *region = map.regionAt(to);
  uint64_t at = to - region->range.begin;
  if (at == 0)
    return false;
  bool isBehindEnd = false;
  if (std::optional<VAddr> previous = map.previousInstruction(to)) {
    x64::Flow flow = map.shapeAt(*previous).flow;
    isBehindEnd = flow != x64::Flow::Next && flow != x64::Flow::Jcc;
  } else {
    uint8_t before = region->bytes[at - 1];
    isBehindEnd = before == 0xc3 || before == 0x90 || before == 0xcc || before == 0x00;
    if (at >= 5 &&
        (region->bytes[at - 5] == 0xe8 || region->bytes[at - 5] == 0xe9)) // a call or jump within the program
      isBehindEnd |= mayBeCode(to + int64_t(int32_t(support::endian::read32le(&region->bytes[at - 4]))));
  }
  return isBehindEnd && walker.speculate(to, /*wide=*/false).has_value();
}

/// Marks what words of data may point to.
void Finder::scanData(std::vector<VAddr> &work) {
  for (const elf::Segment &segment : image.segments) {
    if (segment.isExec() && image.segments.size() > 1)
      continue;
    size_t first = (8 - segment.vaddr.raw() % 8) % 8;
    for (size_t at = first; at + 8 <= segment.bytes.size(); at += 8) {
      VAddr to(support::endian::read64le(&segment.bytes[at]));
      if (!mayBeCode(to))
        continue;
      walker.markTarget(to);
      map.taken.push_back(to);
      if (!map.isInstructionStart(to) && judged.insert(to.raw()).second)
        (beginsLikeFunction(to) ? work : possiblePointers).push_back(to);
    }
  }
  copy_if(work, std::back_inserter(islandPointers), [&](VAddr to) { return mayBeInIsland(to); });
}

bool Finder::tryPossible(VAddr at) {
  if (map.isPossibleStart(at))
    return true;
  if (!mayBeCode(at))
    return false;
  std::optional<std::vector<VAddr>> starts = walker.speculate(at, /*wide=*/true);
  if (!starts || starts->empty())
    return false;
  Walker::Found found;
  walker.commitPossible(*starts, found);
  walker.markTarget(at);
  map.remarkable.insert(map.remarkable.end(), found.remarkable.begin(), found.remarkable.end());
  addCalls(std::move(found.calls));
  possiblePointers.insert(possiblePointers.end(), found.taken.begin(), found.taken.end());
  return true;
}

void Finder::drainPossible() {
  DenseSet<uint64_t> tried;
  while (!possiblePointers.empty()) {
    std::vector<VAddr> now;
    now.swap(possiblePointers);
    llvm::sort(now);
    for (VAddr at : now)
      if (tried.insert(at.raw()).second)
        tryPossible(at);
  }
}

/// What no strict root reaches: what pointers lead to that prove nothing, and the beginnings of what is left between
/// proven code.
void Finder::findPossible() {
  drainPossible();
  for (AddrRange hole : map.unproven) {
    for (VAddr at = hole.begin; at < hole.end;) {
      if (std::optional<VAddr> known = map.nextStart(at, /*wide=*/true); known == at) {
        at += map.shapeAt(at).length;
        continue;
      }
      if (unsigned length = paddingLength(map.bytesFrom(at).take_front(hole.end - at), at)) {
        at += length;
        continue;
      }
      // Inside a function only what is right behind known code can be one of its blocks.
      bool isFirst = at == hole.begin || (at.raw() % 16 == 0 && !map.functionAt(at));
      if (isFirst && tryPossible(at))
        continue;
      // Data: go on at the next place where a function may begin.
      VAddr next = at.alignDown(16) + 16;
      at = std::min(next, hole.end);
    }
    drainPossible();
  }
  for (AddrRange hole : map.unproven)
    for (VAddr at : map.instructionsIn(hole, /*wide=*/true))
      if (!map.isInstructionStart(at))
        map.coverage.possible += map.shapeAt(at).length;
}

void Finder::run() {
  collectFunctions();
  proveFrom(std::move(roots.strict));
  for (VAddr pointer : roots.pointers)
    walker.markTarget(pointer);
  std::vector<VAddr> work;
  judgePointers(std::move(roots.pointers), work);
  proveFrom(std::move(work));
  work.clear();
  scanData(work);
  proveFrom(std::move(work));
  measureCoverage(image, map, ends);
  std::vector<VAddr> openJumps = finishTables();
  walker.islands.inferFunctions(map, std::move(islandBegins), islandPointers, openJumps);
  findPossible();
  sortOnThreads(map.calls);
  llvm::sort(map.taken);
  map.taken.erase(llvm::unique(map.taken), map.taken.end());
  llvm::sort(map.remarkable, [](const Remarkable &a, const Remarkable &b) { return a.addr < b.addr; });
  map.remarkable.erase(llvm::unique(map.remarkable, [](const auto &a, const auto &b) { return a.addr == b.addr; }),
                       map.remarkable.end());
}

} // namespace

Error findCode(Context &context) {
  Finder(context).run();
  return Error::success();
}

} // namespace osv::analysis

// SPDX-License-Identifier: BSD-3-Clause
//
// Marking is an atomic OR of one bit: the thread that sets it goes on from there, any other one stops. A start that
// turns out to be no instruction is unmarked again; whoever comes there later finds the same.
//
// Where a walk ends: at a return, an unconditional jump (whose target goes onto the stack), an instruction that cannot
// be passed in user mode, something that is marked, and behind a call to a function that does not return. The last
// kind is not always known. But a compiler puts nothing behind such a call: when it ends the function, the function's
// end (functionEnds) stops us, and otherwise another block of the same function follows, which is code anyway.
#include "rewriter/analysis/Walker.h"
#include "rewriter/analysis/Parallel.h"
#include <atomic>
#include <condition_variable>

using namespace llvm;

namespace osv::analysis {

using x64::Flow;
using x64::Shape;

static bool setBit(BitMap &bits, uint64_t at) {
  uint64_t bit = uint64_t(1) << (at % 64);
  std::atomic_ref word(bits[at / 64]);
  // Most targets are set already: a read keeps the cache line shared.
  return !(word.load(std::memory_order_relaxed) & bit) && !(word.fetch_or(bit, std::memory_order_relaxed) & bit);
}

static void clearBit(BitMap &bits, uint64_t at) {
  std::atomic_ref(bits[at / 64]).fetch_and(~(uint64_t(1) << (at % 64)), std::memory_order_relaxed);
}

struct Walker::Worker {
  Found found;
  std::vector<VAddr> stack;
  size_t mostEnds = 1 << 14; ///< then they are pruned: most are within a function, and soon something begins there
};

void Walker::Found::append(Found &&other) {
  remarkable.insert(remarkable.end(), other.remarkable.begin(), other.remarkable.end());
  indirectJumps.insert(indirectJumps.end(), other.indirectJumps.begin(), other.indirectJumps.end());
  calls.insert(calls.end(), other.calls.begin(), other.calls.end());
  taken.insert(taken.end(), other.taken.begin(), other.taken.end());
  ends.insert(ends.end(), other.ends.begin(), other.ends.end());
}

Walker::Walker(const elf::Image &image, CodeMap &map) : image(image), map(map), isPie(image.isPie()) {
  // Each byte of a file is mapped once or twice; a crafted one could map them a thousand times.
  uint64_t most = 4 * image.buffer->getBufferSize();
  for (AddrRange range : image.executableRanges()) {
    if (range.size() > most)
      continue;
    most -= range.size();
    map.regions.push_back({range, image.bytesAt(range.begin, range.size()), BitMap(range.size()), BitMap(range.size()),
                           BitMap(range.size())});
  }
  hasCalls = map.hasCalls();
}

void Walker::markTarget(VAddr addr) {
  if (CodeMap::Region *region = regionAt(addr))
    setBit(region->targets, addr - region->range.begin);
}

void Walker::walkFrom(VAddr root, Worker &worker) {
  CodeMap::Region *region = regionAt(root);
  if (!region)
    return;
  uint64_t size = region->bytes.size();
  const uint64_t base = region->range.begin.raw();
  auto endAt = [&](uint64_t at) {
    worker.found.ends.push_back(VAddr(base + at));
    if (worker.found.ends.size() >= worker.mostEnds) {
      pruneEnds(worker.found.ends);
      worker.mostEnds = std::max(worker.mostEnds, 2 * worker.found.ends.size());
    }
  };
  for (uint64_t at = root.raw() - base; at < size;) {
    if (!setBit(region->proven, at))
      return;
    VAddr addr(base + at);
    Shape shape = x64::scan(region->bytes.drop_front(at), addr);
    if (shape.flow == Flow::Invalid) {
      clearBit(region->proven, at);
      return endAt(at);
    }
    if (shape.traits) [[unlikely]] {
      bool isRef = (shape.traits & x64::kRef) || ((shape.traits & x64::kImmRef) && !isPie);
      if (isRef && regionAt(VAddr(shape.value))) {
        markTarget(VAddr(shape.value));
        worker.found.taken.push_back(VAddr(shape.value));
      }
      if (shape.traits & ~(x64::kRef | x64::kImmRef))
        worker.found.remarkable.push_back({addr, shape.traits, true});
    }
    uint64_t next = at + shape.length;
    switch (shape.flow) {
    case Flow::Next:
    case Flow::IndirectCall:
      if (shape.flow == Flow::IndirectCall && functionEnds.contains(VAddr(base + next)))
        return endAt(next);
      break;
    case Flow::Call:
      if (VAddr target(shape.value); CodeMap::Region *to = regionAt(target)) {
        uint64_t toAt = target - to->range.begin;
        setBit(to->targets, toAt);
        noteCall(shape.flow == Flow::Call, target, addr, worker.found.calls);
        if (!to->proven.test(toAt))
          worker.stack.push_back(target);
        if (!noReturn.empty() && noReturn.contains(shape.value))
          return endAt(next);
      }
      if (functionEnds.contains(VAddr(base + next)))
        return endAt(next);
      break;
    case Flow::Jcc:
    case Flow::Jmp:
      if (VAddr target(shape.value); CodeMap::Region *to = regionAt(target)) {
        uint64_t toAt = target - to->range.begin;
        setBit(to->targets, toAt);
        noteCall(shape.flow == Flow::Call, target, addr, worker.found.calls);
        if (!to->proven.test(toAt))
          worker.stack.push_back(target);
      }
      if (shape.flow == Flow::Jmp)
        return endAt(next);
      break;
    case Flow::IndirectJmp:
      worker.found.indirectJumps.push_back(addr);
      return endAt(next);
    default:
      return endAt(next);
    }
    at = next;
  }
}

namespace {

/// What threads that have run out of work take from the others.
class SharedStack {
public:
  explicit SharedStack(unsigned threads) : threads(threads) {}

  bool isWanted() const { return hungry.load(std::memory_order_relaxed) != 0; }
  void give(std::vector<VAddr> &from) {
    std::lock_guard guard(mutex);
    size_t half = from.size() / 2;
    items.insert(items.end(), from.begin(), from.begin() + half);
    from.erase(from.begin(), from.begin() + half);
    changed.notify_all();
  }
  /// Waits for work; false when no thread has any.
  bool take(std::vector<VAddr> &to) {
    std::unique_lock lock(mutex);
    if (hungry.fetch_add(1) + 1 == threads && items.empty()) {
      done = true;
      changed.notify_all();
    }
    changed.wait(lock, [&] { return done || !items.empty(); });
    if (items.empty())
      return false;
    hungry.fetch_sub(1);
    size_t count = std::min<size_t>(items.size(), 256);
    to.insert(to.end(), items.end() - count, items.end());
    items.resize(items.size() - count);
    return true;
  }

private:
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<VAddr> items;
  std::atomic<unsigned> hungry = 0;
  const unsigned threads;
  bool done = false;
};

} // namespace

Walker::Found Walker::walk(ArrayRef<VAddr> roots) {
  constexpr size_t kGrain = 128;
  uint64_t bytes = 0;
  for (const CodeMap::Region &region : map.regions)
    bytes += region.bytes.size();
  unsigned threads = roots.size() < 64 && map.coverage.instructions ? 1 : threadsFor(bytes, 1 << 20);
  std::vector<Worker> workers(threads);
  SharedStack shared(threads);
  std::atomic<size_t> next = 0;
  onThreads(threads, [&](unsigned self) {
    Worker &worker = workers[self];
    auto drain = [&] {
      while (!worker.stack.empty()) {
        VAddr addr = worker.stack.back();
        worker.stack.pop_back();
        walkFrom(addr, worker);
        if (shared.isWanted() && worker.stack.size() >= 8)
          shared.give(worker.stack);
      }
    };
    for (size_t begin; (begin = next.fetch_add(kGrain)) < roots.size();)
      for (VAddr root : roots.slice(begin, std::min(kGrain, roots.size() - begin))) {
        markTarget(root);
        walkFrom(root, worker);
        drain();
      }
    while (shared.take(worker.stack))
      drain();
  });
  Found all = std::move(workers[0].found);
  for (unsigned i = 1; i < threads; i++)
    all.append(std::move(workers[i].found));
  return all;
}

bool Walker::isInsideInstruction(VAddr addr, bool wide) const {
  const CodeMap::Region *region = map.regionAt(addr);
  if (!region)
    return false;
  for (unsigned back = 1; back < 15 && back <= addr - region->range.begin; back++) {
    VAddr start = addr - back;
    if (wide ? map.isPossibleStart(start) : map.isInstructionStart(start))
      return map.shapeAt(start).length > back;
  }
  return false;
}

std::optional<std::vector<VAddr>> Walker::speculate(VAddr root, bool wide, size_t most) const {
  auto isKnown = [&](VAddr addr) { return wide ? map.isPossibleStart(addr) : map.isInstructionStart(addr); };
  std::vector<VAddr> starts, stack{root};
  DenseSet<uint64_t> seen;
  while (!stack.empty()) {
    VAddr at = stack.back();
    stack.pop_back();
    for (;;) {
      if (isKnown(at) || !seen.insert(at.raw()).second)
        break;
      if (isInsideInstruction(at, wide))
        return std::nullopt;
      ArrayRef<uint8_t> bytes = map.bytesFrom(at);
      Shape shape = x64::scan(bytes, at);
      bool isZeros = bytes.size() >= 2 && bytes[0] == 0 && bytes[1] == 0;
      if (shape.flow == Flow::Invalid || isZeros)
        return std::nullopt;
      bool isOdd = (shape.traits & x64::kGs) ||
                   ((shape.traits & x64::kSensitive) && bytes[0] != 0xcc && bytes[0] != 0xf4 && bytes[0] != 0x9d);
      if (isOdd && !wide)
        return std::nullopt;
      starts.push_back(at);
      if (starts.size() >= most)
        return starts;
      if (shape.flow == Flow::Jcc || shape.flow == Flow::Jmp || shape.flow == Flow::Call) {
        VAddr target(shape.value);
        if (!map.regionAt(target) || isInsideInstruction(target, wide))
          return std::nullopt;
        if (shape.flow != Flow::Call)
          stack.push_back(target);
      }
      at += shape.length;
      bool fallsThrough = shape.flow == Flow::Next || shape.flow == Flow::Jcc || shape.flow == Flow::IndirectCall ||
                          shape.flow == Flow::Call;
      if (!fallsThrough)
        break;
      if ((shape.flow == Flow::Call || shape.flow == Flow::IndirectCall) && functionEnds.contains(at))
        break;
    }
  }
  return starts;
}

void Walker::commitPossible(ArrayRef<VAddr> starts, Found &found) {
  for (VAddr at : starts) {
    CodeMap::Region *region = regionAt(at);
    setBit(region->possible, at - region->range.begin);
    Shape shape = map.shapeAt(at);
    if (shape.traits & ~(x64::kRef | x64::kImmRef))
      found.remarkable.push_back({at, shape.traits, false});
    if (shape.flow == Flow::Jcc || shape.flow == Flow::Jmp || shape.flow == Flow::Call) {
      markTarget(VAddr(shape.value));
      if (regionAt(VAddr(shape.value)))
        noteCall(shape.flow == Flow::Call, VAddr(shape.value), at, found.calls);
      if (shape.flow == Flow::Call)
        found.taken.push_back(VAddr(shape.value));
    }
    bool isRef = (shape.traits & x64::kRef) || ((shape.traits & x64::kImmRef) && !isPie);
    if (isRef && regionAt(VAddr(shape.value))) {
      markTarget(VAddr(shape.value));
      found.taken.push_back(VAddr(shape.value));
    }
  }
}

} // namespace osv::analysis

// SPDX-License-Identifier: BSD-3-Clause
//
// Which tactic each site gets. `jmp rel32` needs five bytes and a `syscall` has two, so instructions around it must
// move to the stub, and the question is only which ones:
//
//   S0     [prev >= 5 bytes] syscall        the jump replaces prev; `0f 05` stays, and whoever jumps to it still makes
//                                           the call, through the CPU
//   S1     [a][b].. syscall                 as S0 with several; nothing may jump to b..
//   mixed  [a].. [syscall][c]..             nothing may jump to the syscall or to c..
//   B      [syscall][c]..                   what jumps to the syscall itself is fine; nothing may jump to c..
//
// B first when the syscall is a known target (else those who jump to it would go the slow way), otherwise in this
// order. What may jump where is known from the code map; in a function with an indirect jump that is not understood
// nothing is excluded, so only S0 is safe there, and S1 when its first instruction has five bytes, because a hidden
// entry behind the jump is mended for certain (--patch=all takes the risk).
//
// Sites are planned in ascending order and never claim bytes that an earlier one has claimed.
#include "rewriter/patch/Stages.h"
#include "rewriter/x64/Decode.h"
#include "rewriter/x64/Encode.h"
#include "llvm/ADT/STLExtras.h"
#include <algorithm>

using namespace llvm;

namespace osv {

const char *name(Tactic tactic) {
  static const char *const kNames[kNumTactics] = {"none", "S0", "S1", "B", "mixed"};
  return kNames[unsigned(tactic)];
}

namespace patch {

using x64::kJumpSize;
using x64::kSyscallSize;

namespace {

constexpr size_t kMoreMoved = 4; ///< instructions that S1 may move for the sake of hidden entries

/// Plans one site.
class SitePlanner {
public:
  SitePlanner(const Context &ctx, ArrayRef<VAddr> relocated, VAddr site, VAddr claimed)
      : ctx(ctx), code(ctx.code), relocated(relocated), wide(ctx.opts.patch == PatchMode::All), claimed(claimed) {
    plan.site = site;
    plan.isTarget = code.isBranchTarget(site);
  }

  SitePlan run() {
    decide();
    if (plan.tactic != Tactic::None && isAmbiguous()) {
      refuse(Tactic::None, "overlaps with what other code would be, if it is code");
      plan.tactic = Tactic::None;
      plan.range = {};
      plan.before.clear();
      plan.after.clear();
    }
    return std::move(plan);
  }

private:
  void decide() {
    // Stubs, restarts and the debugger's view all go by two bytes; no compiler or library writes others.
    if (code.shapeAt(plan.site).length != kSyscallSize) {
      refuse(Tactic::None, "has a prefix");
      return;
    }
    if (isSigreturn()) {
      refuse(Tactic::None, "is the signal return sequence, which unwinders compare byte for byte");
      return;
    }
    if (plan.isTarget && tryAround(Tactic::B))
      return;
    if (tryBefore() || tryAround(Tactic::Mixed))
      return;
    if (!plan.isTarget)
      tryAround(Tactic::B);
  }

  bool refuse(Tactic tactic, const Twine &why) {
    plan.refused.push_back({tactic, why.str()});
    return false;
  }
  bool accept(Tactic tactic, AddrRange range) {
    plan.tactic = tactic;
    plan.range = range;
    return true;
  }

  /// glibc's, musl's and Go's __restore_rt: libgcc and libunwind know a signal frame by these bytes.
  bool isSigreturn() const {
    static const uint8_t kLong[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05}; // mov $15, %rax; syscall
    static const uint8_t kShort[] = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};            // mov $15, %eax; syscall
    auto matches = [&](ArrayRef<uint8_t> pattern) {
      return plan.site.raw() >= pattern.size() &&
             ctx.image.bytesAt(plan.site + kSyscallSize - pattern.size(), pattern.size()) == pattern;
    };
    return matches(kLong) || matches(kShort);
  }

  /// Why control may arrive at `addr` other than from the instruction before it; null when it cannot.
  const char *entryAt(VAddr addr) const {
    if (code.isBranchTarget(addr))
      return "is a branch target";
    if (!wide && code.mayBeHiddenTarget(addr))
      return code.functionAt(addr) ? "may be the target of an indirect jump that is not understood"
                                   : "is in no known function";
    return nullptr;
  }

  /// A known instruction, proven or possible, begins inside one that moves, or one of these inside it: where no table
  /// tells of functions, a number may have looked like a pointer.
  bool isAmbiguous() const {
    VAddr end = std::max(plan.range.end, plan.site + kSyscallSize);
    VAddr begin = plan.range.begin;
    for (VAddr at = begin - std::min<uint64_t>(begin.raw(), 14); at < end; at += 1) {
      if (!code.isPossibleStart(at))
        continue;
      bool isOurs = at == plan.site || is_contained(plan.before, at) || is_contained(plan.after, at);
      bool isApart = at + code.shapeAt(at).length <= begin;
      if (!isOurs && !isApart)
        return true;
    }
    return false;
  }

  /// A relocation that the program's start-up code applies would write into the bytes.
  bool isRelocated(AddrRange range) const {
    return any_of(relocated, [&](VAddr place) { return range.overlaps({place, place + 8}); });
  }

  /// Why the instruction at `addr` cannot move; null when it can.
  const char *immovable(VAddr addr) const { return x64::moveInstruction(code.bytesFrom(addr), addr).refusal; }

  /// The instruction that ends at `end` and falls through to it, if it can be moved to a stub. `why` says why not.
  std::optional<VAddr> movableBefore(VAddr end, std::string &why) const {
    std::optional<VAddr> at = code.previousInstruction(end, wide);
    if (!at) {
      why = "no instruction is known to end at " + hex(end);
      return std::nullopt;
    }
    if (*at < claimed) {
      why = hex(*at) + " already belongs to the site before";
      return std::nullopt;
    }
    x64::MovedInstruction moved = x64::moveInstruction(code.bytesFrom(*at), *at);
    if (moved.refusal)
      why = hex(*at) + " " + moved.refusal;
    else if (!moved.fallsThrough)
      why = hex(*at) + " does not fall through to " + hex(end);
    else if (code.shapeAt(*at).flow != x64::Flow::Next)
      why = hex(*at) + " is a branch";
    else
      return at;
    return std::nullopt;
  }

  /// Would the instructions before the site, last first, leave one that begins at the third byte of the distance, or at
  /// the fourth without a byte of ours behind it (patch/Stubs: hidden entries)?
  bool hidesBadly(ArrayRef<VAddr> moved) const {
    VAddr begin = moved.back();
    return any_of(
        moved, [&](VAddr addr) { return addr - begin == 3 || (addr - begin == 4 && plan.site - begin == kJumpSize); });
  }

  /// All but the first of them lie behind the jump: whoever jumps to one hits a trap, always, and goes on in the stub.
  bool hidesNothing(ArrayRef<VAddr> moved) const { return moved[moved.size() - 2] - moved.back() >= kJumpSize; }

  /// S0, then S1.
  bool tryBefore() {
    std::string why;
    std::optional<VAddr> first = movableBefore(plan.site, why);
    if (!first) {
      refuse(Tactic::S0, why);
      return refuse(Tactic::S1, why);
    }
    if (plan.site - *first >= kJumpSize) {
      if (isRelocated({*first, plan.site}))
        return refuse(Tactic::S0, "a relocation writes into the instruction at " + hex(*first));
      plan.before = {*first};
      return accept(Tactic::S0, {*first, plan.site});
    }
    refuse(Tactic::S0, "the instruction before has only " + Twine(plan.site - *first) + " bytes");

    SmallVector<VAddr, 4> moved = {*first};
    std::string hidden;
    auto extend = [&] {
      if (const char *entry = entryAt(moved.back())) {
        why = hex(moved.back()) + " " + entry;
        if (code.isBranchTarget(moved.back()))
          return false;
        hidden = why; // is mended behind the jump's own bytes, below
      }
      std::optional<VAddr> previous = movableBefore(moved.back(), why);
      if (previous)
        moved.push_back(*previous);
      return previous.has_value();
    };
    while (plan.site - moved.back() < kJumpSize)
      if (!extend())
        return refuse(Tactic::S1, why);
    // Further back, when a jump that nobody knows of would otherwise hit a byte of our jump that we cannot choose.
    size_t enough = moved.size();
    auto isOpen = [&] { return hidden.empty() ? hidesBadly(moved) : !hidesNothing(moved); };
    while (isOpen() && moved.size() < enough + kMoreMoved && extend())
      ;
    if (!hidden.empty() && !hidesNothing(moved))
      return refuse(Tactic::S1, hidden);
    if (hidesBadly(moved) && !hidesNothing(moved))
      moved.truncate(enough);
    std::reverse(moved.begin(), moved.end());
    AddrRange range{moved.front(), plan.site};
    if (isRelocated(range))
      return refuse(Tactic::S1, "a relocation writes into the instructions");
    plan.before = moved;
    return accept(Tactic::S1, range);
  }

  /// After something that does not fall through: are [from, to) bytes that nobody executes?
  bool isPadding(VAddr from, VAddr to) const {
    while (from < to) {
      std::optional<x64::Instruction> in = x64::decode(code.bytesFrom(from), from);
      if (!in || (in->op != x64::Op::Nop && in->op != x64::Op::Int3))
        return false;
      for (VAddr at = from; at < from + in->length; at += 1)
        if (code.isPossibleStart(at) || code.isBranchTarget(at))
          return false;
      from = from + in->length;
    }
    return true;
  }

  /// Extends [begin, site + 2) by instructions after the site until a jump fits; those are left in plan.after.
  bool extendAfter(Tactic tactic, VAddr begin, VAddr &end) {
    plan.after.clear();
    end = plan.site + kSyscallSize;
    while (end - begin < kJumpSize) {
      if (!(wide ? code.isPossibleStart(end) : code.isInstructionStart(end)))
        return refuse(tactic, hex(end) + " is not known to be an instruction");
      if (const char *entry = entryAt(end))
        return refuse(tactic, hex(end) + " " + entry);
      if (const char *why = immovable(end))
        return refuse(tactic, hex(end) + " " + why);
      x64::MovedInstruction moved = x64::moveInstruction(code.bytesFrom(end), end);
      plan.after.push_back(end);
      end += code.shapeAt(end).length;
      if (!moved.fallsThrough && end - begin < kJumpSize) {
        VAddr needed = begin + kJumpSize;
        if (!isPadding(end, needed))
          return refuse(tactic, hex(plan.after.back()) + " does not fall through, and what follows is no padding");
        end = needed;
      }
    }
    if (isRelocated({begin, end}))
      return refuse(tactic, "a relocation writes into the instructions");
    return true;
  }

  /// B and mixed: the syscall is overwritten.
  bool tryAround(Tactic tactic) {
    VAddr end;
    if (tactic == Tactic::B) {
      if (plan.site < claimed)
        return refuse(tactic, "the site already belongs to the one before");
      if (!extendAfter(tactic, plan.site, end)) {
        plan.after.clear();
        return false;
      }
      return accept(tactic, {plan.site, end});
    }
    // One more instruction before it at a time; with three bytes of them none is needed after it.
    SmallVector<VAddr, 4> moved;
    for (VAddr begin = plan.site;;) {
      if (const char *entry = entryAt(begin))
        return refuse(tactic, (begin == plan.site ? "the syscall" : hex(begin)) + " " + entry);
      std::string why;
      std::optional<VAddr> previous = movableBefore(begin, why);
      if (!previous)
        return refuse(tactic, why);
      begin = *previous;
      moved.insert(moved.begin(), begin);
      if (extendAfter(tactic, begin, end)) {
        plan.before = moved;
        return accept(tactic, {begin, end});
      }
      plan.after.clear();
      if (plan.site + kSyscallSize - begin >= kJumpSize)
        return false;
      plan.refused.pop_back();
    }
  }

  const Context &ctx;
  const CodeMap &code;
  ArrayRef<VAddr> relocated;
  bool wide;
  VAddr claimed; ///< end of what earlier sites replace or rely on
  SitePlan plan;
};

} // namespace

/// The places in or right before code that relocations write to: few or none.
static std::vector<VAddr> relocatedCode(const Context &ctx) {
  std::vector<VAddr> places;
  if (ctx.image.dynamic)
    for (const elf::RelativeReloc &r : ctx.image.dynamic->relatives)
      if (ctx.code.regionAt(r.place) || ctx.code.regionAt(r.place + 7))
        places.push_back(r.place);
  return places;
}

void planSites(Context &ctx) {
  VAddr claimed(0);
  ctx.plan.halts = ctx.analysis.halts;
  if (ctx.opts.patch == PatchMode::None)
    return;
  std::vector<VAddr> relocated = relocatedCode(ctx);
  for (SyscallSite &found : ctx.analysis.sites) {
    SitePlan plan;
    plan.site = found.addr;
    if (found.proven || ctx.opts.patch == PatchMode::All)
      plan = SitePlanner(ctx, relocated, found.addr, claimed).run();
    else
      plan.refused.push_back({Tactic::None, "is not proven to be code"});
    claimed = std::max({claimed, plan.range.end, found.addr + ctx.code.shapeAt(found.addr).length});
    found.tactic = name(plan.tactic);
    ctx.plan.sites.push_back(std::move(plan));
  }
}

} // namespace patch
} // namespace osv

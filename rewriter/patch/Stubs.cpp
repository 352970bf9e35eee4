// SPDX-License-Identifier: BSD-3-Clause
//
// The stubs, and the edits that lead to them. A stub of an image, for `[a] syscall` (S0, S1) and for
// `[a] syscall [c]` (B, mixed):
//
//       a                              a
//       lea  site+2(%rip), %rcx        lea  1f(%rip), %rcx
//       jmp  osv_gate_direct           jmp  osv_gate_direct
//                                      syscall                      only to restart an interrupted call
//                                   1: lea  site+2(%rip), %rcx      what Linux leaves in rcx
//                                      c
//                                      jmp  end of the range        unless c does not fall through
//
// The gate returns by `jmp *%rcx`, and nothing here touches the stack or the flags. A system call that a signal has
// interrupted is restarted by stepping back from its return address over two bytes; those are the program's own
// `syscall` in the left form, and the stub's in the right one.
//
// With --emit=elf the stub makes the call itself (`syscall; lea site+2(%rip), %rcx; jmp site+2`, or the right form from
// its `syscall` on). All addresses are Fixups: where stubs and kernel are is known only after the link.
//
// Hidden entries. A jump that no analysis saw may still arrive at an instruction in the middle of the replaced bytes,
// `e9 d0 d1 d2 d3 tail..`. It shall find something that traps whatever follows, so that the kernel can go on with it
// in the stub (resumeAddress). The tail is 3f, which is an invalid opcode by itself, and also behind d3 when that is ff
// or fe, as it is for stubs up to 32 MiB below the program (`ff /7` and `fe /7` are invalid). d0 and d1 are the low
// bytes of the distance to the stub, and stubs begin at a multiple of 64 KiB in memory, so they are chosen by where the
// stub goes. d2 and the 64 KiB are not ours to choose: patch/Plan avoids instructions that begin there.
#include "rewriter/patch/Stages.h"
#include "rewriter/x64/Encode.h"
#include "llvm/ADT/STLExtras.h"

using namespace llvm;

namespace osv::patch {

using x64::kSyscallSize;

static constexpr unsigned kStubAlign = 16;
static constexpr unsigned kPlacingSlack = 4096; ///< bytes of padding that hidden entries may cost in all
static constexpr uint8_t kInt3 = 0xcc;
static constexpr uint8_t kTail = 0x3f; ///< what the jump leaves over

/// Raises #UD or #BP in 64-bit mode, whatever follows. Not 62, c4, c5 and d5, which are prefixes today or tomorrow.
static bool alwaysTraps(uint8_t opcode) {
  switch (opcode) {
  case 0x06:
  case 0x07:
  case 0x0e:
  case 0x16:
  case 0x17:
  case 0x1e:
  case 0x1f:
  case 0x27:
  case 0x2f:
  case 0x37:
  case 0x3f:
  case 0x60:
  case 0x61:
  case 0x82:
  case 0x9a:
  case 0xcc:
  case 0xce:
  case 0xd4:
  case 0xd6:
  case 0xea:
    return true;
  default:
    return false;
  }
}

/// The distances from the beginning of the replaced bytes at which further instructions began.
static SmallVector<unsigned, 4> innerStarts(const SitePlan &plan) {
  SmallVector<unsigned, 4> starts;
  auto add = [&](VAddr addr) {
    if (addr > plan.range.begin && addr < plan.range.end)
      starts.push_back(addr - plan.range.begin);
  };
  for (VAddr addr : plan.before)
    add(addr);
  add(plan.site);
  for (VAddr addr : plan.after)
    add(addr);
  return starts;
}

std::vector<HiddenEntry> hiddenEntries(const Context &ctx, const SitePlan &plan) {
  std::vector<HiddenEntry> entries;
  if (plan.range.empty())
    return entries;
  bool isImage = ctx.opts.outputKind == OutputKind::Image;
  uint64_t stub = (isImage ? ctx.layout.kernel.begin.raw() : ctx.nativeStubs.raw()) + plan.stub;
  uint64_t begin = isImage ? ctx.image.toRun(plan.range.begin).raw() : plan.range.begin.raw();
  auto distance = uint32_t(stub - begin - x64::kJumpSize);
  SmallVector<uint8_t, 16> bytes(plan.range.size(), kTail);
  bytes[0] = 0xe9;
  std::memcpy(&bytes[1], &distance, sizeof distance);
  append_range(bytes, ctx.image.bytesAt(plan.range.end, 1));
  for (unsigned start : innerStarts(plan)) {
    uint8_t opcode = bytes[start];
    bool isUndefinedGroup = opcode >= 0xfe && start + 1 < bytes.size() && (bytes[start + 1] & 0x38) == 0x38;
    entries.push_back({plan.range.begin + start, alwaysTraps(opcode) || isUndefinedGroup});
  }
  return entries;
}

namespace {

/// One stub before it has a place: all offsets count from its beginning.
struct StubBody {
  SitePlan *plan;
  SmallVector<uint8_t, 64> bytes;
  std::vector<Fixup> fixups;
  std::vector<abi::StubMap> map;
};

/// Makes the body of one stub.
class StubEmitter {
public:
  StubEmitter(Context &ctx, StubBody &body)
      : ctx(ctx), plan(*body.plan), body(body), out(body.bytes), native(ctx.opts.outputKind == OutputKind::NativeElf) {}

  void run() {
    VAddr after = plan.site + kSyscallSize;
    for (VAddr addr : plan.before)
      copy(addr, abi::kStubReplaces);
    uint32_t syscallFlags = plan.overwritesSyscall() ? abi::kStubReplaces : 0;
    begin(plan.site, syscallFlags);
    if (plan.overwritesSyscall()) {
      if (!native) {
        loadRcx({0, Fixup::Pc32, Fixup::Stubs, out.size() + 14, -4, ""}); // 1: behind lea (7), jmp (5), syscall (2)
        jump({0, Fixup::Pc32, Fixup::Runtime, 0, -4, "osv_gate_direct"});
      }
      emit({0x0f, 0x05}); // syscall
      begin(after, syscallFlags | abi::kStubQuiet);
      loadRcx(program(after));
      bool fallsThrough = true;
      for (VAddr addr : plan.after)
        fallsThrough = copy(addr, abi::kStubReplaces | (addr == after ? abi::kStubQuiet : 0));
      if (fallsThrough) {
        begin(plan.range.end, abi::kStubQuiet);
        jump(program(plan.range.end));
      }
    } else if (native) {
      emit({0x0f, 0x05}); // syscall
      begin(after, abi::kStubQuiet);
      loadRcx(program(after));
      jump(program(after));
    } else {
      loadRcx(program(after));
      jump({0, Fixup::Pc32, Fixup::Runtime, 0, -4, "osv_gate_direct"});
    }
    end();
  }

private:
  void emit(ArrayRef<uint8_t> bytes) { out.append(bytes.begin(), bytes.end()); }
  Fixup program(VAddr target) const { return {0, Fixup::Pc32, Fixup::Program, ctx.image.toRun(target).raw(), -4, ""}; }
  void field(Fixup fixup) {
    fixup.offset = out.size();
    body.fixups.push_back(std::move(fixup));
    emit({0, 0, 0, 0});
  }
  void loadRcx(Fixup target) {
    emit({0x48, 0x8d, 0x0d}); // lea disp32(%rip), %rcx
    field(std::move(target));
  }
  void jump(Fixup target) {
    emit({0xe9}); // jmp rel32
    field(std::move(target));
  }

  /// Emits the program's instruction at `addr`; false when control does not get past it.
  bool copy(VAddr addr, uint32_t flags) {
    x64::MovedInstruction moved = x64::moveInstruction(ctx.code.bytesFrom(addr), addr);
    VERIFY(!moved.refusal);
    // A branch that was widened is no copy: what lies so far from its beginning is something else in the program.
    begin(addr, flags | (moved.bytes.size() == ctx.code.shapeAt(addr).length ? abi::kStubCopy : 0));
    uint32_t at = out.size();
    emit(moved.bytes);
    if (moved.field)
      body.fixups.push_back({at + moved.field->offset, Fixup::Pc32, Fixup::Program,
                             ctx.image.toRun(moved.field->target).raw(), moved.field->addend, ""});
    return moved.fallsThrough;
  }

  /// What is emitted from here on stands for the program's code at `original`.
  void begin(VAddr original, uint32_t flags) {
    RunAddr run = ctx.image.toRun(original);
    if (body.map.empty())
      flags |= abi::kStubQuiet;
    if (isOpen) {
      // A copy goes on where the one before has ended, both in the stub and in the program.
      abi::StubMap &last = body.map.back();
      if ((last.flags & ~abi::kStubQuiet) == flags && flags & abi::kStubCopy &&
          last.original + (out.size() - last.stub) == run.raw())
        return;
    }
    end();
    body.map.push_back({out.size(), ctx.image.toRun(plan.site).raw(), run.raw(), 0, flags});
    isOpen = true;
  }
  void end() {
    if (!isOpen)
      return;
    abi::StubMap &last = body.map.back();
    last.size = out.size() - last.stub;
    isOpen = false;
  }

  Context &ctx;
  SitePlan &plan;
  StubBody &body;
  SmallVectorImpl<uint8_t> &out;
  bool native;
  bool isOpen = false;
};

/// Gives stubs their places: first those whose place decides about a hidden entry, each at the lowest that will do;
/// then all others into what is left.
class StubPlacer {
public:
  explicit StubPlacer(uint64_t bytes) : limit((bytes + kPlacingSlack) / kStubAlign) {}

  /// False when there is no place that makes all its entries trap.
  bool placeConstrained(const Context &ctx, StubBody &body) {
    bool wantsLow = false, wantsHigh = false;
    for (unsigned start : innerStarts(*body.plan)) {
      wantsLow |= start == 1;
      wantsHigh |= start == 2;
    }
    if (!wantsLow && !wantsHigh)
      return false;
    uint64_t from = ctx.image.toRun(body.plan->range.begin).raw() + x64::kJumpSize;
    for (uint64_t at = 0; at / kStubAlign < limit;) {
      uint64_t distance = at - from;
      if (wantsHigh && !alwaysTraps(distance >> 8 & 0xff)) {
        at += 256 - (distance & 0xff); // where d1 changes
        continue;
      }
      if (wantsLow && !alwaysTraps(distance & 0xff)) {
        at++;
        continue;
      }
      if (take(body, at))
        return true;
      at = wantsLow ? at + 1 : alignDown(at, kStubAlign) + kStubAlign;
    }
    return false;
  }

  void place(StubBody &body) {
    while (!take(body, next * kStubAlign))
      next++;
  }

  uint64_t size() const { return end; }

private:
  bool take(StubBody &body, uint64_t at) {
    uint64_t first = at / kStubAlign, last = (at + body.bytes.size() - 1) / kStubAlign;
    if (used.size() <= last)
      used.resize(last + 1);
    for (uint64_t i = first; i <= last; i++)
      if (used[i])
        return false;
    std::fill(used.begin() + first, used.begin() + last + 1, true);
    body.plan->stub = at;
    body.plan->stubSize = body.bytes.size();
    end = std::max(end, at + body.bytes.size());
    return true;
  }

  std::vector<bool> used; ///< by kStubAlign bytes
  uint64_t limit, next = 0, end = 0;
};

} // namespace

/// Places the bodies and puts them into `ctx.stubs`.
static void layOutStubs(Context &ctx, std::vector<StubBody> &bodies) {
  uint64_t bytes = 0;
  for (const StubBody &body : bodies)
    bytes += alignTo(body.bytes.size(), kStubAlign);
  StubPlacer placer(bytes);
  std::vector<StubBody *> rest;
  for (StubBody &body : bodies)
    if (!placer.placeConstrained(ctx, body))
      rest.push_back(&body);
  for (StubBody *body : rest)
    placer.place(*body);
  llvm::sort(bodies, [](const StubBody &a, const StubBody &b) { return a.plan->stub < b.plan->stub; });
  ctx.stubs.bytes.assign(placer.size(), kInt3);
  for (StubBody &body : bodies) {
    uint32_t base = body.plan->stub;
    llvm::copy(body.bytes, ctx.stubs.bytes.begin() + base);
    for (Fixup &fixup : body.fixups) {
      fixup.offset += base;
      if (fixup.base == Fixup::Stubs)
        fixup.value += base;
      ctx.stubs.fixups.push_back(std::move(fixup));
    }
    for (abi::StubMap &run : body.map) {
      run.stub += base;
      ctx.stubs.map.push_back(run);
    }
  }
}

/// Checks that the program has at `range` what the plan was made for: the moved instructions, one after the other, and
/// the system call.
static void checkExpected(const Context &ctx, const SitePlan &plan) {
  ArrayRef<uint8_t> site = ctx.image.bytesAt(plan.site, kSyscallSize);
  VERIFY(site.size() == kSyscallSize && site[0] == 0x0f && site[1] == 0x05);
  VAddr at = plan.range.begin;
  for (VAddr addr : plan.before) {
    VERIFY(addr == at);
    at += ctx.code.shapeAt(addr).length;
  }
  VERIFY(at == plan.site);
  at += kSyscallSize;
  for (VAddr addr : plan.after) {
    VERIFY(addr == at);
    at += ctx.code.shapeAt(addr).length;
  }
  VERIFY(plan.overwritesSyscall() ? at <= plan.range.end : plan.range.end == plan.site);
  VERIFY(plan.range.size() >= x64::kJumpSize);
}

void makeStubs(Context &ctx) {
  std::vector<StubBody> bodies;
  for (SitePlan &plan : ctx.plan.sites) {
    if (plan.tactic == Tactic::None)
      continue;
    checkExpected(ctx, plan);
    bodies.push_back({&plan, {}, {}, {}});
    StubEmitter(ctx, bodies.back()).run();
  }
  layOutStubs(ctx, bodies);
  llvm::sort(ctx.stubs.map, [](const abi::StubMap &a, const abi::StubMap &b) {
    return std::pair(a.original, a.stub) < std::pair(b.original, b.stub);
  });
  ctx.stubs.debugFrame = makeFrameSection(unwindStubs(ctx), /*isEh=*/false);
  for (const SitePlan &plan : ctx.plan.sites) {
    if (plan.tactic == Tactic::None)
      continue;
    Edit edit;
    edit.addr = plan.range.begin;
    edit.bytes = {0xe9, 0, 0, 0, 0}; // jmp stub
    edit.fixups.push_back({1, Fixup::Pc32, Fixup::Stubs, plan.stub, -4, ""});
    edit.bytes.resize(plan.range.size(), kTail);
    ctx.edits.push_back(std::move(edit));
  }
  // `hlt` faults in Linux programs; in ring 0 it would stop the CPU.
  if (ctx.opts.outputKind == OutputKind::Image)
    for (VAddr halt : ctx.plan.halts) {
      Edit edit;
      edit.addr = halt;
      edit.bytes = {kInt3};
      ctx.edits.push_back(std::move(edit));
      ctx.traps.push_back({ctx.image.toRun(halt).raw(), abi::kTrapHlt, 0});
    }
  llvm::sort(ctx.edits, [](const Edit &a, const Edit &b) { return a.addr < b.addr; });
  for (size_t i = 1; i < ctx.edits.size(); i++)
    VERIFY(ctx.edits[i - 1].addr + ctx.edits[i - 1].bytes.size() <= ctx.edits[i].addr);
}

} // namespace osv::patch

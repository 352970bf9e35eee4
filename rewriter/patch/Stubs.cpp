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
#include "rewriter/patch/Stages.h"
#include "rewriter/x64/Encode.h"
#include "llvm/ADT/STLExtras.h"

using namespace llvm;

namespace osv::patch {

using x64::kSyscallSize;

static constexpr unsigned kStubAlign = 16;
static constexpr uint8_t kInt3 = 0xcc;

namespace {

/// Appends one stub to `ctx.stubs`.
class StubEmitter {
public:
  StubEmitter(Context &ctx, SitePlan &plan)
      : ctx(ctx), plan(plan), out(ctx.stubs.bytes), native(ctx.opts.outputKind == OutputKind::NativeElf) {}

  void run() {
    out.resize(alignTo(out.size(), kStubAlign), kInt3);
    plan.stub = out.size();
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
      begin(after, syscallFlags);
      loadRcx(program(after));
      bool fallsThrough = true;
      for (VAddr addr : plan.after)
        fallsThrough = copy(addr, abi::kStubReplaces);
      if (fallsThrough) {
        begin(plan.range.end, 0);
        jump(program(plan.range.end));
      }
    } else if (native) {
      emit({0x0f, 0x05}); // syscall
      begin(after, 0);
      loadRcx(program(after));
      jump(program(after));
    } else {
      loadRcx(program(after));
      jump({0, Fixup::Pc32, Fixup::Runtime, 0, -4, "osv_gate_direct"});
    }
    end();
    plan.stubSize = out.size() - plan.stub;
  }

private:
  void emit(ArrayRef<uint8_t> bytes) { out.append(bytes.begin(), bytes.end()); }
  Fixup program(VAddr target) const { return {0, Fixup::Pc32, Fixup::Program, ctx.image.toRun(target).raw(), -4, ""}; }
  void field(Fixup fixup) {
    fixup.offset = out.size();
    ctx.stubs.fixups.push_back(std::move(fixup));
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
    begin(addr, flags | abi::kStubCopy);
    uint32_t at = out.size();
    emit(moved.bytes);
    if (moved.field)
      ctx.stubs.fixups.push_back({at + moved.field->offset, Fixup::Pc32, Fixup::Program,
                                  ctx.image.toRun(moved.field->target).raw(), moved.field->addend, ""});
    return moved.fallsThrough;
  }

  /// What is emitted from here on stands for the program's code at `original`.
  void begin(VAddr original, uint32_t flags) {
    RunAddr run = ctx.image.toRun(original);
    if (isOpen) {
      // A copy goes on where the one before has ended, both in the stub and in the program.
      abi::StubMap &last = ctx.stubs.map.back();
      if (last.flags == flags && flags & abi::kStubCopy && last.original + (out.size() - last.stub) == run.raw())
        return;
    }
    end();
    ctx.stubs.map.push_back({out.size(), ctx.image.toRun(plan.site).raw(), run.raw(), 0, flags});
    isOpen = true;
  }
  void end() {
    if (!isOpen)
      return;
    abi::StubMap &last = ctx.stubs.map.back();
    last.size = out.size() - last.stub;
    isOpen = false;
  }

  Context &ctx;
  SitePlan &plan;
  SmallVectorImpl<uint8_t> &out;
  bool native;
  bool isOpen = false;
};

} // namespace

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
  for (SitePlan &plan : ctx.plan.sites) {
    if (plan.tactic == Tactic::None)
      continue;
    checkExpected(ctx, plan);
    StubEmitter(ctx, plan).run();
    Edit edit;
    edit.addr = plan.range.begin;
    edit.bytes = {0xe9, 0, 0, 0, 0}; // jmp stub
    edit.fixups.push_back({1, Fixup::Pc32, Fixup::Stubs, plan.stub, -4, ""});
    edit.bytes.resize(plan.range.size(), kInt3);
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

// SPDX-License-Identifier: BSD-3-Clause
//
// TlsSwitch: in the `fs` model, a function that the program calls directly runs on the kernel's thread-local storage.
//
// The program calls the vDSO's functions with its own thread pointer in FS. Where such a function (annotated
// `__attribute__((annotate("osv.app_entry")))`) or anything it calls may use a `thread_local` of the kernel, FS must be
// switched on the way in and back on every way out. Where it provably does not (Reach.h: no thread_local, no
// FS-relative memory, no stack protector, nothing that cannot be seen), the switch is left out: it costs 45 cycles,
// more than the rest of clock_gettime. -Rpass=tls-switch tells the decision for each function, and for a switch its
// first reason.
//
// The function `f` becomes a wrapper around its old body, which is now `f.switched` and is never inlined back:
//
//     saved = FS base                 read, not remembered: a program may have used wrfsbase itself
//     FS base = %gs:osv_gate_block.kernelFs
//     result = f.switched(arguments)
//     FS base = saved
//
// Why not in place: the back end computes thread-local addresses from a load of %fs:0 that it orders after nothing,
// least of all after inline assembly. Across a call that it cannot see into, nothing moves. It also makes every return
// of the body one.
//
// FS base is read and written by the FSGSBASE instructions. Each is recorded in `.fsgsbase_sites` with the routine that
// arch/x64/Cpu.cpp puts in its place on a CPU without them, as in arch/x64/Macros.inc.
#include "Diag.h"
#include "Passes.h"
#include "Reach.h"
#include "abi/Gate.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Statistic.h"
#include "llvm/Analysis/OptimizationRemarkEmitter.h"
#include "llvm/Demangle/Demangle.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"

#define DEBUG_TYPE "tls-switch"

using namespace llvm;

STATISTIC(numSwitched, "functions called by the program that switch FS");
STATISTIC(numLeftOut, "functions called by the program that need no switch");

namespace {

constexpr StringLiteral kGateBlock = "osv_gate_block";
constexpr StringLiteral kClobbers = "~{memory},~{dirflag},~{fpsr},~{flags}";

/// A five-byte FSGSBASE instruction on r11, recorded with its replacement.
std::string fsgsbaseSite(StringRef instruction, StringRef routine) {
  return (".pushsection .fsgsbase_sites, \"a\", @progbits\n\t.quad 771f, " + routine + "\n\t.popsection\n771:\t" +
          instruction + " %r11")
      .str();
}

Value *readFsBase(IRBuilder<> &builder) {
  auto *type = FunctionType::get(builder.getInt64Ty(), false);
  auto *code =
      InlineAsm::get(type, fsgsbaseSite("rdfsbase", "osv_read_fs_base_r11"), "={r11}," + kClobbers.str(), true);
  return builder.CreateCall(type, code, {}, "saved.fs");
}

void writeFsBase(IRBuilder<> &builder, Value *base) {
  auto *type = FunctionType::get(builder.getVoidTy(), {builder.getInt64Ty()}, false);
  auto *code =
      InlineAsm::get(type, fsgsbaseSite("wrfsbase", "osv_write_fs_base_r11"), "{r11}," + kClobbers.str(), true);
  builder.CreateCall(type, code, {base});
}

Value *loadKernelFs(IRBuilder<> &builder, Module &module) {
  Type *type = ArrayType::get(builder.getInt8Ty(), sizeof(osv::GateBlock));
  auto *block = cast<GlobalValue>(module.getOrInsertGlobal(kGateBlock, type));
  block->setDSOLocal(true);
  Constant *atGs = ConstantExpr::getAddrSpaceCast(block, builder.getPtrTy(256));
  Value *field = builder.CreateConstInBoundsGEP1_64(builder.getInt8Ty(), atGs, offsetof(osv::GateBlock, kernelFs));
  return builder.CreateAlignedLoad(builder.getInt64Ty(), field, Align(alignof(uint64_t)), "kernel.fs");
}

/// Why `function` cannot be wrapped; empty when it can.
std::string obstacle(const Function &function) {
  if (function.isVarArg())
    return "it takes a variable number of arguments";
  if (function.hasFnAttribute(Attribute::Naked))
    return "it is naked";
  if (any_of(function, [](const BasicBlock &block) { return block.hasAddressTaken(); }))
    return "it takes the address of a label";
  return "";
}

/// Moves the body of `function` to a new one.
Function &moveBody(Function &function) {
  auto &body = *Function::Create(function.getFunctionType(), GlobalValue::InternalLinkage, function.getAddressSpace(),
                                 function.getName() + ".switched", function.getParent());
  body.copyAttributesFrom(&function);
  body.setVisibility(GlobalValue::DefaultVisibility);
  body.setUnnamedAddr(GlobalValue::UnnamedAddr::Global);
  body.setDSOLocal(true);
  body.setComdat(function.getComdat());
  body.removeFnAttr(Attribute::AlwaysInline);
  body.addFnAttr(Attribute::NoInline);
  body.splice(body.end(), &function);
  for (auto [from, to] : zip_equal(function.args(), body.args())) {
    to.setName(from.getName());
    from.replaceAllUsesWith(&to);
  }
  body.copyMetadata(&function, 0); // the debug info goes with the code
  function.clearMetadata();
  function.setPersonalityFn(nullptr);
  return body;
}

void wrap(Function &function) {
  Function &body = moveBody(function);
  for (Attribute::AttrKind kind : {Attribute::StackProtect, Attribute::StackProtectStrong, Attribute::StackProtectReq,
                                   Attribute::Memory, Attribute::Speculatable})
    function.removeFnAttr(kind);            // the wrapper runs before the switch, and touches memory
  function.addFnAttr(Attribute::NoRedZone); // a replaced site is a call
  IRBuilder<> builder(BasicBlock::Create(function.getContext(), "entry", &function));
  Value *saved = readFsBase(builder);
  writeFsBase(builder, loadKernelFs(builder, *function.getParent()));
  SmallVector<Value *, 8> arguments(make_pointer_range(function.args()));
  CallInst *result = builder.CreateCall(&body, arguments);
  result->setCallingConv(function.getCallingConv());
  AttributeList attributes = body.getAttributes();
  result->setAttributes(AttributeList::get(function.getContext(), AttributeSet(), attributes.getRetAttrs(),
                                           to_vector<8>(map_range(seq<unsigned>(0, arguments.size()), [&](unsigned i) {
                                             return attributes.getParamAttrs(i);
                                           }))));
  writeFsBase(builder, saved);
  if (function.getReturnType()->isVoidTy())
    builder.CreateRetVoid();
  else
    builder.CreateRet(result);
}

} // namespace

PreservedAnalyses osv::TlsSwitchPass::run(Module &module, ModuleAnalysisManager &) {
  const DenseSet<const GlobalValue *> entries = annotated(module, kAppEntry);
  SmallVector<Function *, 8> toWrap;
  const Reach reach(module, kTouchFs);
  for (Function &function : module) {
    if (function.isDeclaration() || !entries.contains(&function))
      continue;
    OptimizationRemarkEmitter remarks(&function);
    DiagnosticLocation place(function.getSubprogram());
    const std::string name = "'" + demangle(function.getName()) + "'";
    std::string reason;
    reach.visit(function, [&](const Touch &touch) {
      reason = touch.what + ", in " + touch.chain;
      return false;
    });
    if (reason.empty()) {
      ++numLeftOut;
      remarks.emit(OptimizationRemark(DEBUG_TYPE, "LeftOut", place, &function.getEntryBlock())
                   << name << " needs no switch: nothing that it reaches touches FS");
    } else if (std::string problem = obstacle(function); !problem.empty()) {
      module.getContext().diagnose(PassError("tls-switch: " + name + " must switch FS and cannot: " + problem));
    } else {
      ++numSwitched;
      remarks.emit(OptimizationRemark(DEBUG_TYPE, "Switched", place, &function.getEntryBlock())
                   << name << " switches FS: it " << reason);
      toWrap.push_back(&function);
    }
  }
  for (Function *function : toWrap)
    wrap(*function);
  return toWrap.empty() ? PreservedAnalyses::all() : PreservedAnalyses::none();
}

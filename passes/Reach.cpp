// SPDX-License-Identifier: BSD-3-Clause
//
// The walk over functions, and the list of what counts as a touch. See Reach.h for what it decides and what it trusts.
#include "Reach.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/Demangle/Demangle.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Operator.h"

using namespace llvm;

namespace osv {
namespace {

constexpr unsigned kGsSpace = 256, kFsSpace = 257;
constexpr StringLiteral kGateBlock = "osv_gate_block";

std::string quoted(const Value &value) { return "'" + demangle(value.getName()) + "'"; }

std::string lineOf(const DILocation *location) {
  return location ? (location->getFilename() + ":" + Twine(location->getLine())).str() : "";
}

/// The thread-local variable that `value` is or contains, if any.
const GlobalValue *threadLocalIn(const Value *value) {
  if (auto *global = dyn_cast<GlobalValue>(value))
    return global->isThreadLocal() ? global : nullptr;
  if (auto *constant = dyn_cast<ConstantExpr>(value))
    for (const Use &operand : constant->operands())
      if (const GlobalValue *found = threadLocalIn(operand))
        return found;
  return nullptr;
}

/// Is `pointer` an address in the gate block? Sees through what clang makes of Gate.h's `gate()` at -O0, too.
bool isGateBlock(const Value *pointer, unsigned depth = 0) {
  pointer = getUnderlyingObject(pointer, 0);
  if (auto *global = dyn_cast<GlobalValue>(pointer))
    return global->getName() == kGateBlock;
  if (auto *cast = dyn_cast<Operator>(pointer);
      cast && (cast->getOpcode() == Instruction::IntToPtr || cast->getOpcode() == Instruction::PtrToInt))
    return isGateBlock(cast->getOperand(0), depth);
  auto *call = dyn_cast<CallBase>(pointer);
  const Function *callee = call ? call->getCalledFunction() : nullptr;
  if (!callee || callee->isDeclaration() || depth == 4)
    return false;
  return all_of(*callee, [&](const BasicBlock &block) {
    auto *ret = dyn_cast<ReturnInst>(block.getTerminator());
    return !ret || isGateBlock(ret->getReturnValue(), depth + 1);
  });
}

bool holdsFp(const Type *type) {
  return type->isFPOrFPVectorTy() || type->isVectorTy() || type->isX86_MMXTy() || type->isX86_AMXTy() ||
         (type->isAggregateType() && any_of(type->subtypes(), holdsFp));
}

/// Does inline assembly name one of `words`, in its text, constraints or clobbers?
bool names(const InlineAsm &assembly, std::initializer_list<StringRef> words) {
  return any_of(words, [&](StringRef word) {
    return StringRef(assembly.getAsmString()).contains(word) ||
           StringRef(assembly.getConstraintString()).contains(word);
  });
}

/// "'f' (file:line)" for the functions that were inlined around `location`, outermost first.
void appendInlined(std::string &chain, const DILocation *location) {
  if (!location)
    return;
  SmallVector<const DILocation *, 4> levels;
  for (const DILocation *level = location; level->getInlinedAt(); level = level->getInlinedAt())
    levels.push_back(level);
  for (const DILocation *level : reverse(levels)) {
    const DISubprogram *callee = level->getScope()->getSubprogram();
    StringRef name = callee->getLinkageName().empty() ? callee->getName() : callee->getLinkageName();
    chain += ", which calls '" + demangle(name) + "' (" + lineOf(level->getInlinedAt()) + ", inlined)";
  }
}

} // namespace

DenseSet<const GlobalValue *> annotated(const Module &module, StringRef text) {
  DenseSet<const GlobalValue *> found;
  const GlobalVariable *annotations = module.getGlobalVariable("llvm.global.annotations");
  if (!annotations || !annotations->hasInitializer())
    return found;
  for (const Use &entry : annotations->getInitializer()->operands()) {
    auto *record = dyn_cast<ConstantStruct>(entry);
    if (!record || record->getNumOperands() < 2)
      continue;
    auto *subject = dyn_cast<GlobalValue>(record->getOperand(0)->stripPointerCasts());
    auto *string = dyn_cast<GlobalVariable>(record->getOperand(1)->stripPointerCasts());
    auto *data = string && string->hasInitializer() ? dyn_cast<ConstantDataArray>(string->getInitializer()) : nullptr;
    if (subject && data && data->isCString() && data->getAsCString() == text)
      found.insert(subject);
  }
  return found;
}

Reach::Reach(const Module &module, unsigned concerns)
    : module(module), concerns(concerns), preSwitch(annotated(module, kPreSwitch)) {
  for (StringRef name : kCompilerCallees)
    if (const Function *function = module.getFunction(name))
      preSwitch.insert(function);
}

/// What the attributes of a function let the back end add to it.
std::string Reach::attributeTouch(const Function &function) const {
  if ((concerns & kTouchFs) && function.hasStackProtectorFnAttr() && module.getStackProtectorGuardReg() != "gs")
    return "has a stack protector, whose guard is at FS";
  if (concerns & kTouchFp) {
    SmallVector<StringRef, 16> features;
    function.getFnAttribute("target-features").getValueAsString().split(features, ',');
    if (!function.hasFnAttribute(Attribute::NoImplicitFloat) && !is_contained(features, "-sse"))
      return "may use SSE registers for copies (compile with -mno-sse or -mno-implicit-float)";
  }
  return "";
}

std::string Reach::segmentTouch(const Value &pointer) const {
  unsigned space = pointer.getType()->getPointerAddressSpace();
  if (space == kFsSpace && (concerns & kTouchFs))
    return "accesses memory at FS";
  if (space == kGsSpace && (concerns & kTouchGs) && !isGateBlock(&pointer))
    return "accesses memory at GS outside the gate block";
  return "";
}

std::string Reach::callTouch(const CallBase &call) const {
  if (auto *assembly = dyn_cast<InlineAsm>(call.getCalledOperand())) {
    if ((concerns & kTouchFs) && names(*assembly, {"%fs", " fs:", "[fs:"}))
      return "accesses memory at FS in inline assembly";
    if ((concerns & kTouchGs) && names(*assembly, {"%gs", " gs:", "[gs:"}) && !names(*assembly, {kGateBlock}))
      return "accesses memory at GS in inline assembly";
    if ((concerns & kTouchFp) &&
        names(*assembly, {"xmm", "ymm", "zmm", "%mm", "{mm", "%st", "{st", "xsave", "xrstor", "fxrstor", "fninit"}))
      return "touches FP registers in inline assembly";
    return "";
  }
  auto *callee = dyn_cast<Function>(call.getCalledOperand()->stripPointerCastsAndAliases());
  if (!callee)
    return "calls through a pointer";
  if (callee->isDeclaration() && !callee->isIntrinsic() && !preSwitch.contains(callee))
    return "calls " + quoted(*callee) + ", which is defined elsewhere and not annotated " + kPreSwitch.str();
  return "";
}

std::string Reach::instructionTouch(const Instruction &instruction) const {
  if (concerns & kTouchFs)
    for (const Use &operand : instruction.operands())
      if (const GlobalValue *variable = threadLocalIn(operand))
        return "uses thread-local " + quoted(*variable);
  if ((concerns & kTouchFp) &&
      (holdsFp(instruction.getType()) || any_of(instruction.operands(), [](const Use &operand) {
         return !isa<Function>(operand) && holdsFp(operand->getType());
       })))
    return "computes with floating point or vectors";
  if (auto *call = dyn_cast<CallBase>(&instruction)) {
    for (const Use &argument : call->args())
      if (isa<MemIntrinsic>(call) && argument->getType()->isPointerTy())
        if (std::string touch = segmentTouch(*argument); !touch.empty())
          return touch;
    return callTouch(*call);
  }
  const Value *pointer = getLoadStorePointerOperand(&instruction);
  if (auto *rmw = dyn_cast<AtomicRMWInst>(&instruction))
    pointer = rmw->getPointerOperand();
  else if (auto *exchange = dyn_cast<AtomicCmpXchgInst>(&instruction))
    pointer = exchange->getPointerOperand();
  return pointer ? segmentTouch(*pointer) : "";
}

void Reach::visit(const Function &root, function_ref<bool(const Touch &)> report) const {
  SmallVector<const Function *, 32> queue{&root};
  DenseMap<const Function *, std::string> chains;
  chains[&root] = quoted(root);
  for (unsigned next = 0; next < queue.size(); ++next) {
    const Function &function = *queue[next];
    const std::string chain = chains[&function];
    if (std::string what = attributeTouch(function); !what.empty()) {
      const DISubprogram *info = function.getSubprogram();
      std::string place = info ? (info->getFilename() + ":" + Twine(info->getLine()) + ": ").str() : "";
      if (!report({place, what, chain}))
        return;
    }
    for (const Instruction &instruction : instructions(function)) {
      const DILocation *location = instruction.getDebugLoc().get();
      std::string here = chain;
      appendInlined(here, location);
      if (std::string what = instructionTouch(instruction); !what.empty()) {
        std::string place = lineOf(location);
        if (!report({place.empty() ? "" : place + ": ", what, here}))
          return;
      }
      auto *call = dyn_cast<CallBase>(&instruction);
      auto *callee = call ? dyn_cast<Function>(call->getCalledOperand()->stripPointerCastsAndAliases()) : nullptr;
      if (!callee || callee->isDeclaration() || chains.contains(callee))
        continue;
      std::string line = lineOf(location);
      chains[callee] = here + ", which calls " + quoted(*callee) + (line.empty() ? "" : " (" + line + ")");
      queue.push_back(callee);
    }
  }
}

} // namespace osv

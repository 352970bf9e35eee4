// SPDX-License-Identifier: BSD-3-Clause
//
// KernelTls: `thread_local` without FS.
//
// The program owns FS. So that no gate ever has to touch it, the kernel's thread-local storage is reached through GS,
// which x86-64 clang cannot do by itself: its TLS models are all FS. This pass does it on IR, for the whole module:
//
//   - Each thread-local variable becomes an ordinary variable of section `.ktls`. The linker lays these out in one
//     piece, the *template*: the initial values, copied for each new thread and never used in place.
//   - GS base of a thread is `address of its block - address of the template`. So variable x of the running thread is
//     at `GS base + &x`, which the instruction `incl %gs:x(%rip)` computes for nothing: each variable keeps its
//     link-time address. In IR such an access is one through a pointer of address space 256.
//   - Some uses need the address as a value (it is passed, stored, compared, ...). GS base cannot be read cheaply on
//     every CPU, so the gate block holds it too (abi/Gate.h): the address is `%gs:osv_gate_block.self + &x`.
//
// Only uses that need it pay for the second form. The set of pointers that derive from a thread-local address by GEP,
// phi, select and freeze (the *web*) is computed for each function; every load, store, atomic operation and short mem*
// intrinsic on the web is direct. A phi or select that may also be some other pointer is not part of the web: its
// operand is an address taken. At the pass's place in the pipeline, after inlining and SROA, little of that is left.
//
// Soundness. `addrspacecast(@x)` stands for "x of this thread" and nothing else accesses @x, so all that LLVM deduces
// about @x (size, alignment, no alias with another variable, initial value of a variable never written) holds for each
// copy. The flat address is made by inttoptr, not by a GEP on @x: LLVM would take such a GEP for an access out of
// bounds.
//
// What the pass rejects, with an error at the variable: initialisers that must run (`_ZTH` functions, guards,
// destructors by `__cxa_thread_atexit`). A new thread is a copied block; nothing runs in it before its first function.
// Declare such a variable `constinit`; the extern declaration too, or clang calls a wrapper that asks for the
// initialiser.
//
// Not here: the copy of the template and GS base (runtime/arch/x64), and the layout of `.ktls`
// (runtime/arch/x64/kernel.ld).
#include "Diag.h"
#include "Passes.h"
#include "abi/Gate.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/Statistic.h"
#include "llvm/Demangle/Demangle.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/ReplaceConstant.h"
#include "llvm/TargetParser/Triple.h"

#define DEBUG_TYPE "kernel-tls"

using namespace llvm;

STATISTIC(numVariables, "thread-local variables moved to .ktls");
STATISTIC(numDirect, "accesses made direct through %gs");
STATISTIC(numFlat, "addresses computed from GateBlock::self");

namespace {

constexpr unsigned kGsSpace = 256; ///< x86: pointers whose accesses carry a GS prefix
constexpr StringLiteral kSection = ".ktls";
constexpr StringLiteral kGateBlock = "osv_gate_block"; ///< GateBlock of the template

/// Longest copy or fill that is expanded in line, as memcpy.inline or memset.inline: a call of the library function
/// cannot carry a segment. Longer ones are better off with flat addresses and `rep movsq` or the call.
constexpr uint64_t kMaxInline = 64;

/// memmove has no inline form. The back end loads all of it into registers first, without overlap, and gives up (with a
/// fatal error, here) when it needs more of these than MaxStoresPerMemmoveOptSize.
constexpr uint64_t kMaxMoveRegisters = 4;

struct Diagnostics {
  LLVMContext &context;
  bool failed = false;

  void error(const Twine &message) {
    failed = true;
    context.diagnose(osv::PassError("kernel-tls: " + message));
  }
};

/// "file:line: 'name'" of the variable `mangled`, the place only when debug info tells.
std::string placeAndName(const Module &module, const Twine &mangled) {
  std::string name = demangle(mangled.str()), place;
  SmallVector<DIGlobalVariableExpression *, 1> info;
  for (const std::string &symbol : {mangled.str(), name}) // one of the global namespace has its plain name for symbol
    if (const GlobalVariable *variable = module.getGlobalVariable(symbol, true))
      variable->getDebugInfo(info);
  if (!info.empty()) {
    const DIGlobalVariable *decl = info.front()->getVariable();
    place = (decl->getFilename() + ":" + Twine(decl->getLine()) + ": ").str();
  }
  return place + "'" + name + "'";
}

/// Reports everything that shows that a thread-local variable of `module` wants code run in each new thread.
void rejectDynamicInitialisers(Module &module, Diagnostics &diag) {
  auto checkName = [&](const GlobalValue &value) {
    StringRef name = value.getName();
    if (value.isThreadLocal() && name.consume_front("_ZGV")) // the guard of a local variable
      diag.error(placeAndName(module, "_Z" + name) + " is initialised at first use in each thread; make it constinit");
    else if (name.consume_front("_ZTH"))
      diag.error(placeAndName(module, "_Z" + name) +
                 " may have a dynamic initialiser; make it constinit, its extern declaration too");
    else if (name == "__tls_init")
      diag.error("a thread_local variable has a dynamic initialiser; make it constinit");
    else if (name == "__cxa_thread_atexit" || name == "_tlv_atexit")
      diag.error("a thread_local variable has a destructor, which no thread would run");
  };
  for (const GlobalValue &value : module.global_values())
    checkName(value);
}

/// Lowers the thread-local addresses of one function.
class FunctionLowering {
public:
  FunctionLowering(Function &function) : function(function), context(function.getContext()) {}

  void addRoot(IntrinsicInst *root) { web.insert(root); }

  /// Returns true when the function now reads the gate block.
  bool run() {
    collectWeb();
    pruneWeb();
    SmallVector<Use *, 32> direct = findDirectUses();
    markWanted(direct);
    for (Use *use : direct)
      makeDirect(*use);
    return dropOrFlatten();
  }

private:
  Function &function;
  LLVMContext &context;
  SetVector<Instruction *> web;           ///< every pointer known to be a thread-local address
  SmallPtrSet<Instruction *, 32> wanted;  ///< those that need a twin in address space 256
  DenseMap<Instruction *, Value *> twins; ///< those that have it

  /// May `user` belong to the web when all its pointer operands do?
  static bool isTransparent(const Instruction *user) {
    return !user->getType()->isVectorTy() &&
           (isa<GetElementPtrInst>(user) || isa<PHINode>(user) || isa<SelectInst>(user) || isa<FreezeInst>(user));
  }

  /// The pointers that a member of the web passes through, in operand order.
  static SmallVector<Value *, 4> sources(Instruction *member) {
    if (auto *gep = dyn_cast<GetElementPtrInst>(member))
      return {gep->getPointerOperand()};
    if (auto *select = dyn_cast<SelectInst>(member))
      return {select->getTrueValue(), select->getFalseValue()};
    if (auto *phi = dyn_cast<PHINode>(member))
      return SmallVector<Value *, 4>(phi->incoming_values());
    if (isa<FreezeInst>(member))
      return {member->getOperand(0)};
    return {}; // llvm.threadlocal.address
  }

  bool inWeb(Value *value) const {
    auto *instruction = dyn_cast<Instruction>(value);
    return instruction && web.contains(instruction);
  }

  void collectWeb() {
    for (unsigned i = 0; i < web.size(); ++i)
      for (User *user : web[i]->users())
        if (auto *instruction = cast<Instruction>(user); isTransparent(instruction))
          web.insert(instruction);
  }

  /// Removes members that may be a pointer from elsewhere, until none is left.
  void pruneWeb() {
    auto comesFromOutside = [&](Instruction *member) {
      return any_of(sources(member), [&](Value *value) { return !inWeb(value) && !isa<UndefValue>(value); });
    };
    while (web.remove_if(comesFromOutside))
      ;
  }

  /// Atomics wider than the CPU's become library calls, which take no segment.
  static bool isNativeAtomic(Type *type, Align align, const DataLayout &layout) {
    TypeSize size = layout.getTypeStoreSize(type);
    return !size.isScalable() && isPowerOf2_64(size) && size <= 8 && align.value() >= size;
  }

  /// Is `use` (of a member of the web) an access that can name the segment itself?
  bool isDirect(const Use &use) const {
    auto *user = cast<Instruction>(use.getUser());
    const DataLayout &layout = function.getParent()->getDataLayout();
    if (auto *load = dyn_cast<LoadInst>(user))
      return !load->isAtomic() || isNativeAtomic(load->getType(), load->getAlign(), layout);
    if (auto *store = dyn_cast<StoreInst>(user))
      return use.getOperandNo() == StoreInst::getPointerOperandIndex() &&
             (!store->isAtomic() || isNativeAtomic(store->getValueOperand()->getType(), store->getAlign(), layout));
    if (auto *rmw = dyn_cast<AtomicRMWInst>(user))
      return use.getOperandNo() == AtomicRMWInst::getPointerOperandIndex() &&
             isNativeAtomic(rmw->getValOperand()->getType(), rmw->getAlign(), layout);
    if (auto *exchange = dyn_cast<AtomicCmpXchgInst>(user))
      return use.getOperandNo() == AtomicCmpXchgInst::getPointerOperandIndex() &&
             isNativeAtomic(exchange->getCompareOperand()->getType(), exchange->getAlign(), layout);
    if (auto *copy = dyn_cast<MemIntrinsic>(user)) { // plain ones: the element-wise atomic ones are library calls
      auto *length = dyn_cast<ConstantInt>(copy->getLength());
      if (!length)
        return false;
      uint64_t bytes = length->getZExtValue();
      return isa<MemMoveInst>(copy) ? bytes / 8 + popcount(bytes % 8) <= kMaxMoveRegisters : bytes <= kMaxInline;
    }
    if (auto *compare = dyn_cast<ICmpInst>(user)) // both sides are off by the same GS base, and a block does not wrap
      return inWeb(compare->getOperand(0)) && inWeb(compare->getOperand(1));
    return false;
  }

  SmallVector<Use *, 32> findDirectUses() const {
    SmallVector<Use *, 32> direct;
    for (Instruction *member : web)
      for (Use &use : member->uses())
        if (isDirect(use))
          direct.push_back(&use);
    return direct;
  }

  /// A member needs a twin when an access names it, or a member that needs one derives from it.
  void markWanted(ArrayRef<Use *> direct) {
    SmallVector<Instruction *, 32> work;
    for (Use *use : direct)
      work.push_back(cast<Instruction>(use->get()));
    while (!work.empty()) {
      Instruction *member = work.pop_back_val();
      if (!wanted.insert(member).second)
        continue;
      for (Value *source : sources(member))
        if (inWeb(source))
          work.push_back(cast<Instruction>(source));
    }
    // Phis first and empty, so that twinOf ends on every cycle.
    SmallVector<PHINode *, 8> phis;
    for (Instruction *member : web)
      if (auto *phi = dyn_cast<PHINode>(member); phi && wanted.contains(phi)) {
        phis.push_back(phi);
        auto *twin = PHINode::Create(PointerType::get(context, kGsSpace), phi->getNumIncomingValues(),
                                     phi->getName() + ".gs", phi->getIterator());
        twin->setDebugLoc(phi->getDebugLoc());
        twins[phi] = twin;
      }
    for (PHINode *phi : phis) {
      auto *twin = cast<PHINode>(twins[phi]);
      for (unsigned i = 0; i < phi->getNumIncomingValues(); ++i)
        twin->addIncoming(twinOf(phi->getIncomingValue(i)), phi->getIncomingBlock(i));
    }
  }

  /// The same address as `value`, relative to GS base.
  Value *twinOf(Value *value) {
    auto *type = PointerType::get(context, kGsSpace);
    if (isa<PoisonValue>(value))
      return PoisonValue::get(type);
    if (isa<UndefValue>(value))
      return UndefValue::get(type);
    auto *member = cast<Instruction>(value);
    if (Value *twin = twins.lookup(member))
      return twin;
    IRBuilder<> builder(member);
    std::string name = (member->getName() + ".gs").str();
    Value *twin;
    if (auto *gep = dyn_cast<GetElementPtrInst>(member)) {
      SmallVector<Value *, 4> indices(gep->indices());
      twin = builder.CreateGEP(gep->getSourceElementType(), twinOf(gep->getPointerOperand()), indices, name,
                               gep->getNoWrapFlags());
    } else if (auto *select = dyn_cast<SelectInst>(member)) {
      twin = builder.CreateSelect(select->getCondition(), twinOf(select->getTrueValue()),
                                  twinOf(select->getFalseValue()), name, select);
    } else if (isa<FreezeInst>(member)) {
      twin = builder.CreateFreeze(twinOf(member->getOperand(0)), name);
    } else {
      twin = ConstantExpr::getAddrSpaceCast(cast<Constant>(member->getOperand(0)), type);
    }
    twins[member] = twin;
    return twin;
  }

  void makeDirect(Use &use) {
    ++numDirect;
    use.set(twinOf(use.get()));
    if (auto *copy = dyn_cast<MemIntrinsic>(use.getUser()))
      renameIntrinsic(*copy);
  }

  /// The address spaces are part of the intrinsic's name; the inline form never becomes a call.
  void renameIntrinsic(MemIntrinsic &copy) {
    SmallVector<Type *, 3> types{copy.getRawDest()->getType()};
    if (auto *transfer = dyn_cast<MemTransferInst>(&copy))
      types.push_back(transfer->getRawSource()->getType());
    types.push_back(copy.getLength()->getType());
    Intrinsic::ID id = copy.getIntrinsicID();
    if (id == Intrinsic::memcpy)
      id = Intrinsic::memcpy_inline;
    else if (id == Intrinsic::memset)
      id = Intrinsic::memset_inline;
    copy.setCalledFunction(Intrinsic::getDeclaration(function.getParent(), id, types));
  }

  /// What still has users needs its flat address: roots get it, the rest follows. What has none goes, dead cycles of
  /// phis too.
  bool dropOrFlatten() {
    SmallPtrSet<Instruction *, 32> live;
    SmallVector<Instruction *, 32> work;
    for (Instruction *member : web)
      if (any_of(member->users(), [&](User *user) { return !inWeb(user); }))
        work.push_back(member);
    while (!work.empty()) {
      Instruction *member = work.pop_back_val();
      if (!live.insert(member).second)
        continue;
      for (Value *source : sources(member))
        if (inWeb(source))
          work.push_back(cast<Instruction>(source));
    }
    bool readsSelf = false;
    for (Instruction *member : web) {
      if (live.contains(member)) {
        if (!isa<IntrinsicInst>(member))
          continue;
        member->replaceAllUsesWith(flatAddress(member));
        readsSelf = true;
      } else { // debug records that named it become "optimised out", as for any address that is no longer computed
        member->replaceAllUsesWith(PoisonValue::get(member->getType()));
      }
    }
    for (Instruction *member : web)
      if (!live.contains(member) || isa<IntrinsicInst>(member))
        member->eraseFromParent();
    return readsSelf;
  }

  Value *flatAddress(Instruction *root) {
    ++numFlat;
    IRBuilder<> builder(root);
    IntegerType *word = builder.getInt64Ty();
    auto *variable = cast<Constant>(root->getOperand(0));
    Constant *block = ConstantExpr::getAddrSpaceCast(function.getParent()->getNamedValue(kGateBlock),
                                                     PointerType::get(context, kGsSpace));
    Value *self = builder.CreateConstInBoundsGEP1_64(builder.getInt8Ty(), block, offsetof(osv::GateBlock, self));
    Value *base = builder.CreateAlignedLoad(word, self, Align(alignof(uint64_t)), "ktls.self");
    Value *address = builder.CreateAdd(base, ConstantExpr::getPtrToInt(variable, word), "ktls.sum");
    return builder.CreateIntToPtr(address, root->getType(), variable->getName() + ".addr");
  }
};

class ModuleLowering {
public:
  ModuleLowering(Module &module) : module(module), diag{module.getContext()} {}

  bool run() {
    for (GlobalVariable &variable : module.globals())
      if (variable.isThreadLocal())
        variables.push_back(&variable);
    for (GlobalAlias &alias : module.aliases())
      if (alias.isThreadLocal())
        variables.push_back(&alias);
    rejectDynamicInitialisers(module, diag);
    if (Triple(module.getTargetTriple()).getArch() != Triple::x86_64 && !variables.empty())
      diag.error("only x86-64 has thread-local variables at GS");
    if (diag.failed || variables.empty())
      return false;

    convertUsersOfConstantsToInstructions(variables);
    MapVector<Function *, FunctionLowering> functions;
    for (Constant *variable : variables)
      collectRoots(*variable, functions);
    if (diag.failed)
      return true;
    for (Constant *variable : variables)
      moveToTemplate(cast<GlobalValue>(*variable));
    declareGateBlock();
    SmallVector<Function *, 16> readers;
    for (auto &[function, lowering] : functions)
      if (lowering.run())
        readers.push_back(function);
    widenMemoryEffects(readers);
    return true;
  }

private:
  Module &module;
  Diagnostics diag;
  SmallVector<Constant *, 16> variables;

  /// Registers every use of `variable` as a call of llvm.threadlocal.address with its function; makes that call where
  /// clang or an older front end used the variable itself.
  void collectRoots(Constant &variable, MapVector<Function *, FunctionLowering> &functions) {
    SmallVector<Use *, 32> uses(make_pointer_range(variable.uses()));
    for (Use *usePointer : uses) {
      Use &use = *usePointer;
      if (use.get() != &variable) // another edge into the same phi was done already
        continue;
      if (auto *user = dyn_cast<Instruction>(use.getUser())) {
        auto *root = dyn_cast<IntrinsicInst>(user);
        if (!root || root->getIntrinsicID() != Intrinsic::threadlocal_address)
          root = insertRoot(use, *user);
        Function *function = root->getFunction();
        functions.try_emplace(function, *function).first->second.addRoot(root);
      } else {
        rejectConstantUse(cast<GlobalValue>(variable), use.getUser());
      }
    }
  }

  IntrinsicInst *insertRoot(Use &use, Instruction &user) {
    Instruction *place = &user;
    if (auto *phi = dyn_cast<PHINode>(&user))
      place = phi->getIncomingBlock(use)->getTerminator();
    IRBuilder<> builder(place);
    auto *root = cast<IntrinsicInst>(builder.CreateThreadLocalAddress(cast<GlobalValue>(use.get())));
    // A block may reach a phi by several edges; their values must stay one.
    if (auto *phi = dyn_cast<PHINode>(&user))
      phi->setIncomingValueForBlock(phi->getIncomingBlock(use), root);
    else
      use.set(root);
    return root;
  }

  /// A constant that holds the address: harmless in llvm.used and in annotations, an alias is handled by itself, an
  /// initialiser is an error (the address differs between threads).
  void rejectConstantUse(const GlobalValue &variable, User *user) {
    if (auto *holder = dyn_cast<GlobalVariable>(user)) {
      if (holder->getSection() != "llvm.metadata")
        diag.error("the address of '" + variable.getName() + "' is no constant, but initialises '" + holder->getName() +
                   "'");
    } else if (isa<Constant>(user) && !isa<GlobalValue>(user)) {
      for (User *outer : user->users())
        rejectConstantUse(variable, outer);
    }
  }

  void moveToTemplate(GlobalValue &value) {
    value.setThreadLocal(false);
    value.setDSOLocal(true); // the kernel is linked statically: no GOT, so that the access can name the symbol
    auto *variable = dyn_cast<GlobalVariable>(&value);
    if (!variable)
      return;
    ++numVariables;
    // One section has one set of flags, and a thread's copy must be in one piece: constants and zeros live there too.
    variable->setConstant(false);
    if (!variable->isDeclaration() && !variable->getSection().starts_with(kSection))
      variable->setSection(kSection);
    if (variable->hasCommonLinkage())
      variable->setLinkage(GlobalValue::WeakAnyLinkage); // common has no section
  }

  void declareGateBlock() {
    if (module.getNamedValue(kGateBlock))
      return;
    auto *type = ArrayType::get(Type::getInt8Ty(module.getContext()), sizeof(osv::GateBlock));
    auto *block = new GlobalVariable(module, type, false, GlobalValue::ExternalLinkage, nullptr, kGateBlock);
    block->setAlignment(Align(alignof(osv::GateBlock)));
    block->setDSOLocal(true);
  }

  /// A thread-local address counts as no memory access, a load of GateBlock::self does: whoever was inferred to read
  /// nothing, and calls a function that now does, reads.
  void widenMemoryEffects(SmallVector<Function *, 16> &work) {
    SmallPtrSet<Function *, 16> seen;
    const MemoryEffects reads = MemoryEffects(IRMemLocation::Other, ModRefInfo::Ref);
    while (!work.empty()) {
      Function *function = work.pop_back_val();
      if (!seen.insert(function).second)
        continue;
      function->setMemoryEffects(function->getMemoryEffects() | reads);
      for (User *user : function->users()) {
        auto *call = dyn_cast<CallBase>(user);
        if (!call || call->getCalledOperand() != function)
          continue;
        if (call->getAttributes().hasFnAttr(Attribute::Memory))
          call->setMemoryEffects(call->getMemoryEffects() | reads);
        work.push_back(call->getFunction());
      }
    }
  }
};

} // namespace

PreservedAnalyses osv::KernelTlsPass::run(Module &module, ModuleAnalysisManager &) {
  if (!ModuleLowering(module).run())
    return PreservedAnalyses::all();
  PreservedAnalyses preserved;
  preserved.preserveSet<CFGAnalyses>(); // no block and no edge is added
  return preserved;
}

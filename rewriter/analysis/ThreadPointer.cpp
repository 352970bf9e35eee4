// SPDX-License-Identifier: BSD-3-Clause
//
// How the program sets its thread pointer and how it uses it.
//
// On x86-64 the thread pointer is the base of FS. A static program sets it with arch_prctl(ARCH_SET_FS) for its first
// thread and with clone(CLONE_SETTLS) for the others. The psABI's TLS variant II puts the block of thread-local
// variables right below it, so that a negative constant offset is a variable of the program itself (local-exec), and
// the thread's descriptor at and above it: the word at 0 points to itself, and libc's fields follow (with gcc: the
// stack protector's canary at 0x28, the pointer guard at 0x30). Initial-exec code loads the offset from the GOT; after
// the linker relaxed it, from an immediate. Go keeps its g in a slot of its own at -8.
#include "rewriter/analysis/Slice.h"
#include "rewriter/analysis/Stages.h"
#include "llvm/ADT/STLExtras.h"

using namespace llvm;

namespace osv::analysis {

using x64::Instruction;
using x64::Op;
using x64::Operand;
using x64::Reg;

namespace {

constexpr int64_t kArchPrctl = 158, kClone = 56, kClone3 = 435, kSetThreadArea = 205;
constexpr int64_t kCloneSetTls = 0x80000;
/// No libc's thread descriptor is larger: glibc's struct pthread has 0x900 bytes, musl's 0xc8, and the page that an
/// access may touch above the thread pointer is theirs as well.
constexpr int64_t kMostAbove = 0x1000;

ThreadPointerKind kindOfCode(int64_t code) {
  switch (code) {
  case 0x1001:
    return ThreadPointerKind::ArchSetGs;
  case 0x1002:
    return ThreadPointerKind::ArchSetFs;
  case 0x1003:
    return ThreadPointerKind::ArchGetFs;
  case 0x1004:
    return ThreadPointerKind::ArchGetGs;
  case 0x3001: // glibc 2.28 to 2.38
  case 0x3002:
  case 0x3003:
  case 0x3004:
  case 0x5001: // Linux 6.6
  case 0x5002:
  case 0x5003:
  case 0x5004:
  case 0x5005:
    return ThreadPointerKind::ArchCet;
  default:
    return ThreadPointerKind::ArchOther;
  }
}

/// The values of a system call's argument at its site, callers included.
ChainedValues argumentOf(Slicer &slicer, VAddr site, Reg reg) {
  return slicer.valuesThroughCallers(site, Location::inRegister(reg));
}

/// Go's clone takes the flags from its caller and adds CLONE_SETTLS itself: `orq $0x80000, %rdi` before the call.
bool addsSetTls(const CodeMap &map, VAddr site) {
  VAddr at = site;
  for (unsigned i = 0; i < 32; i++) {
    std::optional<VAddr> previous = map.previousInstruction(at, /*wide=*/true);
    if (!previous)
      return false;
    at = *previous;
    std::optional<Instruction> in = x64::decode(map.bytesFrom(at), at);
    if (!in || in->op == Op::Ret)
      return false;
    if (in->op == Op::Or && in->operands[0].isReg(Reg::Rdi) && in->operands[1].isImm())
      return in->operands[1].value & kCloneSetTls;
  }
  return false;
}

void addSetup(Slicer &slicer, const SyscallSite &site, std::vector<ThreadPointerSetup> &found) {
  if (is_contained(site.here.values, kArchPrctl)) {
    ChainedValues codes = argumentOf(slicer, site.addr, Reg::Rdi);
    std::set<int64_t> values;
    for (const ChainedConstant &code : codes.constants)
      values.insert(int64_t(int32_t(code.value)));
    for (int64_t value : values)
      found.push_back({site.addr, kindOfCode(value), value});
    if (values.empty())
      found.push_back({site.addr, ThreadPointerKind::ArchUnknown, 0});
  }
  if (is_contained(site.here.values, kClone)) {
    ChainedValues flags = argumentOf(slicer, site.addr, Reg::Rdi);
    bool sets = any_of(flags.constants, [](const ChainedConstant &c) { return c.value & kCloneSetTls; });
    if (sets || addsSetTls(slicer.code(), site.addr))
      found.push_back({site.addr, ThreadPointerKind::CloneSetTls, 0});
    else if (!flags.complete)
      found.push_back({site.addr, ThreadPointerKind::CloneFlagsUnknown, 0});
  }
  if (is_contained(site.here.values, kClone3))
    found.push_back({site.addr, ThreadPointerKind::Clone3, 0});
  if (is_contained(site.here.values, kSetThreadArea))
    found.push_back({site.addr, ThreadPointerKind::SetThreadArea, 0});
}

class FsClassifier {
public:
  explicit FsClassifier(const Context &context) : context(context), map(context.code) {
    if (const auto &tls = context.image.tls) {
      blockSize = int64_t(tls->blockSize());
      blockEnd = int64_t(tls->vaddr.raw()) + blockSize;
    }
  }

  std::optional<FsAccess> classify(VAddr addr) const {
    std::optional<Instruction> in = x64::decode(map.bytesFrom(addr), addr);
    if (!in)
      return std::nullopt;
    const Operand *mem = find_if(in->operands, [](const Operand &o) { return o.isMem() && o.seg == x64::Seg::Fs; });
    if (mem == in->operands.end()) // a string instruction
      return FsAccess{addr, FsClass::Register, 0};
    if (mem->base == Reg::None && mem->index == Reg::None)
      return FsAccess{addr, classOf(mem->value), mem->value};
    if (mem->index == Reg::None && mem->base < Reg::Rip)
      return throughRegister(*in, *mem);
    return FsAccess{addr, FsClass::Register, mem->value};
  }

private:
  FsClass classOf(int64_t offset) const {
    if (context.analysis.toolchain.isGo && offset == -8)
      return FsClass::GoSlot;
    if (offset < 0)
      return offset >= -blockSize ? FsClass::LocalExec : offset == -blockEnd ? FsClass::Undefined : FsClass::Outside;
    if (offset == 0 || offset == 0x10)
      return FsClass::Self;
    if (offset == 0x28)
      return FsClass::Canary;
    if (offset == 0x30)
      return FsClass::PointerGuard;
    return offset < kMostAbove ? FsClass::ThreadField : FsClass::Outside;
  }

  /// Looks a few instructions back for what the base register holds.
  FsAccess throughRegister(const Instruction &in, const Operand &mem) const {
    VAddr at = in.addr;
    for (unsigned i = 0; i < 12; i++) {
      std::optional<VAddr> previous = map.previousInstruction(at, /*wide=*/true);
      if (!previous)
        break;
      at = *previous;
      std::optional<Instruction> def = x64::decode(map.bytesFrom(at), at);
      if (!def || def->op == Op::Call || def->op == Op::Ret || def->op == Op::Jmp)
        break;
      if (!def->writes(mem.base))
        continue;
      if (def->op != Op::Mov || !def->operands[0].isReg(mem.base))
        break;
      const Operand &source = def->operands[1];
      if (source.isImm())
        return {in.addr, classOf(source.value + mem.value), source.value + mem.value};
      if (def->staticAddress(source))
        return {in.addr, FsClass::InitialExec, mem.value};
      break;
    }
    return {in.addr, FsClass::Register, mem.value};
  }

  const Context &context;
  const CodeMap &map;
  int64_t blockSize = 0;
  int64_t blockEnd = 0; ///< the linker gives an undefined symbol the address 0, which is -blockEnd as an offset
};

} // namespace

Error findThreadPointer(Context &context) {
  Analysis &analysis = context.analysis;
  Slicer slicer(context.code);
  for (const SyscallSite &site : analysis.sites)
    addSetup(slicer, site, analysis.threadPointer);
  FsClassifier classifier(context);
  for (const Remarkable &remarkable : context.code.remarkable) {
    if ((remarkable.traits & x64::kFs) && remarkable.proven)
      if (std::optional<FsAccess> access = classifier.classify(remarkable.addr))
        analysis.fs.push_back(*access);
    if (!(remarkable.traits & x64::kSensitive) || !remarkable.proven)
      continue;
    std::optional<Instruction> in = x64::decode(context.code.bytesFrom(remarkable.addr), remarkable.addr);
    if (in && in->op == Op::Wrfsbase)
      analysis.threadPointer.push_back({remarkable.addr, ThreadPointerKind::WrFsBase, 0});
    if (in && in->op == Op::Rdfsbase)
      analysis.threadPointer.push_back({remarkable.addr, ThreadPointerKind::RdFsBase, 0});
  }
  llvm::sort(analysis.threadPointer, [](const ThreadPointerSetup &a, const ThreadPointerSetup &b) {
    return std::tie(a.addr, a.kind, a.code) < std::tie(b.addr, b.kind, b.code);
  });
  return Error::success();
}

} // namespace osv::analysis

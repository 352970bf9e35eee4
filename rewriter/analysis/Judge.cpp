// SPDX-License-Identifier: BSD-3-Clause
//
// Turns what the analyses found into findings. What is in proven code has the severity of its kind; what is only
// possible is one remark for the whole program, since bytes that nothing reaches are usually data.
//
// Uses of one kind in one function make one finding: the first with its disassembly, the others by address.
#include "rewriter/Disassembly.h"
#include "rewriter/analysis/SourceLines.h"
#include "rewriter/analysis/Stages.h"
#include "rewriter/x64/Decode.h"
#include "llvm/ADT/STLExtras.h"
#include <map>

using namespace llvm;

namespace osv::analysis {

namespace {

DiagId idOf(HazardKind kind) {
  switch (kind) {
  case HazardKind::GsAccess:
  case HazardKind::GsLoad:
  case HazardKind::GsBase:
    return DiagId::GsUse;
  case HazardKind::Swapgs:
  case HazardKind::Privileged:
  case HazardKind::PortIo:
  case HazardKind::InterruptFlag:
    return DiagId::PrivilegedInstruction;
  case HazardKind::SegmentLoad:
    return DiagId::SegmentLoad;
  case HazardKind::FarTransfer:
    return DiagId::FarTransfer;
  case HazardKind::Iret:
    return DiagId::Iret;
  case HazardKind::Popf:
    return DiagId::Popf;
  case HazardKind::Int80:
    return DiagId::Int80;
  case HazardKind::SoftInterrupt:
    return DiagId::SoftwareInterrupt;
  case HazardKind::Sysenter:
    return DiagId::Sysenter;
  case HazardKind::DescriptorRead:
    return DiagId::DescriptorRead;
  case HazardKind::Pku:
    return DiagId::ProtectionKeys;
  case HazardKind::VsyscallPage:
    return DiagId::VsyscallPage;
  case HazardKind::ArchSetGs:
    return DiagId::ArchSetGs;
  }
  llvm_unreachable("covered switch");
}

class Judge {
public:
  explicit Judge(Context &context) : context(context), map(context.code), lines(context.image) {}
  void run();

private:
  std::string functionText(VAddr addr) const {
    const Function *function = map.functionAt(addr);
    if (!function)
      return "code at " + hex(addr);
    return function->name.empty() ? "the function at " + hex(function->range.begin)
                                  : "'" + displayName(function->name) + "'";
  }
  std::string message(const Hazard &hazard) const;
  std::string accessMessage(VAddr addr) const;
  void addPlace(Finding &finding, VAddr addr);
  void addOthers(Finding &finding, ArrayRef<VAddr> others) const;
  void reportHazards();
  void reportFsOutside();
  void reportFsBaseWrites();
  void reportMissing();

  Context &context;
  const CodeMap &map;
  SourceLines lines;
};

std::string Judge::accessMessage(VAddr addr) const {
  std::optional<x64::Instruction> in = x64::decode(map.bytesFrom(addr), addr);
  bool isStore = in && any_of(in->operands,
                              [](const x64::Operand &o) { return o.isMem() && o.seg == x64::Seg::Gs && o.isWritten; });
  return (isStore ? "store" : "load") + std::string(" through %gs in ") + functionText(addr) +
         (isStore ? " would overwrite the runtime's thread block" : " would read the runtime's thread block");
}

std::string Judge::message(const Hazard &hazard) const {
  std::string where = " in " + functionText(hazard.addr);
  std::optional<x64::Instruction> in = x64::decode(map.bytesFrom(hazard.addr), hazard.addr);
  std::string name = in ? "'" + in->mnemonic().str() + "'" : "instruction";
  switch (hazard.kind) {
  case HazardKind::GsAccess:
    return accessMessage(hazard.addr);
  case HazardKind::GsLoad:
    return name + " of %gs" + where + " would take GS from the runtime";
  case HazardKind::GsBase:
    return name + where +
           (in && in->op == x64::Op::Rdgsbase ? " would read the address of the runtime's thread block"
                                              : " would take GS from the runtime");
  case HazardKind::Swapgs:
    return name + where + " would take GS from the runtime";
  case HazardKind::Privileged:
    return "privileged instruction '" + x64::format(map.bytesFrom(hazard.addr), hazard.addr) + "'" + where +
           " would change the machine instead of raising SIGSEGV";
  case HazardKind::PortIo:
    return "port access " + name + where + " would reach the machine's devices instead of raising SIGSEGV";
  case HazardKind::InterruptFlag:
    return name + where + " would change the interrupt flag instead of raising SIGSEGV";
  case HazardKind::SegmentLoad:
    return "load of a segment register" + where + " would replace what the runtime set up";
  case HazardKind::FarTransfer:
    return "far transfer" + where + " needs Linux's segment selectors";
  case HazardKind::Iret:
    return name + where + " would return with the selectors and the interrupt flag of ring 3";
  case HazardKind::Popf:
    return name + where + " restores flags that no 'pushf' of the function saved, and could disable interrupts";
  case HazardKind::Int80:
    return "'int $0x80'" + where + " is a 32-bit system call, which the runtime does not provide";
  case HazardKind::SoftInterrupt:
    return "software interrupt" + where + " would enter a handler of the runtime instead of raising SIGSEGV";
  case HazardKind::Sysenter:
    return "'sysenter'" + where + " is a 32-bit system call, which the runtime does not provide";
  case HazardKind::DescriptorRead:
    return name + where + " shows the runtime's descriptor tables";
  case HazardKind::Pku:
    return name + where + " needs protection keys, which the runtime does not enable";
  case HazardKind::VsyscallPage:
    return "call into the vsyscall page" + where + ", which is not mapped";
  case HazardKind::ArchSetGs:
    return "arch_prctl(ARCH_SET_GS)" + where + " fails with EINVAL, because GS belongs to the runtime";
  }
  llvm_unreachable("covered switch");
}

void Judge::addPlace(Finding &finding, VAddr addr) {
  std::string place = map.describe(context.image, addr);
  std::string line = lines.at(addr);
  finding.function = map.functionName(addr);
  finding.note("at " + hex(addr) + (place.empty() ? "" : ", " + place) + (line.empty() ? "" : " (" + line + ")"),
               disassembleAround(map, addr));
}

void Judge::addOthers(Finding &finding, ArrayRef<VAddr> others) const {
  constexpr size_t kMost = 8;
  if (others.empty())
    return;
  std::string text = std::to_string(others.size()) + " more " + (others.size() == 1 ? "use" : "uses") + " in " +
                     functionText(others[0]) + ": ";
  for (size_t i = 0; i < others.size() && i < kMost; i++)
    text += (i ? ", " : "") + hex(others[i]);
  finding.note(text + (others.size() > kMost ? ", ..." : ""));
}

void Judge::reportHazards() {
  // By kind and function, in the order of the first use.
  std::map<std::pair<DiagId, VAddr>, std::vector<const Hazard *>> groups;
  std::vector<const Hazard *> possible;
  for (const Hazard &hazard : context.analysis.hazards) {
    if (!hazard.proven) {
      possible.push_back(&hazard);
      continue;
    }
    const Function *function = map.functionAt(hazard.addr);
    groups[{idOf(hazard.kind), function ? function->range.begin : hazard.addr}].push_back(&hazard);
  }
  for (auto &[key, group] : groups) {
    Finding finding(key.first, group[0]->addr, message(*group[0]));
    addPlace(finding, group[0]->addr);
    std::vector<VAddr> others;
    for (const Hazard *hazard : drop_begin(group))
      if (hazard->addr != group[0]->addr)
        others.push_back(hazard->addr);
    addOthers(finding, others);
    context.diag.report(std::move(finding));
  }
  erase_if(possible, [](const Hazard *h) { // not worth a word
    return h->kind == HazardKind::Popf || h->kind == HazardKind::VsyscallPage || h->kind == HazardKind::DescriptorRead;
  });
  if (possible.empty())
    return;
  Finding finding(DiagId::PossibleHazard, Twine(possible.size()) + " place" + (possible.size() == 1 ? "" : "s") +
                                              " outside proven code would use GS or a privileged instruction, if " +
                                              (possible.size() == 1 ? "it is" : "they are") + " code");
  finding.note("first at " + hex(possible[0]->addr) + ", " + map.describe(context.image, possible[0]->addr),
               disassembleAround(map, possible[0]->addr));
  context.diag.report(std::move(finding));
}

void Judge::reportFsOutside() {
  std::vector<const FsAccess *> outside;
  for (const FsAccess &access : context.analysis.fs)
    if (access.kind == FsClass::Outside)
      outside.push_back(&access);
  if (outside.empty())
    return;
  const FsAccess &first = *outside[0];
  std::string block = context.image.tls ? "the thread-local block of " + hex(context.image.tls->memsz) + " bytes"
                                        : "any thread-local block (the program has no PT_TLS)";
  std::string offset = first.offset < 0 ? "-" + hex(uint64_t(-first.offset)) : hex(uint64_t(first.offset));
  Finding finding(DiagId::FsOutside, first.addr,
                  "access to %fs:" + offset + " in " + functionText(first.addr) + " is outside " + block);
  addPlace(finding, first.addr);
  if (outside.size() > 1)
    finding.note(std::to_string(outside.size() - 1) + " more such access" + (outside.size() == 2 ? "" : "es"));
  context.diag.report(std::move(finding));
}

/// By function. The gs model's gates never touch FS.
void Judge::reportFsBaseWrites() {
  if (context.opts.tlsModel != abi::kTlsFs)
    return;
  std::map<VAddr, std::vector<VAddr>> groups;
  for (const ThreadPointerSetup &setup : context.analysis.threadPointer)
    if (setup.kind == ThreadPointerKind::WrFsBase) {
      const Function *function = map.functionAt(setup.addr);
      groups[function ? function->range.begin : setup.addr].push_back(setup.addr);
    }
  for (const auto &[begin, writes] : groups) {
    Finding finding(DiagId::FsBaseWrite, writes[0],
                    "'wrfsbase' in " + functionText(writes[0]) +
                        " sets a thread pointer that the next system call takes back, with --tls=fs");
    addPlace(finding, writes[0]);
    addOthers(finding, ArrayRef(writes).drop_front());
    context.diag.report(std::move(finding));
  }
}

void Judge::reportMissing() {
  if (!context.diag.isEnabled(DiagId::SyscallMissing))
    return;
  for (const NumberUse &use : context.analysis.uses) {
    if (syscallProvided(use.number) != Provided::No)
      continue;
    const char *name = syscallName(use.number);
    Finding finding(DiagId::SyscallMissing, use.site,
                    Twine("system call ") +
                        (name ? "'" + Twine(name) + "' (" + Twine(use.number) + ")" : Twine(use.number)) + " in " +
                        functionText(use.site) + " is not provided and returns ENOSYS");
    addPlace(finding, use.site);
    for (VAddr call : use.chain)
      finding.note("called from " + hex(call) + ", " + map.describe(context.image, call));
    context.diag.report(std::move(finding));
  }
}

void Judge::run() {
  reportHazards();
  reportFsOutside();
  reportFsBaseWrites();
  reportMissing();
  if (map.coverage.executable && map.coverage.share() < 0.5)
    context.diag.report(Finding(DiagId::LowCoverage, Twine("only ") + Twine(unsigned(map.coverage.share() * 100)) +
                                                         " % of the " + Twine(map.coverage.executable) +
                                                         " executable bytes are proven to be code"));
}

} // namespace

void judge(Context &context) { Judge(context).run(); }

} // namespace osv::analysis

// SPDX-License-Identifier: BSD-3-Clause
//
// Instructions that mean something else when the program runs in ring 0 and GS belongs to the runtime: any use of GS,
// privileged instructions, segment loads, software interrupts. What each means for the program is judge()'s business.
#include "rewriter/analysis/JumpTables.h"
#include "rewriter/analysis/Stages.h"
#include "rewriter/x64/Decode.h"
#include "llvm/ADT/STLExtras.h"

using namespace llvm;

namespace osv::analysis {

using x64::Instruction;
using x64::Op;
using x64::Operand;
using x64::Seg;

/// A popf that restores what a pushf of the same function saved cannot change more than the program's own flags.
static bool restoresOwnFlags(const CodeMap &map, VAddr popf) {
  for (VAddr at : map.instructionsIn({functionRange(map, popf).begin, popf})) {
    ArrayRef<uint8_t> bytes = map.bytesFrom(at);
    if (bytes[0] == 0x9c || (bytes.size() > 1 && bytes[0] == 0x66 && bytes[1] == 0x9c))
      return true;
  }
  return false;
}

/// Whether the constant that the instruction at `addr` loads is soon called. Programs that describe an address space
/// (emulators, sandboxes) only name the vsyscall page.
static bool isCalled(const CodeMap &map, VAddr addr) {
  std::optional<Instruction> load = x64::decode(map.bytesFrom(addr), addr);
  VAddr at = addr;
  for (unsigned i = 0; load && i < 16; i++) {
    at += map.shapeAt(at).length;
    std::optional<Instruction> in = x64::decode(map.bytesFrom(at), at);
    if (!in || in->op == Op::Ret)
      return false;
    if (in->op == Op::Call || in->op == Op::Jmp)
      return in->operands[0].kind == Operand::Register && (in->regsRead & load->regsWritten);
  }
  return false;
}

static std::optional<HazardKind> kindOf(const CodeMap &map, const Instruction &in) {
  StringRef name = in.mnemonic();
  switch (in.op) {
  case Op::Hlt: // becomes a trap
  case Op::Int3:
  case Op::ArchInt1:
  case Op::Wrfsbase:
  case Op::Rdfsbase:
    return std::nullopt;
  case Op::Int:
    if (in.operands[0].value == 3)
      return std::nullopt;
    return (in.operands[0].value & 0xff) == 0x80 ? HazardKind::Int80 : HazardKind::SoftInterrupt;
  case Op::Sysenter:
    return HazardKind::Sysenter;
  case Op::Popf:
    if (restoresOwnFlags(map, in.addr))
      return std::nullopt;
    return HazardKind::Popf;
  case Op::Iret:
    return HazardKind::Iret;
  case Op::Swapgs:
    return HazardKind::Swapgs;
  case Op::Rdgsbase:
  case Op::Wrgsbase:
    return HazardKind::GsBase;
  case Op::Cli:
  case Op::Sti:
    return HazardKind::InterruptFlag;
  case Op::In:
  case Op::Out:
    return HazardKind::PortIo;
  case Op::Rdpkru:
  case Op::Wrpkru:
    return HazardKind::Pku;
  default:
    break;
  }
  if (name.starts_with("ins") || name.starts_with("outs"))
    return HazardKind::PortIo;
  if (name == "sgdt" || name == "sidt" || name == "smsw" || name == "sldt" || name == "str")
    return HazardKind::DescriptorRead;
  if (name == "lgs" || name == "lfs" || name == "lss")
    return name == "lgs" ? HazardKind::GsLoad : HazardKind::SegmentLoad;
  if (!in.operands.empty() && in.operands[0].isSegmentRegister() && (in.op == Op::Mov || in.op == Op::Pop))
    return in.operands[0].seg == Seg::Gs ? HazardKind::GsLoad : HazardKind::SegmentLoad;
  if (in.isPrivileged)
    return HazardKind::Privileged;
  uint8_t opcode = 0;
  for (uint8_t byte : map.bytesFrom(in.addr).take_front(in.length))
    if (opcode = byte;
        !(byte >= 0x40 && byte < 0x50) && byte != 0x66 && byte != 0xf2 && byte != 0xf3 && byte != 0x2e && byte != 0x3e)
      break;
  if (opcode == 0xca || opcode == 0xcb) // retf
    return HazardKind::FarTransfer;
  if (opcode == 0xff && (in.op == Op::Call || in.op == Op::Jmp)) // only the far forms have the trait
    return HazardKind::FarTransfer;
  // What is left of the opcodes that were looked at: virtualisation, enclaves, monitors. Undefined or harmless in user
  // mode, but not in ring 0.
  bool isHarmless = name == "xgetbv" || name == "rdtscp" || name == "xtest" || name == "xend" || name == "clzero" ||
                    name == "verr" || name == "verw" || name == "rdpid" || name == "extrq" || name == "insertq" ||
                    name.starts_with("rdrand") || name.starts_with("rdseed") || name == "xsavec" || name == "xrstor" ||
                    name == "serialize" || name == "xabort" || name.starts_with("incssp") || name == "rdsspq" ||
                    name == "saveprevssp" || name == "mov" || name == "pop" || name == "monitorx" || name == "mwaitx";
  if (isHarmless)
    return std::nullopt;
  return HazardKind::Privileged;
}

Error findHazards(Context &context) {
  const CodeMap &map = context.code;
  Analysis &analysis = context.analysis;
  for (const Remarkable &remarkable : map.remarkable) {
    if (remarkable.traits & x64::kGs)
      analysis.hazards.push_back({remarkable.addr, HazardKind::GsAccess, remarkable.proven});
    if ((remarkable.traits & x64::kVsyscall) && isCalled(map, remarkable.addr))
      analysis.hazards.push_back({remarkable.addr, HazardKind::VsyscallPage, remarkable.proven});
    if ((remarkable.traits & x64::kCpuid) && remarkable.proven)
      analysis.cpuids.push_back(remarkable.addr);
    if (!(remarkable.traits & x64::kSensitive))
      continue;
    std::optional<Instruction> in = x64::decode(map.bytesFrom(remarkable.addr), remarkable.addr);
    if (!in)
      continue;
    if (in->op == Op::Hlt && remarkable.proven)
      analysis.halts.push_back(remarkable.addr);
    if (std::optional<HazardKind> kind = kindOf(map, *in))
      analysis.hazards.push_back({remarkable.addr, *kind, remarkable.proven});
  }
  for (const ThreadPointerSetup &setup : analysis.threadPointer)
    if (setup.kind == ThreadPointerKind::ArchSetGs)
      analysis.hazards.push_back({setup.addr, HazardKind::ArchSetGs, true});
  return Error::success();
}

} // namespace osv::analysis

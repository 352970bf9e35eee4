// SPDX-License-Identifier: BSD-3-Clause
//
// Translates Zydis' view of an instruction into ours; see Decode.h.
#include "rewriter/x64/Decode.h"
#include <Zydis/Zydis.h>

using namespace llvm;

namespace osv::x64 {

static const ZydisDecoder &decoder() {
  static const ZydisDecoder instance = [] {
    ZydisDecoder d;
    ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_KNC, ZYAN_FALSE);
    return d;
  }();
  return instance;
}

static Reg generalRegister(ZydisRegister reg) {
  if (reg == ZYDIS_REGISTER_NONE)
    return Reg::None;
  if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP) // in no class that has an enclosing register
    return Reg::Rip;
  ZydisRegister wide = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
  if (wide >= ZYDIS_REGISTER_RAX && wide <= ZYDIS_REGISTER_R15)
    return Reg(wide - ZYDIS_REGISTER_RAX);
  return Reg::Other;
}

static Seg segmentOf(ZydisRegister reg) {
  switch (reg) {
  case ZYDIS_REGISTER_FS:
    return Seg::Fs;
  case ZYDIS_REGISTER_GS:
    return Seg::Gs;
  case ZYDIS_REGISTER_ES:
  case ZYDIS_REGISTER_CS:
  case ZYDIS_REGISTER_SS:
  case ZYDIS_REGISTER_DS:
    return Seg::Other;
  default:
    return Seg::Default;
  }
}

/// Zydis also decodes the instructions of a coprocessor that never ran Linux programs of the kind that we read, in
/// encodings that are undefined elsewhere.
static bool isOfKnightsCorner(const ZydisDecodedInstruction &in) {
  return in.encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX || in.meta.isa_ext == ZYDIS_ISA_EXT_KNC ||
         in.meta.isa_ext == ZYDIS_ISA_EXT_KNCE || in.meta.isa_ext == ZYDIS_ISA_EXT_KNCV;
}

static Op opOf(const ZydisDecodedInstruction &in) {
  if (in.meta.category == ZYDIS_CATEGORY_COND_BR)
    return Op::Jcc;
  switch (in.mnemonic) {
#define MAP(zydis, ours)                                                                                               \
  case ZYDIS_MNEMONIC_##zydis:                                                                                         \
    return Op::ours
    MAP(ADD, Add);
    MAP(AND, And);
    MAP(INT1, ArchInt1);
    MAP(CALL, Call);
    MAP(CLI, Cli);
    MAP(CMP, Cmp);
    MAP(HLT, Hlt);
    MAP(IN, In);
    MAP(INT, Int);
    MAP(INT3, Int3);
    MAP(IRET, Iret);
    MAP(IRETD, Iret);
    MAP(IRETQ, Iret);
    MAP(JMP, Jmp);
    MAP(LEA, Lea);
    MAP(MOV, Mov);
    MAP(MOVSXD, Movsxd);
    MAP(MOVZX, Movzx);
    MAP(MOVSX, Movsx);
    MAP(NOP, Nop);
    MAP(OR, Or);
    MAP(OUT, Out);
    MAP(POP, Pop);
    MAP(POPF, Popf);
    MAP(POPFQ, Popf);
    MAP(PUSH, Push);
    MAP(PUSHF, Pushf);
    MAP(PUSHFQ, Pushf);
    MAP(RDFSBASE, Rdfsbase);
    MAP(RDGSBASE, Rdgsbase);
    MAP(RDPKRU, Rdpkru);
    MAP(RET, Ret);
    MAP(SHL, Shl);
    MAP(STI, Sti);
    MAP(SUB, Sub);
    MAP(SWAPGS, Swapgs);
    MAP(SYSCALL, Syscall);
    MAP(SYSENTER, Sysenter);
    MAP(TEST, Test);
    MAP(WRFSBASE, Wrfsbase);
    MAP(WRGSBASE, Wrgsbase);
    MAP(WRPKRU, Wrpkru);
    MAP(XCHG, Xchg);
    MAP(XOR, Xor);
    MAP(LEAVE, Leave);
#undef MAP
  default:
    return Op::Other;
  }
}

static bool isHighByte(ZydisRegister reg) {
  return reg == ZYDIS_REGISTER_AH || reg == ZYDIS_REGISTER_CH || reg == ZYDIS_REGISTER_DH || reg == ZYDIS_REGISTER_BH;
}

static Operand makeOperand(const ZydisDecodedOperand &from, const ZydisDecodedInstruction &in, VAddr addr) {
  Operand to;
  to.bits = from.size;
  to.isRead = from.actions & ZYDIS_OPERAND_ACTION_MASK_READ;
  to.isWritten = from.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
  switch (from.type) {
  case ZYDIS_OPERAND_TYPE_REGISTER:
    to.reg = generalRegister(from.reg.value);
    to.isHighByte = isHighByte(from.reg.value);
    to.seg = segmentOf(from.reg.value);
    break;
  case ZYDIS_OPERAND_TYPE_MEMORY:
    to.kind = Operand::Memory;
    to.seg = segmentOf(from.mem.segment);
    if (to.seg == Seg::Other)
      to.seg = Seg::Default;
    to.base = generalRegister(from.mem.base);
    to.index = generalRegister(from.mem.index);
    to.scale = from.mem.scale;
    to.value = from.mem.disp.has_displacement ? from.mem.disp.value : 0;
    break;
  case ZYDIS_OPERAND_TYPE_IMMEDIATE:
    to.kind = Operand::Immediate;
    to.value = from.imm.value.s;
    if (from.imm.is_relative)
      to.value += int64_t((addr + in.length).raw());
    break;
  default:
    to.reg = Reg::Other;
    break;
  }
  return to;
}

std::optional<Instruction> decode(ArrayRef<uint8_t> bytes, VAddr addr) {
  ZydisDecodedInstruction in;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder(), bytes.data(), bytes.size(), &in, operands)))
    return std::nullopt;
  if (isOfKnightsCorner(in))
    return std::nullopt;
  Instruction result;
  result.addr = addr;
  result.length = in.length;
  result.op = opOf(in);
  result.mnemonicId = in.mnemonic;
  result.isPrivileged = in.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED;
  result.isBranch = in.meta.category == ZYDIS_CATEGORY_COND_BR || in.meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
                    in.meta.category == ZYDIS_CATEGORY_CALL || in.meta.category == ZYDIS_CATEGORY_RET ||
                    in.meta.category == ZYDIS_CATEGORY_INTERRUPT;
  if (in.cpu_flags) {
    result.readsFlags = in.cpu_flags->tested != 0;
    result.writesFlags =
        (in.cpu_flags->modified | in.cpu_flags->set_0 | in.cpu_flags->set_1 | in.cpu_flags->undefined) != 0;
  }
  for (unsigned i = 0; i < in.operand_count; i++) {
    const ZydisDecodedOperand &operand = operands[i];
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY)
      result.regsRead |= regBit(generalRegister(operand.mem.base)) | regBit(generalRegister(operand.mem.index));
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
      uint32_t bit = regBit(generalRegister(operand.reg.value));
      if (operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ)
        result.regsRead |= bit;
      if (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
        result.regsWritten |= bit;
    }
    if (i < in.operand_count_visible)
      result.operands.push_back(makeOperand(operand, in, addr));
  }
  return result;
}

StringRef Instruction::mnemonic() const {
  const char *name = ZydisMnemonicGetString(ZydisMnemonic(mnemonicId));
  return name ? name : "(bad)";
}

std::optional<VAddr> Instruction::staticAddress(const Operand &operand) const {
  if (!operand.isMem() || operand.index != Reg::None || operand.seg != Seg::Default)
    return std::nullopt;
  if (operand.base == Reg::Rip)
    return VAddr(end().raw() + operand.value);
  if (operand.base == Reg::None)
    return VAddr(operand.value);
  return std::nullopt;
}

std::string format(ArrayRef<uint8_t> bytes, VAddr addr) {
  static const ZydisFormatter formatter = [] {
    ZydisFormatter f;
    ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_ATT);
    ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
    ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZYDIS_PADDING_DISABLED);
    ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_ADDR_PADDING_RELATIVE, ZYDIS_PADDING_DISABLED);
    ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_DISP_PADDING, ZYDIS_PADDING_DISABLED);
    ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_IMM_PADDING, ZYDIS_PADDING_DISABLED);
    return f;
  }();
  ZydisDecodedInstruction in;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  char buffer[160];
  if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder(), bytes.data(), bytes.size(), &in, operands)) ||
      ZYAN_FAILED(ZydisFormatterFormatInstruction(&formatter, &in, operands, in.operand_count_visible, buffer,
                                                  sizeof buffer, addr.raw(), nullptr)))
    return "(bad)";
  return buffer;
}

} // namespace osv::x64

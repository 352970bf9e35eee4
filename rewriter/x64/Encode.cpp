// SPDX-License-Identifier: BSD-3-Clause
//
// See Encode.h. Uses Zydis' raw view (where in the bytes the displacement is), which Decode.h does not keep.
#include "rewriter/x64/Encode.h"
#include "rewriter/x64/Decode.h"
#include <Zydis/Zydis.h>

using namespace llvm;

namespace osv::x64 {

static MovedInstruction refuse(const char *why) {
  MovedInstruction moved;
  moved.refusal = why;
  return moved;
}

/// A direct jump, conditional or not, in its form with 32 bits.
static MovedInstruction moveBranch(const ZydisDecodedInstruction &in, ArrayRef<uint8_t> bytes, VAddr target) {
  MovedInstruction moved;
  if (in.mnemonic == ZYDIS_MNEMONIC_JMP) {
    moved.bytes = {0xe9, 0, 0, 0, 0}; // jmp rel32
    moved.fallsThrough = false;
  } else if (in.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && in.opcode >= 0x70 && in.opcode <= 0x7f) {
    moved.bytes = {0x0f, uint8_t(in.opcode + 0x10), 0, 0, 0, 0}; // 7x rel8 -> 0f 8x rel32
  } else if (in.opcode_map == ZYDIS_OPCODE_MAP_0F && in.opcode >= 0x80 && in.opcode <= 0x8f) {
    moved.bytes = {0x0f, in.opcode, 0, 0, 0, 0};
  } else {
    return refuse("has no form with a 32-bit target");
  }
  moved.field = PcField{uint8_t(moved.bytes.size() - 4), target, -4};
  return moved;
}

MovedInstruction moveInstruction(ArrayRef<uint8_t> bytes, VAddr addr) {
  static const ZydisDecoder decoder = [] {
    ZydisDecoder d;
    ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_KNC, ZYAN_FALSE);
    return d;
  }();
  ZydisDecodedInstruction in;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(), &in, operands)))
    return refuse("is no instruction");

  switch (in.meta.category) {
  case ZYDIS_CATEGORY_CALL:
    return refuse("is a call, whose return address would be the stub's");
  case ZYDIS_CATEGORY_SYSCALL:
  case ZYDIS_CATEGORY_SYSRET:
    return refuse("is a system call itself");
  case ZYDIS_CATEGORY_INTERRUPT:
    return refuse("is a software interrupt");
  default:
    break;
  }
  switch (in.mnemonic) {
  case ZYDIS_MNEMONIC_HLT:
    return refuse("is a hlt, which is replaced by a trap");
  case ZYDIS_MNEMONIC_XBEGIN:
    return refuse("begins a transaction");
  default:
    break;
  }
  for (unsigned i = 0; i < in.operand_count_visible; i++) {
    const ZydisDecodedOperand &operand = operands[i];
    if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operand.imm.is_relative)
      return moveBranch(in, bytes, addr + in.length + operand.imm.value.u);
  }

  MovedInstruction moved;
  moved.bytes.append(bytes.begin(), bytes.begin() + in.length);
  moved.fallsThrough = in.meta.category != ZYDIS_CATEGORY_UNCOND_BR && in.meta.category != ZYDIS_CATEGORY_RET &&
                       in.mnemonic != ZYDIS_MNEMONIC_UD2;
  for (unsigned i = 0; i < in.operand_count; i++) {
    const ZydisDecodedOperand &operand = operands[i];
    if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY)
      continue;
    if (operand.mem.base == ZYDIS_REGISTER_EIP)
      return refuse("addresses memory relative to a 32-bit instruction pointer");
    if (operand.mem.base != ZYDIS_REGISTER_RIP)
      continue;
    if (in.raw.disp.size != 32)
      return refuse("has a RIP-relative operand without a 32-bit displacement");
    moved.field = PcField{in.raw.disp.offset, addr + in.length + uint64_t(operand.mem.disp.value),
                          int8_t(in.raw.disp.offset - in.length)};
  }
  return moved;
}

} // namespace osv::x64

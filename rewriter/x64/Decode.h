// SPDX-License-Identifier: BSD-3-Clause
//
// Full decoding, with operands: the only place of the tool that sees Zydis (with Encode). Zydis' structures are large
// and say much that nobody here asks; what the analyses and the patcher reason about is restated in small types of our
// own, so that a decoded instruction can be kept in a vector.
//
// Slow (200 ns and more): decode what Shape.h's scan or a slice leads to, never the whole program.
#pragma once
#include "rewriter/elf/Address.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>
#include <string>

namespace osv::x64 {

/// General registers by their number in the encoding, whatever the width of the access.
enum class Reg : uint8_t {
  Rax,
  Rcx,
  Rdx,
  Rbx,
  Rsp,
  Rbp,
  Rsi,
  Rdi,
  R8,
  R9,
  R10,
  R11,
  R12,
  R13,
  R14,
  R15, // clang-format keeps these in a row
  Rip,
  None,
  Other, ///< vector, control, segment, ... registers
};

enum class Seg : uint8_t { Default, Fs, Gs, Other };

/// The mnemonics that somebody asks for; everything else is Other.
enum class Op : uint8_t {
  Other,
  Add,
  And,
  ArchInt1,
  Call,
  Cli,
  Cmp,
  Hlt,
  In,
  Int,
  Int3,
  Iret,
  Jcc,
  Jmp,
  Lea,
  Mov,
  Movsxd,
  Movzx,
  Movsx,
  Nop,
  Or,
  Out,
  Pop,
  Popf,
  Push,
  Pushf,
  Rdfsbase,
  Rdgsbase,
  Rdpkru,
  Ret,
  Shl,
  Sti,
  Sub,
  Swapgs,
  Syscall,
  Sysenter,
  Test,
  Wrfsbase,
  Wrgsbase,
  Wrpkru,
  Xchg,
  Xor,
  Leave,
};

struct Operand {
  enum Kind : uint8_t { Register, Memory, Immediate } kind = Register;
  uint16_t bits = 0; ///< width of the access
  bool isRead = false, isWritten = false;
  Reg reg = Reg::None;     ///< Register; Other for those that are not general
  bool isHighByte = false; ///< ah, ch, dh, bh
  Seg seg = Seg::Default;  ///< Memory; for Register: fs or gs itself, Other for the remaining segment registers
  Reg base = Reg::None, index = Reg::None;
  uint8_t scale = 0;
  int64_t value = 0; ///< Memory: displacement; Immediate: sign-extended value, or the address of a relative branch

  bool isReg(Reg r) const { return kind == Register && reg == r; }
  bool isMem() const { return kind == Memory; }
  bool isImm() const { return kind == Immediate; }
  bool isSegmentRegister() const { return kind == Register && seg != Seg::Default; }
};

constexpr uint32_t regBit(Reg r) { return r < Reg::Rip ? 1u << unsigned(r) : 0; }

struct Instruction {
  VAddr addr;
  uint8_t length = 0;
  Op op = Op::Other;
  bool isPrivileged = false; ///< raises #GP outside ring 0, by the architecture
  bool isBranch = false;     ///< jmp, jcc, call, ret, loop, interrupts
  uint32_t regsRead = 0;     ///< general registers, implicit ones included: bit regBit(r)
  uint32_t regsWritten = 0;
  bool readsFlags = false, writesFlags = false;
  unsigned mnemonicId = 0;                ///< for mnemonic()
  llvm::SmallVector<Operand, 3> operands; ///< the visible ones

  VAddr end() const { return addr + length; }
  bool reads(Reg r) const { return regsRead & regBit(r); }
  bool writes(Reg r) const { return regsWritten & regBit(r); }
  llvm::StringRef mnemonic() const; ///< "wrmsr"
  /// The address that a RIP-relative or absolute memory operand names.
  std::optional<VAddr> staticAddress(const Operand &operand) const;
};

/// The instruction at the beginning of `bytes`; nothing when they are none.
std::optional<Instruction> decode(llvm::ArrayRef<uint8_t> bytes, VAddr addr);

/// AT&T syntax: "movq %rax, %gs:0x10". "(bad)" for what is no instruction.
std::string format(llvm::ArrayRef<uint8_t> bytes, VAddr addr);

} // namespace osv::x64

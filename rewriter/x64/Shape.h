// SPDX-License-Identifier: BSD-3-Clause
//
// What finding code has to know about an instruction, and no more: how long it is, where control goes next, and whether
// somebody must look closer. Zydis needs about 100 ns for one instruction, which is 1.5 s for the 15 million of a
// 100 MB program; this table-driven scan needs about 5 ns. It decides no operand: whoever is told by a trait that an
// instruction matters decodes that one with Decode.h.
//
// The contract, which test/rewriter/unit checks over random bytes and real programs: whatever Zydis decodes has the
// same length here, the same flow, and every instruction that the analyses look for has its trait. The reverse does not
// hold: reserved encodings inside a valid opcode (a bad prefix, an unused /digit) may be accepted here.
#pragma once
#include "rewriter/elf/Address.h"
#include "llvm/ADT/ArrayRef.h"

namespace osv::x64 {

enum class Flow : uint8_t {
  Next,         ///< falls through
  Jcc,          ///< to `target`, or falls through
  Jmp,          ///< to `target`
  Call,         ///< to `target`, and back to the next instruction unless the callee does not return
  IndirectJmp,  ///< `jmp *`
  IndirectCall, ///< `call *`
  Return,       ///< ret, iret, sysret
  Stop,         ///< ud2, ud1, ud0, hlt: in a user program it never gets past them
  Invalid,      ///< no instruction, or it is cut off by the end of the bytes
};

enum Trait : uint8_t {
  kFs = 1,         ///< accesses memory through FS
  kGs = 2,         ///< accesses memory through GS
  kSyscall = 4,    ///< `syscall`
  kSensitive = 8,  ///< privileged, or changes segments, flags or protection keys: a full decode tells
  kRef = 16,       ///< RIP-relative lea: `value` is an address that is taken
  kImmRef = 32,    ///< an immediate is moved or pushed: `value` may be an address that is taken, unless in PIE
  kCpuid = 64,     ///< `cpuid`
  kVsyscall = 128, ///< an immediate is an address in the vsyscall page
};

struct Shape {
  uint8_t length = 1;
  Flow flow = Flow::Invalid;
  uint8_t traits = 0;
  uint64_t value = 0; ///< branch target, or what kRef says
};

/// The instruction at the beginning of `bytes`, which is at `addr`.
Shape scan(llvm::ArrayRef<uint8_t> bytes, VAddr addr);

} // namespace osv::x64

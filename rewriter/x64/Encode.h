// SPDX-License-Identifier: BSD-3-Clause
//
// Moving instructions. An instruction that is executed at another address must do what it did at its own: its bytes are
// kept as they are, because an encoder might choose others, and only what depends on the address is made a field for
// the linker: the displacement of a RIP-relative operand, and the target of a branch, which is widened to 32 bits.
//
// What cannot be moved is refused with the reason; whether it *should* be moved is the business of patch/.
#pragma once
#include "rewriter/elf/Address.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>

namespace osv::x64 {

/// A rel32 or disp32 in emitted code: it becomes `target` + addend - address of the field, where `addend` is minus the
/// distance from the field to the end of its instruction.
struct PcField {
  uint8_t offset; ///< of the field in the instruction
  VAddr target;
  int8_t addend;
};

struct MovedInstruction {
  llvm::SmallVector<uint8_t, 16> bytes;
  std::optional<PcField> field;
  bool fallsThrough = true;      ///< control may reach what follows
  const char *refusal = nullptr; ///< why it cannot be moved; nothing else is set then
};

/// The instruction at the beginning of `bytes`, which is at `addr`, for use elsewhere.
MovedInstruction moveInstruction(llvm::ArrayRef<uint8_t> bytes, VAddr addr);

inline constexpr unsigned kJumpSize = 5;    ///< jmp rel32
inline constexpr unsigned kSyscallSize = 2; ///< 0f 05

} // namespace osv::x64

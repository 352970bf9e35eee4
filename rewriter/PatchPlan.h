// SPDX-License-Identifier: BSD-3-Clause
//
// What shall happen to each system-call site, as data: made by patch/Plan, turned into edits and stubs by patch/Stubs,
// read by the reports. docs/rewriting.md explains the tactics.
#pragma once
#include "rewriter/elf/Address.h"
#include "llvm/ADT/SmallVector.h"
#include <string>
#include <vector>

namespace osv {

enum class Tactic : uint8_t {
  None,  ///< the `syscall` stays as it is, and enters the kernel through the CPU
  S0,    ///< the one instruction before it becomes the jump
  S1,    ///< several instructions before it do
  B,     ///< it and what follows do
  Mixed, ///< what precedes, itself and what follows do
};
inline constexpr unsigned kNumTactics = 5;
const char *name(Tactic tactic);

/// A `syscall` instruction and the decision about it.
struct SitePlan {
  /// A tactic that was considered and why it would not do.
  struct Refusal {
    Tactic tactic;
    std::string reason;
  };

  VAddr site;
  Tactic tactic = Tactic::None;
  bool isTarget = false;                     ///< something branches to the `syscall` itself
  AddrRange range = {};                      ///< the bytes that are replaced; empty for None
  llvm::SmallVector<VAddr, 4> before, after; ///< the instructions that move, in order
  llvm::SmallVector<Refusal, 4> refused;     ///< for None, Tactic::None says why nothing was tried at all
  uint32_t stub = 0, stubSize = 0;           ///< in StubCode::bytes

  bool overwritesSyscall() const { return tactic == Tactic::B || tactic == Tactic::Mixed; }
};

struct PatchPlan {
  std::vector<SitePlan> sites; ///< ascending
  std::vector<VAddr> halts;    ///< `hlt` that becomes a trap; ascending

  unsigned count(Tactic tactic) const {
    unsigned n = 0;
    for (const SitePlan &site : sites)
      n += site.tactic == tactic;
    return n;
  }
};

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Finds the tables behind indirect jumps. Not for other stages than FindCode.
#pragma once
#include "rewriter/CodeMap.h"

namespace osv::analysis {

/// One table that an indirect jump may use. `bound` is the number of entries that a comparison allows; 0: unknown.
struct TableCandidate {
  VAddr jump, table, base;
  uint8_t entrySize;
  unsigned bound;
  bool isCertain; ///< the table's address is a constant at the jump, not one of several that its register may hold
};

struct IndirectJump {
  std::vector<TableCandidate> candidates;
  bool isTable = false;   ///< has the form of a table jump, even if no candidate was found
  bool isPointer = false; ///< goes where a single word of memory says
};

/// Looks backwards from the proven `jmp *` at `jump`.
IndirectJump analyseIndirectJump(const elf::Image &image, const CodeMap &map, VAddr jump);

/// Entry `index` of the table; nothing when it cannot be one: not code, or outside the jump's function. Only a table
/// with a bound may lead to another function, because compilers move the unlikely cases of a switch elsewhere.
std::optional<VAddr> tableEntry(const elf::Image &image, const CodeMap &map, const TableCandidate &candidate,
                                unsigned index);

/// The bounds of the function around `addr`; a guess of 64 KiB on both sides when they are not known.
AddrRange functionRange(const CodeMap &map, VAddr addr);

inline constexpr unsigned kMostEntries = 8192; ///< of a table whose bound is not known

} // namespace osv::analysis

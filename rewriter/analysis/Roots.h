// SPDX-License-Identifier: BSD-3-Clause
//
// Where finding code begins: what the file's own tables say about functions. Not for other stages than FindCode.
#pragma once
#include "rewriter/CodeMap.h"

namespace osv::analysis {

struct Roots {
  std::vector<Function> functions; ///< unsorted, may repeat
  std::vector<VAddr> strict;       ///< instructions that are certainly executed: entry, initialisers, landing pads
  std::vector<VAddr> pointers;     ///< values that relocations make pointers into executable segments
};

/// FDEs of .eh_frame with their landing pads.
void addEhFrame(const elf::Image &image, Roots &roots);
/// Go's function table, also in stripped files. Formats of Go 1.16 to 1.26.
void addGoTable(const elf::Image &image, Roots &roots);
/// Entry, symbols, initialiser arrays, relocations.
void addElfTables(const elf::Image &image, Roots &roots);

} // namespace osv::analysis

// SPDX-License-Identifier: BSD-3-Clause
//
// Reader's parts for the tables behind the program headers. Not for other stages.
#pragma once
#include "rewriter/Diag.h"
#include "rewriter/elf/Image.h"

namespace osv::elf {

/// PT_DYNAMIC: needed libraries and relocations. Strict: a program is refused when the table is damaged.
llvm::Error readDynamic(Image &image, const ProgramHeader &ph);
/// PT_NOTE; damage is a warning.
void readNotes(Image &image, const ProgramHeader &ph, Diag &diag);
/// The section headers, whose table was checked to lie in the file; damage is a warning and leaves `sections` empty.
void readSections(Image &image, uint64_t offset, unsigned count, unsigned entrySize, unsigned namesIndex, Diag &diag);
/// .symtab, or else .dynsym; damage is a warning.
void readSymbols(Image &image, Diag &diag);

} // namespace osv::elf

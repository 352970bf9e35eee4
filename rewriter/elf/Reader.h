// SPDX-License-Identifier: BSD-3-Clause
//
// Reads and validates a static x86-64 Linux program. What comes out satisfies every promise of Image.h; what cannot is
// refused with a FindingError that names the field. Damage in tables that a program does not need to run (sections,
// symbols, notes) is reported as a warning and the table is left out.
#pragma once
#include "rewriter/Diag.h"
#include "rewriter/elf/Image.h"

namespace osv::elf {

/// Maps and parses the file at `path`.
llvm::Expected<Image> readImage(llvm::StringRef path, Diag &diag);

/// Parses a buffer; what `readImage` and the fuzzer share.
llvm::Expected<Image> parseImage(std::unique_ptr<llvm::MemoryBuffer> buffer, llvm::StringRef name, Diag &diag);

} // namespace osv::elf

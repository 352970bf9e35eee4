// SPDX-License-Identifier: BSD-3-Clause
//
// Turns what the stages decided into linker input: an object file that holds the program's pages, the manifest, the
// root file system, the stubs and the program's symbols, and the linker script that puts them into place. See
// docs/image-format.md.
#pragma once
#include "rewriter/Context.h"

namespace osv::link {

/// Writes the object file. I/O errors only.
llvm::Error writeProgramObject(const Context &ctx, int fd);
/// Upper bound of what the program adds to the kernel's own segments (manifest, stubs, root file system).
uint64_t kernelDataSize(const Context &ctx);
std::string makeLinkerScript(const Context &ctx);

} // namespace osv::link

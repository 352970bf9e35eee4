// SPDX-License-Identifier: BSD-3-Clause
//
// Turns what the stages decided into linker input: an object file that holds the program's pages, the manifest, the
// root file system, the stubs and the program's symbols, and the linker script that puts them into place. See
// docs/image-format.md.
#pragma once
#include "rewriter/Context.h"

namespace osv::link {

/// What an object file for the link has: an image's, or, to see how large another kernel would be, all but the program.
struct ObjectContents {
  bool program;
  llvm::ArrayRef<int64_t> leftOut; ///< system calls
};
/// Writes the object file. I/O errors only.
llvm::Error writeObject(const Context &ctx, const ObjectContents &contents, int fd);
/// What the program adds to the kernel's segments: manifest, stubs and root file system.
uint64_t programTablesSize(const Context &ctx);
/// Upper bound of what the program adds to the kernel's own segments (manifest, stubs, root file system).
uint64_t kernelDataSize(const Context &ctx);
std::string makeLinkerScript(const Context &ctx);

} // namespace osv::link

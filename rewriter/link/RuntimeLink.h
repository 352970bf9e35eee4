// SPDX-License-Identifier: BSD-3-Clause
//
// Links the program with the runtime kernel, with LLD as a library in this process, and publishes the image file.
#pragma once
#include "rewriter/Context.h"

namespace osv::link {

/// Size of the runtime archive's loaded sections: an upper bound of the kernel, since the link drops what is unused.
/// Fails with [runtime-missing].
llvm::Expected<uint64_t> runtimeSize(const Context &ctx);

/// Links and writes the image: all or nothing. `ctx.layout` is final. Fills ctx.kernelSize. Fails with [link-failed] or
/// [output-io].
llvm::Error linkImage(Context &ctx);

/// For -v: the kernel's part of the image, and the system calls that are not in it.
void printKernel(const Context &ctx, llvm::raw_ostream &os);

} // namespace osv::link

// SPDX-License-Identifier: BSD-3-Clause
//
// Is a file an image that a monitor can boot? Asked before QEMU is, whose answer to anything else is "could not load
// kernel".
#pragma once
#include "llvm/Support/Error.h"
#include <string>

namespace osv::run {

/// Success for an ELF file that holds all its segments and a PVH entry.
llvm::Error checkImage(const std::string &path);

} // namespace osv::run

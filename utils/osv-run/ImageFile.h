// SPDX-License-Identifier: BSD-3-Clause
//
// Is a file an image that a monitor can boot? Asked before QEMU is, whose answer to anything else is "could not load
// kernel".
#pragma once
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <string>

namespace osv::run {

/// Success for an ELF file that holds all its segments and a PVH entry, and that fits into `memory`, which is QEMU's -m
/// (one that is not understood is left to QEMU).
llvm::Error checkImage(const std::string &path, llvm::StringRef memory);

} // namespace osv::run

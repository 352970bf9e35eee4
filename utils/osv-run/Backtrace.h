// SPDX-License-Identifier: BSD-3-Clause
//
// Turns the addresses of a kernel panic into functions and lines.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"
#include <string>

namespace osv::run {

/// Prints one line a frame (more where functions were inlined), innermost first, from the symbols and DWARF of `image`.
/// `payload` is that of a Backtrace frame: little-endian u64 addresses. All but the first are return addresses.
void printBacktrace(llvm::raw_ostream &out, const std::string &image, llvm::StringRef payload);

} // namespace osv::run

// SPDX-License-Identifier: BSD-3-Clause
//
// Decides where everything goes: the pages of each program segment, the kernel's place in virtual memory, physical
// addresses, the heap. Pure arithmetic over the parsed program; emits nothing.
#pragma once
#include "rewriter/Context.h"

namespace osv::link {

inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kLargePage = 2 << 20;

/// Fills `ctx.layout` for a kernel of at most `kernelSize` bytes (rounded up to pages here).
/// Fails with [no-room].
llvm::Error layOut(Context &ctx, uint64_t kernelSize);

/// For -v.
void printLayout(const Context &ctx, llvm::raw_ostream &os);

/// The steps of `layOut`, for its unit test.
std::vector<ImageLayout::Piece> cutPieces(const elf::Image &image);
llvm::Expected<RunRange> placeKernel(llvm::ArrayRef<ImageLayout::Piece> pieces, uint64_t size);
void placePhysical(ImageLayout &layout);

} // namespace osv::link

// SPDX-License-Identifier: BSD-3-Clause
//
// Where the kernel and the pages of the program go.
#include "rewriter/link/Layout.h"
#include "gtest/gtest.h"

using namespace osv;
using namespace osv::link;
using Piece = ImageLayout::Piece;

namespace {

constexpr uint64_t kMiB = 1 << 20;

elf::Image image(std::initializer_list<elf::Segment> segments) {
  elf::Image result;
  result.segments = segments;
  return result;
}

elf::Segment segment(uint64_t vaddr, uint64_t filesz, uint64_t memsz, uint32_t flags = 5) {
  return {VAddr(vaddr), FileOff(vaddr & 0xffff), filesz, memsz, 4096, flags, {}};
}

/// The kernel's base for a program that occupies the given ranges.
std::optional<uint64_t> baseFor(std::initializer_list<elf::Segment> segments, uint64_t size) {
  auto range = placeKernel(cutPieces(image(segments)), size);
  if (!range) {
    llvm::consumeError(range.takeError());
    return std::nullopt;
  }
  EXPECT_EQ(range->size() % 4096, 0u);
  for (const elf::Segment &s : segments) // a free page on either side
    EXPECT_FALSE(RunRange({range->begin - 4096, range->end + 4096})
                     .overlaps({RunAddr(s.vaddr.raw() & -4096), RunAddr(s.end().alignUp(4096).raw())}));
  return range->begin.raw();
}

TEST(Layout, KernelBelowTheProgram) {
  EXPECT_EQ(baseFor({segment(0x400000, 0x1000, 0x1000)}, 300 << 10), 0x200000u);
  EXPECT_EQ(baseFor({segment(0x400000, 0x1000, 0x1000)}, 2 * kMiB - 4096), 0x200000u);
  // One page too large for that: lower, or elsewhere.
  EXPECT_EQ(baseFor({segment(0x400000, 0x1000, 0x1000)}, 2 * kMiB), 0x100000u);
  EXPECT_EQ(baseFor({segment(0x200000, 0x1000, 0x1000)}, 300 << 10), 0x100000u);
  EXPECT_EQ(baseFor({segment(0x100000, 0x1000, 0x1000)}, 300 << 10), 0x10000u);
}

TEST(Layout, TheWholeExtentIsTested) {
  // A small segment in the middle of the first candidate, bss that begins before and ends inside it, or covers it.
  EXPECT_EQ(baseFor({segment(0x280000, 1, 1), segment(0x400000, 0x1000, 0x1000)}, kMiB), 0x100000u);
  EXPECT_EQ(baseFor({segment(0x10000, 1, 0x200000), segment(0x400000, 1, 1)}, kMiB), 0x7fe00000u);
  EXPECT_EQ(baseFor({segment(0x10000, 1, 0x1000000)}, kMiB), 0x7fe00000u);
}

TEST(Layout, HeapKeepsItsRoomAboveTheProgram) {
  // Less than 1 GiB is left: still at the upper end of the largest gap.
  EXPECT_EQ(baseFor({segment(0x10000, 1, 0x50000000)}, kMiB), 0x7fe00000u);
  EXPECT_EQ(baseFor({segment(0x10000, 1, 1), segment(0x70000000, 1, 0x0fe00000)}, kMiB), 0x6fe00000u + 0xf0000);
}

TEST(Layout, NoRoom) {
  EXPECT_EQ(baseFor({segment(0x10000, 1, 0x7ffe0000)}, kMiB), std::nullopt);
  EXPECT_EQ(baseFor({segment(0x400000, 1, 1)}, uint64_t(3) << 30), std::nullopt);
  EXPECT_EQ(baseFor({segment(0x100000000, 1, 1)}, kMiB), std::nullopt); // text out of reach of every gap
  EXPECT_EQ(baseFor({segment(0x100000000, 1, 1, /*flags=*/6)}, kMiB), 0x200000u);
}

TEST(Layout, SegmentsThatShareAPage) {
  std::vector<Piece> pieces = cutPieces(image({segment(0x401000, 0x1100, 0x1100), segment(0x402100, 0x10, 0x100, 6)}));
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[0].size, 0x1000u);
  EXPECT_EQ(pieces[0].end, RunAddr(0x402000));
  EXPECT_EQ(pieces[1].start, RunAddr(0x402000));
  EXPECT_EQ(pieces[1].dataStart, RunAddr(0x402100));

  // Nothing is left of a segment that lies in the first page of the next.
  pieces = cutPieces(image({segment(0x401000, 0x10, 0x10), segment(0x401100, 0x10, 0x10)}));
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].segment, 1u);

  // Zeros begin at the next page.
  pieces = cutPieces(image({segment(0x401000, 0x10, 0x10), segment(0x401100, 0, 0x2000, 6)}));
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[1].dataStart, RunAddr(0x402000));
  EXPECT_EQ(pieces[1].end, RunAddr(0x403100));
  EXPECT_EQ(pieces[1].size, 0u);
}

TEST(Layout, PhysicalPlaces) {
  ImageLayout layout;
  layout.pieces = cutPieces(image({segment(0x400000, 0x1000, 0x1000, 4), segment(0x401000, 0x80000, 0x80000),
                                   segment(0x600000, 0x90000, 0x90000, 6)}));
  layout.kernel = {RunAddr(0x200000), RunAddr(0x240000)};
  placePhysical(layout);
  EXPECT_EQ(layout.kernelPhys, 0x200000u);
  EXPECT_EQ(layout.pieces[2].paddr, 0x100000u); // the largest goes first
  EXPECT_EQ(layout.pieces[1].paddr, 0x240000u); // does not fit before the kernel any more
  EXPECT_EQ(layout.pieces[0].paddr, 0x190000u); // but this one does
  EXPECT_EQ(layout.imageStart, 0x100000u);
  EXPECT_EQ(layout.imageEnd, 0x2c0000u);

  // The kernel keeps its residue modulo 2 MiB, and large pieces theirs.
  layout.pieces = cutPieces(image({segment(0x401000, 40 * kMiB, 40 * kMiB)}));
  layout.kernel = {RunAddr(0x10000), RunAddr(0x50000)};
  placePhysical(layout);
  EXPECT_EQ(layout.kernelPhys, 0x210000u);
  EXPECT_EQ(layout.pieces[0].paddr, 0x401000u);
}

} // namespace

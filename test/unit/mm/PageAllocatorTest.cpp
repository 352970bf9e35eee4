// SPDX-License-Identifier: BSD-3-Clause
#include "HostArch.h"
#include "kernel/arch/Mmu.h"
#include "gtest/gtest.h"
#include <cstring>
#include <random>
#include <set>

using namespace osv;

namespace {

struct PageAllocatorTest : testing::Test {
  void SetUp() override {
    test::bringUpMemory();
    before = memoryStats();
  }
  void TearDown() override { EXPECT_EQ(memoryStats().freePages, before.freePages); }
  MemoryStats before;
};

TEST_F(PageAllocatorTest, blocksAreAlignedAndZeroedOnRequest) {
  for (unsigned order = 0; order <= 10; order++) {
    auto p = allocPages(order);
    ASSERT_TRUE(p.ok());
    EXPECT_EQ(p->value % (kPageSize << order), 0u);
    memset(arch::directMap(*p), 0xa5, kPageSize << order);
    freePages(*p, order);
    auto q = allocPages(order, Zero::Yes);
    ASSERT_TRUE(q.ok());
    auto *bytes = static_cast<const unsigned char *>(arch::directMap(*q));
    for (size_t i = 0; i < kPageSize << order; i++)
      ASSERT_EQ(bytes[i], 0);
    freePages(*q, order);
  }
}

TEST_F(PageAllocatorTest, everyPageIsGivenOutOnceAndTheBuddiesMergeAgain) {
  auto large = allocPages(12);
  ASSERT_TRUE(large.ok());
  freePages(*large, 12);
  std::set<uint64_t> pages;
  for (;;) {
    auto p = allocPages();
    if (!p.ok()) {
      EXPECT_EQ(p.error(), Errno::NoMem);
      break;
    }
    EXPECT_LT(p->value, test::kRamSize);
    EXPECT_TRUE(pages.insert(p->value).second);
  }
  EXPECT_EQ(pages.size(), before.freePages);
  EXPECT_EQ(memoryStats().freePages, 0u);
  for (uint64_t p : pages)
    freePages(PAddr(p));
  auto again = allocPages(12);
  ASSERT_TRUE(again.ok());
  freePages(*again, 12);
}

TEST_F(PageAllocatorTest, hopelessOrdersFail) {
  EXPECT_EQ(allocPages(18).error(), Errno::NoMem);
  EXPECT_EQ(allocPages(40).error(), Errno::NoMem);
}

TEST_F(PageAllocatorTest, countsKeepAPage) {
  PAddr p = allocPages().take();
  EXPECT_EQ(pageRefs(p), 1u);
  retainPage(p);
  EXPECT_EQ(pageRefs(p), 2u);
  releasePage(p);
  EXPECT_EQ(memoryStats().freePages, before.freePages - 1);
  releasePage(p); // TearDown sees whether it is back
}

TEST_F(PageAllocatorTest, splitBlocksAreReleasedPageByPage) {
  PAddr p = allocPages(9).take();
  splitPages(p, 9);
  for (unsigned i = 0; i < 512; i++) {
    EXPECT_EQ(pageRefs(p + i * kPageSize), 1u);
    releasePage(p + i * kPageSize);
  }
  PAddr q = allocPages(9).take();
  freePages(q, 9);
}

TEST_F(PageAllocatorTest, adoptedPagesAreOrdinaryPages) {
  PAddr start = test::kImageStart + (1 << 20), end = start + 5 * kPageSize;
  auto total = memoryStats().totalPages;
  ASSERT_TRUE(adoptPages(start, end).ok());
  ASSERT_TRUE(adoptPages(end - kPageSize, end + kPageSize).ok()); // the page in common is retained
  EXPECT_EQ(memoryStats().totalPages, total + 6);
  EXPECT_EQ(pageRefs(end - kPageSize), 2u);
  auto free = memoryStats().freePages;
  for (PAddr p = start; p < end + kPageSize; p += kPageSize)
    releasePage(p);
  EXPECT_EQ(memoryStats().freePages, free + 5);
  releasePage(end - kPageSize);
  EXPECT_EQ(memoryStats().freePages, free + 6);
  before = memoryStats();
}

TEST_F(PageAllocatorTest, randomBlocksNeverOverlap) {
  std::mt19937_64 rng(12345);
  struct Block {
    PAddr p;
    unsigned order;
    uint64_t mark;
  };
  std::vector<Block> blocks;
  auto check = [](const Block &b) {
    for (size_t i = 0; i < size_t{1} << b.order; i++)
      ASSERT_EQ(*static_cast<uint64_t *>(arch::directMap(b.p + i * kPageSize)), b.mark);
  };
  for (unsigned i = 0; i < 50000; i++) {
    if (rng() % 2) {
      unsigned order = static_cast<unsigned>(std::min(rng() % 10, rng() % 10));
      auto p = allocPages(order);
      if (!p.ok())
        continue;
      Block b{*p, order, rng()};
      for (size_t j = 0; j < size_t{1} << order; j++)
        *static_cast<uint64_t *>(arch::directMap(b.p + j * kPageSize)) = b.mark;
      blocks.push_back(b);
    } else if (!blocks.empty()) {
      size_t j = rng() % blocks.size();
      check(blocks[j]);
      freePages(blocks[j].p, blocks[j].order);
      blocks[j] = blocks.back();
      blocks.pop_back();
    }
  }
  for (const Block &b : blocks) {
    check(b);
    freePages(b.p, b.order);
  }
}

} // namespace

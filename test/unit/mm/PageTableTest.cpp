// SPDX-License-Identifier: BSD-3-Clause
#include "HostArch.h"
#include "arch/x64/Mmu.h"
#include "gtest/gtest.h"
#include <map>
#include <random>

using namespace osv;
using namespace osv::arch;

namespace {

struct PageTableTest : testing::Test {
  void SetUp() override {
    test::bringUpMemory();
    before = memoryStats().freePages;
    table = PageTable::create().take();
  }
  void TearDown() override {
    table.destroy();
    EXPECT_EQ(memoryStats().freePages, before);
  }
  static void release(void *, Mapping m, VAddr) {
    if (m.large)
      freePages(m.phys, 9);
    else
      releasePage(m.phys);
  }
  PageTable table;
  uint64_t before;
};

TEST_F(PageTableTest, mapsQueriesAndUnmaps) {
  PAddr p = allocPages().take();
  VAddr v(0x7fff'1234'5000);
  Mapping m;
  EXPECT_FALSE(table.query(v, m));
  ASSERT_TRUE(table.map(v, p, Prot::ReadWrite).ok());
  ASSERT_TRUE(table.query(v + 0x123, m));
  EXPECT_EQ(m.phys, p);
  EXPECT_EQ(m.prot, Prot::ReadWrite);
  EXPECT_FALSE(m.large);
  EXPECT_FALSE(table.query(v + kPageSize, m));
  ASSERT_TRUE(table.unmap(v, kPageSize, release, nullptr).ok());
  EXPECT_FALSE(table.query(v, m));
}

TEST_F(PageTableTest, protNoneKeepsThePage) {
  PAddr p = allocPages().take();
  VAddr v(0x400000);
  Mapping m;
  ASSERT_TRUE(table.map(v, p, Prot::ReadWrite).ok());
  ASSERT_TRUE(table.protect(v, kPageSize, Prot::None).ok());
  ASSERT_TRUE(table.query(v, m));
  EXPECT_EQ(m.prot, Prot::None);
  EXPECT_EQ(m.phys, p);
  ASSERT_TRUE(table.protect(v, kPageSize, Prot::ReadExec).ok());
  ASSERT_TRUE(table.query(v, m));
  EXPECT_EQ(m.prot, Prot::ReadExec);
  ASSERT_TRUE(table.unmap(v, kPageSize, release, nullptr).ok());
}

TEST_F(PageTableTest, pagesWhoseWritesFaultStayReadOnly) {
  PAddr p = allocPages().take();
  VAddr v(0x400000);
  Mapping m;
  ASSERT_TRUE(table.map(v, p, Prot::ReadWrite, Cache::WriteBack, OnWrite::Fault).ok());
  ASSERT_TRUE(table.protect(v, kPageSize, Prot::Read).ok());
  ASSERT_TRUE(table.protect(v, kPageSize, Prot::ReadWrite).ok());
  ASSERT_TRUE(table.query(v, m));
  EXPECT_EQ(m.prot, Prot::Read);
  EXPECT_TRUE(m.writeFaults);
  auto s = table.slot(v).take();
  EXPECT_TRUE(PageTable::fill(s, p, Prot::ReadWrite, OnWrite::Allow));
  EXPECT_FALSE(PageTable::fill(s, p, Prot::ReadWrite, OnWrite::Allow)); // no longer what was seen
  ASSERT_TRUE(table.query(v, m));
  EXPECT_EQ(m.prot, Prot::ReadWrite);
  ASSERT_TRUE(table.unmap(v, kPageSize, release, nullptr).ok());
}

TEST_F(PageTableTest, largePagesAreCut) {
  PAddr p = allocPages(9).take();
  VAddr v(0x40000000);
  Mapping m;
  ASSERT_TRUE(table.mapLarge(v, p, Prot::ReadWrite).ok());
  EXPECT_EQ(table.mapLarge(v, p, Prot::ReadWrite).error(), Errno::Exist);
  ASSERT_TRUE(table.query(v + 0x5123, m));
  EXPECT_TRUE(m.large);
  EXPECT_EQ(m.phys, p + 0x5000);
  ASSERT_TRUE(table.unmap(v + 0x5000, 0x1000, release, nullptr).ok());
  EXPECT_FALSE(table.query(v + 0x5000, m));
  ASSERT_TRUE(table.protect(v + 0x1000, 0x1000, Prot::Read).ok());
  ASSERT_TRUE(table.query(v + 0x1000, m));
  EXPECT_EQ(m.prot, Prot::Read);
  ASSERT_TRUE(table.query(v + 0x6000, m));
  EXPECT_EQ(m.prot, Prot::ReadWrite);
  EXPECT_EQ(m.phys, p + 0x6000);
  EXPECT_EQ(table.nextMapped(v + 0x5000, v + kLargePageSize), v + 0x6000);
  ASSERT_TRUE(table.unmap(v, kLargePageSize, release, nullptr).ok());
  EXPECT_EQ(table.nextMapped(v, v + kLargePageSize), v + kLargePageSize);
}

TEST_F(PageTableTest, movesLargePagesWholeOrInPieces) {
  PAddr p = allocPages(9).take();
  VAddr a(0x40000000), b(0x7f8000000000), c(0x50001000);
  Mapping m;
  ASSERT_TRUE(table.mapLarge(a, p, Prot::ReadWrite).ok());
  ASSERT_TRUE(table.move(a, b, kLargePageSize).ok());
  EXPECT_FALSE(table.query(a, m));
  ASSERT_TRUE(table.query(b, m));
  EXPECT_TRUE(m.large);
  ASSERT_TRUE(table.move(b, c, kLargePageSize).ok());
  EXPECT_FALSE(table.query(b, m));
  ASSERT_TRUE(table.query(c + 0x3000, m));
  EXPECT_FALSE(m.large);
  EXPECT_EQ(m.phys, p + 0x3000);
  ASSERT_TRUE(table.unmap(c, kLargePageSize, release, nullptr).ok());
}

TEST_F(PageTableTest, emptyTablesAreFreedWithinTheGivenBounds) {
  uint64_t free = memoryStats().freePages;
  PAddr p = allocPages().take();
  VAddr v(0x4000'0000'1000);
  ASSERT_TRUE(table.map(v, p, Prot::Read).ok());
  EXPECT_EQ(memoryStats().freePages, free - 4); // the page and three tables
  ASSERT_TRUE(table.unmap(v, kPageSize, release, nullptr).ok());
  EXPECT_EQ(memoryStats().freePages, free - 3);
  ASSERT_TRUE(table.unmap(v, kPageSize, release, nullptr, VAddr(0x3fff'0000'0000), VAddr(0x4100'0000'0000)).ok());
  EXPECT_EQ(memoryStats().freePages, free);
}

TEST_F(PageTableTest, hugeEmptyRangesCostLittle) {
  unsigned flushes = test::flushCount;
  ASSERT_TRUE(table.unmap(VAddr(0x10000), 0x7ffffff00000, release, nullptr).ok());
  ASSERT_TRUE(table.protect(VAddr(0x10000), 0x7ffffff00000, Prot::Read).ok());
  EXPECT_EQ(test::flushCount, flushes); // nothing was there: nothing to forget
}

/// Random operations against a map of pages.
TEST_F(PageTableTest, agreesWithAMap) {
  std::mt19937_64 rng(4711);
  std::map<uint64_t, std::pair<uint64_t, Prot>> model;
  constexpr uint64_t base = 0x7fc0'0000'0000 - 64 * kLargePageSize, pages = 128 * 512;
  const Prot prots[] = {Prot::None, Prot::Read, Prot::ReadWrite, Prot::ReadExec, Prot::All};
  for (unsigned i = 0; i < 20000; i++) {
    uint64_t v = base + rng() % pages * kPageSize;
    uint64_t len = (1 + rng() % (rng() % 8 ? 20 : 2000)) * kPageSize;
    Prot prot = prots[rng() % 5];
    switch (rng() % 5) {
    case 0:
    case 1: {
      if (model.count(v) || model.size() > 9000)
        break;
      PAddr p = allocPages().take();
      ASSERT_TRUE(table.map(VAddr(v), p, prot).ok());
      model[v] = {p.value, prot};
      break;
    }
    case 2: {
      v = roundDown(v, kLargePageSize);
      if (model.lower_bound(v) != model.lower_bound(v + kLargePageSize) || model.size() > 6000)
        break;
      auto block = allocPages(9);
      if (!block.ok()) // fragmented
        break;
      PAddr p = *block;
      if (!table.mapLarge(VAddr(v), p, prot).ok()) {
        freePages(p, 9); // an empty table is in the way
        break;
      }
      for (unsigned j = 0; j < 512; j++)
        model[v + j * kPageSize] = {p.value + j * kPageSize, prot};
      break;
    }
    case 3:
      ASSERT_TRUE(table.unmap(VAddr(v), len, release, nullptr).ok());
      model.erase(model.lower_bound(v), model.lower_bound(v + len));
      break;
    case 4:
      ASSERT_TRUE(table.protect(VAddr(v), len, prot).ok());
      for (auto it = model.lower_bound(v); it != model.end() && it->first < v + len; ++it)
        it->second.second = prot;
      break;
    }
    if (i % 64 == 0) {
      Mapping m;
      for (uint64_t w = v; w < v + 64 * kPageSize; w += kPageSize) {
        auto it = model.find(w);
        ASSERT_EQ(table.query(VAddr(w), m), it != model.end());
        if (it != model.end()) {
          ASSERT_EQ(m.phys.value, it->second.first);
          ASSERT_EQ(m.prot, it->second.second);
        }
      }
      auto it = model.lower_bound(v);
      ASSERT_EQ(table.nextMapped(VAddr(v), VAddr(base + pages * kPageSize)).value,
                it == model.end() ? base + pages * kPageSize : std::min(it->first, base + pages * kPageSize));
    }
  }
  ASSERT_TRUE(table.unmap(VAddr(0x10000), 0x7ffffff00000, release, nullptr).ok());
}

} // namespace

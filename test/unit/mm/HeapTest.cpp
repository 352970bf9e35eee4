// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/mm/Heap.h"
#include "HostArch.h"
#include "gtest/gtest.h"
#include <cstring>
#include <random>

using namespace osv;

namespace {

struct HeapTest : testing::Test {
  void SetUp() override { test::bringUpMemory(); }
};

TEST_F(HeapTest, alignment) {
  for (size_t size = 0; size <= 9000; size += 8) {
    void *p = heapAlloc(size);
    ASSERT_NE(p, nullptr);
    size_t want = size && size % 64 == 0 ? 64 : 16;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % want, 0u) << size;
    memset(p, 0x5a, size);
    heapFree(p);
  }
  for (size_t align = 16; align <= 4096; align *= 2) {
    void *p = heapAlloc(100, align);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % align, 0u);
    heapFree(p);
  }
  heapFree(nullptr);
}

TEST_F(HeapTest, sizesThatCannotBeHadAreNull) {
  EXPECT_EQ(heapAlloc(test::kRamSize * 2), nullptr);
  EXPECT_EQ(heapAlloc(~size_t{0} - 100), nullptr);
  EXPECT_EQ(heapAlloc(16, 8192), nullptr);
}

TEST_F(HeapTest, randomObjectsKeepTheirContentsAndMemoryComesBack) {
  std::mt19937_64 rng(999);
  struct Object {
    unsigned char *p;
    size_t size;
    unsigned char mark;
  };
  uint64_t freeAtFirst = 0;
  for (int round = 0; round < 3; round++) {
    std::vector<Object> live;
    for (unsigned i = 0; i < 40000; i++) {
      if (rng() % 5 < 3) {
        size_t size = rng() % (rng() % 16 ? 600 : 12000);
        auto *p = static_cast<unsigned char *>(heapAlloc(size));
        if (!p)
          continue;
        auto mark = static_cast<unsigned char>(rng());
        memset(p, mark, size);
        live.push_back({p, size, mark});
      } else if (!live.empty()) {
        size_t j = rng() % live.size();
        for (size_t k = 0; k < live[j].size; k++)
          ASSERT_EQ(live[j].p[k], live[j].mark);
        heapFree(live[j].p);
        live[j] = live.back();
        live.pop_back();
      }
    }
    for (const Object &o : live)
      heapFree(o.p);
    if (round == 0)
      freeAtFirst = memoryStats().freePages; // one empty slab a class stays
    EXPECT_EQ(memoryStats().freePages, freeAtFirst);
  }
}

} // namespace

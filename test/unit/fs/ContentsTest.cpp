// SPDX-License-Identifier: BSD-3-Clause
//
// IoBuffer, file contents against a model, the descriptor table, advisory locks.
#include "HostKernel.h"
#include "kernel/fs/EventFile.h"
#include "kernel/fs/FileData.h"
#include "kernel/fs/FileLocks.h"
#include "kernel/fs/FileTable.h"
#include "kernel/mm/Heap.h"
#include "kernel/mm/PageAllocator.h"
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <random>

using namespace osv;
using namespace osv::test;

namespace {

VAddr addressOf(const void *p) { return VAddr(reinterpret_cast<uint64_t>(p)); }

TEST(IoBuffer, WalksTheVector) {
  char a[3], b[5];
  struct iovec vec[] = {{a, 3}, {nullptr, 0}, {b, 5}};
  IoBuffer io = IoBuffer::user(vec);
  EXPECT_EQ(io.remaining(), 8u);
  EXPECT_EQ(*io.copyOut("01", 2), 2u);
  EXPECT_EQ(*io.copyOut("234567xyz", 9), 6u);
  EXPECT_EQ(io.remaining(), 0u);
  EXPECT_EQ(std::string(a, 3) + std::string(b, 5), "01234567");
  IoBuffer in = IoBuffer::user(vec);
  in.skip(2);
  char out[8] = {};
  EXPECT_EQ(*in.copyIn(out, 8), 6u);
  EXPECT_STREQ(out, "234567");
}

TEST(IoBuffer, FaultsOnlyWhenNothingWasCopied) {
  char a[4] = {};
  struct iovec vec[] = {{a, 4}, {reinterpret_cast<void *>(kBadAddress), 4}};
  IoBuffer io = IoBuffer::user(vec);
  EXPECT_EQ(*io.copyOut("12345678", 8), 4u);
  EXPECT_EQ(io.copyOut("5678", 4).error(), Errno::Fault);
  EXPECT_EQ(IoBuffer::user(VAddr(arch::kUserMax.value - 2), 4).copyOut("1234", 4).error(), Errno::Fault);
}

class Contents : public testing::Test {
protected:
  void SetUp() override { bringUp(); }
};

/// Random reads, writes, truncations and holes, compared with a plain string; archive contents below.
TEST_F(Contents, BehaveLikeAString) {
  std::mt19937 random(4711);
  for (bool archived : {false, true}) {
    uint64_t freeBefore = memoryStats().freePages;
    std::string image(archived ? 50'000 : 0, '\0'), model;
    for (char &c : image)
      c = static_cast<char>(random());
    model = image;
    {
      FileData data(image.data(), image.size());
      for (int step = 0; step < 3000; step++) {
        uint64_t at = random() % 100'000, n = random() % 9000;
        switch (random() % 8) {
        case 0:
          ASSERT_TRUE(data.truncate(at));
          model.resize(at);
          break;
        case 1: {
          bool keep = true;
          ASSERT_TRUE(data.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n + 1)) << keep;
          for (uint64_t i = at; i < std::min<uint64_t>(at + n + 1, model.size()); i++)
            model[i] = '\0';
          break;
        }
        case 2:
        case 3:
        case 4: {
          std::string bytes(n, static_cast<char>('A' + step % 26));
          IoBuffer io = IoBuffer::user(addressOf(bytes.data()), n);
          uint64_t end;
          ASSERT_EQ(*data.write(io, at, &end), n);
          ASSERT_EQ(end, at + n);
          if (n) {
            model.resize(std::max<size_t>(model.size(), at + n));
            model.replace(at, n, bytes);
          }
          break;
        }
        default: {
          std::string bytes(n, '?');
          IoBuffer io = IoBuffer::user(addressOf(bytes.data()), n);
          auto got = data.read(io, at);
          ASSERT_TRUE(got);
          bytes.resize(*got);
          ASSERT_EQ(bytes, at < model.size() ? model.substr(at, n) : "");
        }
        }
        ASSERT_EQ(data.size(), model.size());
      }
      if (!model.empty()) { // what a mapping sees
        auto page = data.page(0, false);
        ASSERT_TRUE(page);
        EXPECT_EQ(memcmp(arch::directMap(*page), model.data(), std::min<size_t>(model.size(), kPageSize)), 0);
        releasePage(*page);
      }
      EXPECT_EQ(data.page(roundUp(model.size(), kPageSize) / kPageSize, false).error(), Errno::Range);
    }
    EXPECT_EQ(memoryStats().freePages, freeBefore);
  }
}

TEST_F(Contents, AreSparse) {
  FileData data;
  IoBuffer io = IoBuffer::user(addressOf("x"), 1);
  uint64_t end;
  constexpr uint64_t kFar = uint64_t{1} << 40;
  ASSERT_TRUE(data.write(io, kFar, &end));
  EXPECT_EQ(data.allocatedPages(), 1u);
  EXPECT_EQ(*data.seekData(0, false), kFar);
  EXPECT_EQ(*data.seekData(0, true), 0u);
  EXPECT_EQ(*data.seekData(kFar, true), kFar + 1);
  EXPECT_EQ(data.seekData(kFar + 1, false).error(), Errno::NxIo);
  ASSERT_TRUE(data.truncate(10));
  EXPECT_EQ(data.allocatedPages(), 0u);
}

TEST_F(Contents, AppendGoesToTheEnd) {
  FileData data;
  uint64_t end;
  for (const char *s : {"one", "two"}) {
    IoBuffer io = IoBuffer::user(addressOf(s), 3);
    ASSERT_TRUE(data.write(io, FileData::kAppend, &end));
  }
  EXPECT_EQ(end, 6u);
  IoBuffer bad = IoBuffer::user(VAddr(kBadAddress), 3);
  EXPECT_EQ(data.write(bad, FileData::kAppend, &end).error(), Errno::Fault);
  EXPECT_EQ(data.size(), 6u);
}

TEST_F(Contents, DescriptorsAreTheLowest) {
  FileTable *table = FileTable::create().take();
  auto file = [] { return Ref<File>(Ref<EventFile>::adopt(make<EventFile>(0, false).take())); };
  for (int i = 0; i < 40; i++)
    ASSERT_EQ(*table->install(file(), false), i);
  ASSERT_TRUE(table->close(7));
  ASSERT_TRUE(table->close(3));
  EXPECT_EQ(*table->install(file(), true, 5), 7);
  EXPECT_EQ(*table->install(file(), false), 3);
  EXPECT_EQ(*table->closeOnExec(7), true);
  EXPECT_EQ(*table->install(file(), false), 40);
  EXPECT_EQ(*table->replace(50, file(), false), 50);
  EXPECT_EQ(table->replace(64, file(), false).error(), Errno::BadF);
  EXPECT_EQ(table->next(41), 50);
  EXPECT_EQ(table->get(45).error(), Errno::BadF);
  EXPECT_EQ(table->get(-1).error(), Errno::BadF);
  while (table->install(file(), false))
    ;
  EXPECT_EQ(table->install(file(), false).error(), Errno::MFile);
  for (int fd = table->next(0); fd >= 0; fd = table->next(fd))
    ASSERT_TRUE(table->close(fd));
  EXPECT_EQ(*table->install(file(), false), 0);
}

TEST_F(Contents, RecordLocksSplitAndConflict) {
  LockList locks;
  int a, b;
  ASSERT_TRUE(locks.set(&a, LockStyle::Record, F_WRLCK, 0, 99, false));
  ASSERT_TRUE(locks.set(&a, LockStyle::Record, F_UNLCK, 40, 59, false));
  EXPECT_TRUE(locks.set(&b, LockStyle::Record, F_WRLCK, 40, 59, false));
  EXPECT_EQ(locks.set(&b, LockStyle::Record, F_RDLCK, 30, 40, false).error(), Errno::Again);
  EXPECT_TRUE(locks.set(&a, LockStyle::Record, F_RDLCK, 0, 39, false)); // downgrade
  EXPECT_TRUE(locks.set(&b, LockStyle::Record, F_RDLCK, 30, 39, false));
  FileLock found;
  ASSERT_TRUE(locks.conflict(&b, LockStyle::Record, true, 60, ~0ull, &found));
  EXPECT_EQ(found.start, 60u);
  EXPECT_EQ(found.end, 99u);
  BlockHook other([&] {
    locks.releaseOwner(&a, LockStyle::Record);
    return true;
  });
  EXPECT_TRUE(locks.set(&b, LockStyle::Record, F_WRLCK, 0, ~0ull, true));
}

TEST_F(Contents, EventCounts) {
  auto f = Ref<EventFile>::adopt(make<EventFile>(0, false).take());
  f->flags = O_RDWR | O_NONBLOCK;
  Errno e;
  readText(*f, 8, &e);
  EXPECT_EQ(e, Errno::Again);
  uint64_t v = 5;
  std::string_view bytes(reinterpret_cast<char *>(&v), 8);
  EXPECT_EQ(*writeText(*f, bytes), 8u);
  EXPECT_EQ(*writeText(*f, bytes), 8u);
  EXPECT_EQ(f->poll(), 5u);
  std::string got = readText(*f, 8);
  EXPECT_EQ(*reinterpret_cast<uint64_t *>(got.data()), 10u);
  v = ~0ull;
  EXPECT_EQ(writeText(*f, bytes).error(), Errno::Inval);
  v = ~0ull - 1;
  EXPECT_EQ(*writeText(*f, bytes), 8u);
  EXPECT_EQ(f->poll(), 1u);
  v = 1;
  EXPECT_EQ(writeText(*f, bytes).error(), Errno::Again);
}

} // namespace

// SPDX-License-Identifier: BSD-3-Clause
//
// Pipes and fifos: order, capacity, atomic writes, blocking, the ends' life.
#include "kernel/fs/Pipe.h"
#include "HostKernel.h"
#include "kernel/fs/Inode.h"
#include "kernel/mm/Heap.h"
#include "kernel/mm/PageAllocator.h"
#include <gtest/gtest.h>
#include <linux/eventpoll.h>
#include <random>

using namespace osv;
using namespace osv::test;

namespace {

class Pipes : public testing::Test {
protected:
  void SetUp() override {
    bringUp();
    brokenPipes = 0;
    ASSERT_TRUE(makePipe(O_NONBLOCK, in, out));
  }
  Ref<File> in, out;
};

TEST_F(Pipes, CarryBytesInOrder) {
  std::mt19937 random(1);
  std::string sent, got;
  for (int i = 0; i < 2000; i++) {
    std::string piece(random() % 5000, static_cast<char>(random()));
    auto n = writeText(*out, piece);
    if (n)
      sent.append(piece, 0, *n);
    got += readText(*in, random() % 6000);
  }
  while (got.size() < sent.size())
    got += readText(*in, 4096);
  EXPECT_EQ(got, sent);
}

TEST_F(Pipes, HoldSixtyFourKib) {
  EXPECT_EQ(*writeText(*out, std::string(100'000, 'x')), 65536u);
  EXPECT_EQ(writeText(*out, "y").error(), Errno::Again);
  EXPECT_EQ(out->poll(), 0u);
  readText(*in, 1);
  EXPECT_EQ(out->poll(), 0u) << "a page must be free";
  readText(*in, 4095);
  EXPECT_EQ(out->poll(), uint32_t{EPOLLOUT | EPOLLWRNORM});
  EXPECT_EQ(in->poll(), uint32_t{EPOLLIN | EPOLLRDNORM});
}

TEST_F(Pipes, SmallWritesAreAtomic) {
  ASSERT_EQ(*writeText(*out, std::string(65536 - 100, 'x')), 65436u);
  EXPECT_EQ(writeText(*out, std::string(101, 'y')).error(), Errno::Again);
  EXPECT_EQ(*writeText(*out, std::string(100, 'y')), 100u);
  readText(*in, 100);
  EXPECT_EQ(*writeText(*out, std::string(5000, 'z')), 100u) << "above PIPE_BUF a part is written";
}

TEST_F(Pipes, EndWithTheirEnds) {
  ASSERT_TRUE(writeText(*out, "last"));
  out = {};
  EXPECT_EQ(in->poll(), uint32_t{EPOLLIN | EPOLLRDNORM | EPOLLHUP});
  EXPECT_EQ(readText(*in, 10), "last");
  Errno e;
  EXPECT_EQ(readText(*in, 10, &e), "");
  EXPECT_EQ(e, Errno{});
  EXPECT_EQ(in->poll(), uint32_t{EPOLLHUP});
}

TEST_F(Pipes, BreakWithoutReaders) {
  in = {};
  EXPECT_EQ(out->poll(), uint32_t{EPOLLOUT | EPOLLWRNORM | EPOLLERR});
  EXPECT_EQ(writeText(*out, "x").error(), Errno::Pipe);
  EXPECT_EQ(brokenPipes, 1u);
}

TEST_F(Pipes, BlockUntilThereIsDataOrRoom) {
  in->flags = O_RDONLY;
  out->flags = O_WRONLY;
  {
    BlockHook writer([&] { return writeText(*out, "now").ok(); });
    EXPECT_EQ(readText(*in, 10), "now");
  }
  ASSERT_EQ(*writeText(*out, std::string(65536, 'x')), 65536u);
  std::string drained;
  {
    BlockHook reader([&] {
      drained += readText(*in, 3000);
      return true;
    });
    EXPECT_EQ(*writeText(*out, std::string(70'000, 'y')), 70'000u);
  }
  EXPECT_GE(drained.size(), 70'000u);
  // A signal ends the wait: what was written counts, else the call fails.
  EXPECT_EQ(readText(*in, 100'000).size(), 135'536 - drained.size());
  Errno e;
  readText(*in, 1, &e);
  EXPECT_EQ(e, Errno::RestartSys);
}

TEST_F(Pipes, FaultsLeaveTheRestIntact) {
  ASSERT_TRUE(writeText(*out, "abcdef"));
  IoBuffer bad = IoBuffer::user(VAddr(kBadAddress), 4);
  EXPECT_EQ(in->read(bad).error(), Errno::Fault);
  EXPECT_EQ(readText(*in, 10), "abcdef");
}

TEST_F(Pipes, ChangeTheirSize) {
  Pipe &p = *in->asPipe()->pipe;
  EXPECT_EQ(*p.setCapacity(5000), 8192u);
  EXPECT_EQ(*writeText(*out, std::string(20'000, 'x')), 8192u);
  EXPECT_EQ(p.setCapacity(4096).error(), Errno::Busy);
  EXPECT_EQ(*p.setCapacity(1 << 20), 1u << 20);
  EXPECT_EQ(*writeText(*out, std::string(20'000, 'y')), 20'000u);
  EXPECT_EQ(readText(*in, 1 << 20), std::string(8192, 'x') + std::string(20'000, 'y'));
}

TEST_F(Pipes, GiveTheirMemoryBack) {
  uint64_t before = memoryStats().freePages;
  {
    Ref<File> a, b;
    ASSERT_TRUE(makePipe(0, a, b));
    ASSERT_TRUE(writeText(*b, std::string(65536, 'x')));
    EXPECT_LE(memoryStats().freePages + 16, before);
  }
  EXPECT_NEAR(static_cast<double>(memoryStats().freePages), static_cast<double>(before), 4);
}

TEST_F(Pipes, FifosWaitForTheOtherEnd) {
  auto inode = Ref<FifoInode>::adopt(make<FifoInode>(FsKind::Root, 0600u).take());
  EXPECT_EQ(inode->open(O_WRONLY | O_NONBLOCK).error(), Errno::NxIo);
  EXPECT_TRUE(inode->open(O_RDONLY | O_NONBLOCK));
  EXPECT_EQ(inode->open(O_RDONLY).error(), Errno::RestartSys);
  Ref<File> writer;
  BlockHook other([&] {
    auto r = inode->open(O_WRONLY | O_NONBLOCK);
    if (r)
      writer = r.take();
    return r.ok();
  });
  auto reader = inode->open(O_RDONLY);
  ASSERT_TRUE(reader);
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writeText(*writer, "through"));
  EXPECT_EQ(readText(**reader, 20), "through");
}

} // namespace

// SPDX-License-Identifier: BSD-3-Clause
//
// epoll sets over pipes: level, edge, one-shot; membership; files that go away; sets in sets.
#include "kernel/fs/Epoll.h"
#include "HostKernel.h"
#include "kernel/fs/Pipe.h"
#include "kernel/mm/Heap.h"
#include <gtest/gtest.h>
#include <vector>

using namespace osv;
using namespace osv::test;

namespace {

using Found = std::vector<std::pair<uint64_t, uint32_t>>;

class EpollSets : public testing::Test {
protected:
  void SetUp() override {
    bringUp();
    set = make();
    ASSERT_TRUE(makePipe(O_NONBLOCK, in, out));
  }
  static Ref<EpollFile> make() { return Ref<EpollFile>::adopt(osv::make<EpollFile>().take()); }
  static Result<void> control(EpollFile &s, int op, Ref<File> f, int fd, uint32_t events, uint64_t data = 1) {
    struct epoll_event e = {};
    e.events = events;
    e.data = data;
    return s.control(op, std::move(f), fd, e);
  }
  static Found collect(EpollFile &s, size_t most = 10) {
    Found found;
    (void)s.collect(
        most,
        [](void *ctx, size_t, const struct epoll_event &e) {
          static_cast<Found *>(ctx)->emplace_back(e.data, e.events);
          return true;
        },
        &found);
    return found;
  }
  static constexpr auto keep = [](void *ctx, size_t, const struct epoll_event &e) {
    static_cast<Found *>(ctx)->emplace_back(e.data, e.events);
    return true;
  };
  Ref<EpollFile> set;
  Ref<File> in, out;
};

TEST_F(EpollSets, LevelTriggeredStaysUntilItIsTaken) {
  ASSERT_TRUE(control(*set, EPOLL_CTL_ADD, in, 3, EPOLLIN, 42));
  EXPECT_EQ(collect(*set), Found{});
  EXPECT_EQ(set->poll(), 0u);
  ASSERT_TRUE(writeText(*out, "ab"));
  EXPECT_EQ(set->poll(), uint32_t{EPOLLIN | EPOLLRDNORM});
  EXPECT_EQ(collect(*set), (Found{{42, EPOLLIN}}));
  EXPECT_EQ(collect(*set), (Found{{42, EPOLLIN}}));
  readText(*in, 2);
  EXPECT_EQ(collect(*set), Found{});
}

TEST_F(EpollSets, EdgeTriggeredComesOncePerWrite) {
  ASSERT_TRUE(control(*set, EPOLL_CTL_ADD, in, 3, EPOLLIN | EPOLLET));
  ASSERT_TRUE(writeText(*out, "a"));
  EXPECT_EQ(collect(*set).size(), 1u);
  EXPECT_EQ(collect(*set).size(), 0u);
  ASSERT_TRUE(writeText(*out, "b"));
  EXPECT_EQ(collect(*set).size(), 1u);
}

TEST_F(EpollSets, OneShotIsDisarmedUntilModified) {
  ASSERT_TRUE(control(*set, EPOLL_CTL_ADD, in, 3, EPOLLIN | EPOLLONESHOT));
  ASSERT_TRUE(writeText(*out, "a"));
  EXPECT_EQ(collect(*set).size(), 1u);
  ASSERT_TRUE(writeText(*out, "b"));
  EXPECT_EQ(collect(*set).size(), 0u);
  ASSERT_TRUE(control(*set, EPOLL_CTL_MOD, in, 3, EPOLLIN | EPOLLONESHOT));
  EXPECT_EQ(collect(*set).size(), 1u);
}

TEST_F(EpollSets, SayWhenTheOtherEndHasGone) {
  ASSERT_TRUE(control(*set, EPOLL_CTL_ADD, in, 3, EPOLLIN));
  out = {};
  EXPECT_EQ(collect(*set), (Found{{1, EPOLLHUP}}));
}

TEST_F(EpollSets, CheckMembership) {
  EXPECT_EQ(control(*set, EPOLL_CTL_MOD, in, 3, EPOLLIN).error(), Errno::NoEnt);
  EXPECT_EQ(control(*set, EPOLL_CTL_DEL, in, 3, 0).error(), Errno::NoEnt);
  ASSERT_TRUE(control(*set, EPOLL_CTL_ADD, in, 3, EPOLLIN));
  EXPECT_EQ(control(*set, EPOLL_CTL_ADD, in, 3, EPOLLIN).error(), Errno::Exist);
  EXPECT_TRUE(control(*set, EPOLL_CTL_ADD, in, 4, EPOLLIN)) << "another descriptor of the same file";
  EXPECT_EQ(control(*set, 99, in, 3, EPOLLIN).error(), Errno::Inval);
  EXPECT_EQ(control(*set, EPOLL_CTL_ADD, set, 5, EPOLLIN).error(), Errno::Inval);
  ASSERT_TRUE(control(*set, EPOLL_CTL_DEL, in, 3, 0));
  ASSERT_TRUE(writeText(*out, "a"));
  EXPECT_EQ(collect(*set).size(), 1u);
}

TEST_F(EpollSets, LoseFilesThatGoAway) {
  ASSERT_TRUE(control(*set, EPOLL_CTL_ADD, in, 3, EPOLLIN));
  ASSERT_TRUE(control(*set, EPOLL_CTL_ADD, in, 4, EPOLLIN));
  ASSERT_TRUE(writeText(*out, "a"));
  in = {};
  EXPECT_EQ(collect(*set), Found{});
  // ... and a set that goes away leaves its files alone.
  ASSERT_TRUE(control(*set, EPOLL_CTL_ADD, out, 3, EPOLLOUT));
  set = {};
  EXPECT_EQ(out->watchers, nullptr);
}

TEST_F(EpollSets, Nest) {
  Ref<EpollFile> outer = make();
  ASSERT_TRUE(control(*outer, EPOLL_CTL_ADD, set, 9, EPOLLIN, 7));
  ASSERT_TRUE(control(*set, EPOLL_CTL_ADD, in, 3, EPOLLIN));
  EXPECT_EQ(collect(*outer), Found{});
  ASSERT_TRUE(writeText(*out, "a"));
  EXPECT_EQ(collect(*outer), (Found{{7, EPOLLIN}}));
  EXPECT_EQ(control(*set, EPOLL_CTL_ADD, outer, 9, EPOLLIN).error(), Errno::Loop);
  std::vector<Ref<EpollFile>> chain{set};
  for (;;) {
    Ref<EpollFile> next = make();
    auto r = control(*next, EPOLL_CTL_ADD, chain.back(), 9, EPOLLIN);
    if (!r) {
      EXPECT_EQ(r.error(), Errno::Loop);
      break;
    }
    chain.push_back(next);
    ASSERT_LT(chain.size(), 10u);
  }
}

TEST_F(EpollSets, GiveEverybodyATurn) {
  ASSERT_TRUE(control(*set, EPOLL_CTL_ADD, in, 3, EPOLLIN, 3));
  ASSERT_TRUE(control(*set, EPOLL_CTL_ADD, in, 4, EPOLLIN, 4));
  ASSERT_TRUE(writeText(*out, "a"));
  auto first = collect(*set, 1), second = collect(*set, 1);
  ASSERT_EQ(first.size(), 1u);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_NE(first[0].first, second[0].first);
}

TEST_F(EpollSets, WaitSleepsUntilAnEventTheDeadlineOrASignal) {
  ASSERT_TRUE(control(*set, EPOLL_CTL_ADD, in, 3, EPOLLIN));
  Found found;
  EXPECT_EQ(*set->wait(4, 0, keep, &found), 0u);
  EXPECT_EQ(*set->wait(4, 1, keep, &found), 0u);
  EXPECT_EQ(set->wait(4, kForever, keep, &found).error(), Errno::RestartSys);
  BlockHook writer([&] { return writeText(*out, "x").ok(); });
  EXPECT_EQ(*set->wait(4, kForever, keep, &found), 1u);
}

TEST_F(EpollSets, KeepTheEventWhenItCannotBeCopied) {
  ASSERT_TRUE(control(*set, EPOLL_CTL_ADD, in, 3, EPOLLIN | EPOLLET));
  ASSERT_TRUE(writeText(*out, "a"));
  EXPECT_EQ(
      set->collect(4, [](void *, size_t, const struct epoll_event &) { return false; }, nullptr).error(), Errno::Fault);
  EXPECT_EQ(collect(*set).size(), 1u);
}

} // namespace

// SPDX-License-Identifier: BSD-3-Clause
//
// The order of a run queue, and what it adds up to: shares of a CPU over a simulated second.
#include "kernel/sched/RunQueue.h"
#include <algorithm>
#include <deque>
#include <gtest/gtest.h>
#include <random>

using namespace osv;

namespace {

constexpr uint64_t kSlice = 1000;

/// One CPU: runs whoever is first for a slice, and counts.
struct Machine {
  RunQueue queue;
  std::vector<uint64_t> got;
  std::deque<SchedEntity> all;
  SchedEntity &add(uint32_t weight = 1024, uint8_t rt = 0) {
    SchedEntity &e = all.emplace_back();
    e.weight = weight;
    e.rtPriority = rt;
    queue.placeAfterSleep(e, kSlice / 2);
    queue.insert(e);
    got.push_back(0);
    return e;
  }
  size_t indexOf(const SchedEntity &e) {
    for (size_t i = 0; i < all.size(); i++)
      if (&all[i] == &e)
        return i;
    return ~0u;
  }
  SchedEntity &slice(uint64_t length = kSlice) {
    SchedEntity &e = *queue.first();
    queue.remove(e);
    queue.charge(e, length);
    got[indexOf(e)] += length;
    queue.insert(e);
    return e;
  }
  ~Machine() {
    while (queue.first())
      queue.remove(*queue.first());
  }
};

TEST(RunQueue, EqualThreadsShareEqually) {
  Machine m;
  for (int i = 0; i < 7; i++)
    m.add();
  for (int i = 0; i < 7000; i++)
    m.slice();
  for (uint64_t g : m.got)
    EXPECT_EQ(g, 1000 * kSlice);
}

TEST(RunQueue, EqualKeysRunInOrderOfArrival) {
  Machine m;
  SchedEntity &a = m.add(), &b = m.add(), &c = m.add();
  EXPECT_EQ(&m.slice(), &a);
  EXPECT_EQ(&m.slice(), &b);
  EXPECT_EQ(&m.slice(), &c);
}

// The first is held apart from the others: whatever comes and goes, the order is that of a sorted list in which equals
// keep their order of arrival.
TEST(RunQueue, IsASortedListOfThoseThatCame) {
  std::mt19937 random(7);
  RunQueue queue;
  std::deque<SchedEntity> all(24);
  for (uint32_t i = 0; i < all.size(); i++)
    all[i].weight = 1024 + i;
  std::vector<SchedEntity *> model;
  size_t longest = 0;
  for (int step = 0; step < 100'000; step++) {
    SchedEntity &e = all[random() % all.size()];
    ASSERT_EQ(e.queued, std::find(model.begin(), model.end(), &e) != model.end());
    if (e.queued) {
      queue.remove(e);
      model.erase(std::find(model.begin(), model.end(), &e));
    } else {
      e.vruntime = random() % 8;
      e.rtPriority = random() % 8 ? 0 : static_cast<uint8_t>(1 + random() % 2);
      queue.insert(e);
      auto after = [&](const SchedEntity *m) { return e.before(*m); };
      model.insert(std::find_if(model.begin(), model.end(), after), &e);
    }
    longest = std::max(longest, model.size());
    ASSERT_EQ(queue.empty(), model.empty());
    ASSERT_EQ(queue.first(), model.empty() ? nullptr : model.front());
    auto even = [&](SchedEntity &e) { return e.weight % 2 == 0; };
    auto found = std::find_if(model.rbegin(), model.rend(), [&](SchedEntity *m) { return even(*m); });
    ASSERT_EQ(queue.last(even), found == model.rend() ? nullptr : *found);
  }
  EXPECT_GT(longest, 12u);
  for (SchedEntity *e : model) { // and they leave in that order
    ASSERT_EQ(queue.first(), e);
    queue.remove(*e);
  }
  EXPECT_TRUE(queue.empty());
}

TEST(RunQueue, NiceWeightsGiveTheirShare) {
  EXPECT_EQ(weightOfNice(0), 1024u);
  for (int n = -20; n < 19; n++)
    EXPECT_NEAR(double(weightOfNice(n)) / weightOfNice(n + 1), 1.25, 0.06) << n;
  EXPECT_EQ(weightOfNice(-100), weightOfNice(-20));
  EXPECT_EQ(weightOfNice(100), weightOfNice(19));
  Machine m;
  m.add(weightOfNice(0));
  m.add(weightOfNice(5));
  for (int i = 0; i < 20000; i++)
    m.slice();
  EXPECT_NEAR(double(m.got[0]) / double(m.got[1]), 1024.0 / weightOfNice(5), 0.02);
}

TEST(RunQueue, SleeperMayNotClaimWhatItSlept) {
  Machine m;
  m.add();
  SchedEntity &sleeper = m.add();
  m.queue.remove(sleeper);
  for (int i = 0; i < 1000; i++)
    m.slice();
  m.queue.placeAfterSleep(sleeper, kSlice / 2);
  m.queue.insert(sleeper);
  EXPECT_EQ(&m.slice(), &sleeper) << "a sleeper runs at once";
  uint64_t before = m.got[0];
  for (int i = 0; i < 100; i++)
    m.slice();
  EXPECT_NEAR(double(m.got[0] - before), 50 * kSlice, 2 * kSlice) << "but then shares";
}

TEST(RunQueue, FloorNeverGoesBack) {
  Machine m;
  std::mt19937 random(1);
  for (int i = 0; i < 5; i++)
    m.add(weightOfNice(static_cast<int>(random() % 40) - 20));
  uint64_t floor = 0;
  for (int i = 0; i < 5000; i++) {
    m.slice(random() % 5000);
    EXPECT_GE(m.queue.floor(), floor);
    floor = m.queue.floor();
    if (random() % 4 == 0) {
      SchedEntity &e = m.all[random() % 5];
      m.queue.remove(e);
      e.vruntime = 0;
      m.queue.placeAfterSleep(e, kSlice);
      m.queue.insert(e);
    }
  }
}

TEST(RunQueue, MoveKeepsTheDistanceFromTheFloor) {
  Machine a, b;
  SchedEntity &mover = a.add();
  a.add();
  b.add();
  for (int i = 0; i < 100; i++)
    a.slice(), b.slice(10 * kSlice);
  uint64_t distance = mover.vruntime - a.queue.floor();
  a.queue.remove(mover);
  a.queue.makeRelative(mover);
  b.queue.makeAbsolute(mover);
  EXPECT_EQ(mover.vruntime - b.queue.floor(), distance);
}

TEST(RunQueue, MoveToAYoungQueueDoesNotWrap) {
  RunQueue young;
  RunQueue old;
  SchedEntity runner, mover;
  old.charge(runner, 1'000'000);
  mover.vruntime = old.floor() - kSlice; // behind its old floor by more than the new one is worth
  old.makeRelative(mover);
  young.makeAbsolute(mover);
  EXPECT_EQ(mover.vruntime, 0u);
}

TEST(RunQueue, RealTimeComesFirstByPriorityThenArrival) {
  Machine m;
  m.add();
  SchedEntity &low = m.add(1024, 1), &high = m.add(1024, 50), &second = m.add(1024, 50);
  EXPECT_EQ(m.queue.first(), &high);
  m.slice();
  EXPECT_EQ(m.queue.first(), &high) << "FIFO keeps the CPU";
  m.queue.remove(high);
  m.queue.placeLast(high);
  m.queue.insert(high);
  EXPECT_EQ(m.queue.first(), &second);
  m.queue.remove(second);
  m.queue.remove(high);
  EXPECT_EQ(m.queue.first(), &low);
}

TEST(RunQueue, YieldGoesBehindAllFairThreads) {
  Machine m;
  SchedEntity &a = m.add();
  SchedEntity &b = m.add(), &c = m.add();
  m.queue.remove(a);
  m.queue.placeLast(a);
  m.queue.insert(a);
  EXPECT_EQ(&m.slice(), &b);
  EXPECT_EQ(&m.slice(), &c);
  EXPECT_EQ(&m.slice(), &a);
}

TEST(RunQueue, WakeUpPreemptsOnlyWhenOwed) {
  SchedEntity running, woken;
  running.vruntime = 10000, woken.vruntime = 9500;
  EXPECT_FALSE(RunQueue::preempts(woken, running, 1000));
  woken.vruntime = 8000;
  EXPECT_TRUE(RunQueue::preempts(woken, running, 1000));
  woken.vruntime = 20000;
  EXPECT_FALSE(RunQueue::preempts(woken, running, 1000));
  woken.rtPriority = 1;
  EXPECT_TRUE(RunQueue::preempts(woken, running, 1000));
  running.rtPriority = 1;
  EXPECT_FALSE(RunQueue::preempts(woken, running, 0));
}

} // namespace

// SPDX-License-Identifier: BSD-3-Clause
//
// The rules of pending signals.
#include "kernel/signal/Queue.h"
#include <gtest/gtest.h>
#include <vector>

using namespace osv;

namespace {

struct Pending {
  PendingSignals p;
  std::vector<std::unique_ptr<QueuedSignal>> storage;
  void add(int signo, int value) {
    storage.push_back(std::make_unique<QueuedSignal>());
    storage.back()->info.si_signo = signo;
    storage.back()->info.si_int = value;
    addPending(p, signo, storage.back().get());
  }
  int take(int signo) {
    QueuedSignal *e = takePending(p, signo);
    return e ? e->info.si_int : -1;
  }
  ~Pending() { p.queue.clear(); }
};

TEST(SignalQueue, RealTimeSignalsKeepTheirOrderAndNumber) {
  Pending q;
  for (int i = 0; i < 5; i++) {
    q.add(34, i);
    q.add(40, 100 + i);
  }
  for (int i = 0; i < 5; i++) {
    EXPECT_TRUE(q.p.set & sigBit(40));
    EXPECT_EQ(q.take(40), 100 + i);
  }
  EXPECT_FALSE(q.p.set & sigBit(40));
  for (int i = 0; i < 5; i++)
    EXPECT_EQ(q.take(34), i);
  EXPECT_EQ(q.p.set, 0u);
  EXPECT_TRUE(q.p.queue.empty());
  q.add(34, 7); // the end of the list is still known after it became empty
  q.add(34, 8);
  EXPECT_EQ(q.take(34), 7);
  EXPECT_EQ(q.take(34), 8);
}

TEST(SignalQueue, StandardSignalsMerge) {
  Pending q;
  EXPECT_FALSE(merges(q.p, SIGUSR1));
  q.add(SIGUSR1, 1);
  EXPECT_TRUE(merges(q.p, SIGUSR1));
  EXPECT_FALSE(merges(q.p, SIGUSR2));
  q.add(34, 2);
  EXPECT_FALSE(merges(q.p, 34));
  EXPECT_FALSE(merges(q.p, 32));
  q.add(31, 0);
  EXPECT_TRUE(merges(q.p, 31));
}

TEST(SignalQueue, PendingWithoutInfo) {
  Pending q;
  addPending(q.p, 50, nullptr);
  q.add(51, 3);
  EXPECT_EQ(takePending(q.p, 50), nullptr);
  EXPECT_EQ(q.p.set, sigBit(51));
}

TEST(SignalQueue, InfoBehindOneWithout) {
  Pending q;
  addPending(q.p, 40, nullptr); // higher, and not in the list
  q.add(34, 1);
  q.add(12, 2);
  EXPECT_EQ(q.take(12), 2);
  EXPECT_EQ(q.take(34), 1);
  EXPECT_EQ(q.take(40), -1);
  EXPECT_EQ(q.p.set, 0u);
  q.add(kSignalCount, 3); // nothing can be higher
  q.add(kSignalCount, 4);
  EXPECT_EQ(q.take(kSignalCount), 3);
  EXPECT_EQ(q.take(kSignalCount), 4);
}

TEST(SignalQueue, FaultsComeFirstThenTheLowest) {
  EXPECT_EQ(nextSignal(sigBit(SIGHUP) | sigBit(SIGSEGV)), SIGSEGV);
  EXPECT_EQ(nextSignal(sigBit(SIGHUP) | sigBit(SIGUSR1)), SIGHUP);
  EXPECT_EQ(nextSignal(sigBit(64) | sigBit(34)), 34);
  EXPECT_EQ(nextSignal(sigBit(64)), 64);
}

TEST(SignalQueue, Flush) {
  Pending q;
  q.add(SIGCONT, 1);
  q.add(SIGTSTP, 2);
  q.add(34, 3);
  q.add(SIGTTOU, 4);
  unsigned discarded = 0;
  flushPending(q.p, kStopSignals, [&](QueuedSignal &) { discarded++; });
  EXPECT_EQ(discarded, 2u);
  EXPECT_EQ(q.p.set, sigBit(SIGCONT) | sigBit(34));
  EXPECT_EQ(q.take(SIGCONT), 1);
  EXPECT_EQ(q.take(34), 3);
  EXPECT_TRUE(q.p.queue.empty());
}

TEST(SignalQueue, RemoveOneOfSeveral) {
  Pending q;
  q.add(34, 1);
  q.add(34, 2);
  q.add(35, 3);
  removePending(q.p, *q.storage[1]);
  EXPECT_EQ(q.p.set, sigBit(34) | sigBit(35));
  removePending(q.p, *q.storage[2]);
  EXPECT_EQ(q.p.set, sigBit(34));
  q.add(36, 4);
  EXPECT_EQ(q.take(34), 1);
  EXPECT_EQ(q.take(36), 4);
  EXPECT_EQ(q.p.set, 0u);
}

TEST(SignalQueue, DefaultActions) {
  for (int s : {SIGCHLD, SIGCONT, SIGURG, SIGWINCH})
    EXPECT_EQ(defaultAction(s), DefaultAction::Ignore);
  for (int s : {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU})
    EXPECT_EQ(defaultAction(s), DefaultAction::Stop);
  for (int s : {SIGHUP, SIGINT, SIGKILL, SIGSEGV, SIGPIPE, SIGALRM, SIGIO, SIGPWR, SIGSYS, 16 /* SIGSTKFLT */, 34, 64})
    EXPECT_EQ(defaultAction(s), DefaultAction::Terminate);
  SignalAction ignore, handle;
  ignore.handler = 1;
  handle.handler = 0x401000;
  EXPECT_TRUE(isIgnored(ignore, SIGTERM));
  EXPECT_FALSE(isIgnored(handle, SIGCHLD));
  EXPECT_TRUE(isIgnored(SignalAction{}, SIGCHLD));
  EXPECT_FALSE(isIgnored(SignalAction{}, SIGTERM));
}

} // namespace

// SPDX-License-Identifier: BSD-3-Clause
//
// The order of a run queue: which of the threads that want one CPU runs next, and for how long it counts. No locks, no
// threads, no clock: this is the arithmetic of fairness, and compiles on the host for its unit tests. Scheduler.cpp
// owns one queue for each CPU.
//
// Fair threads are ordered by *virtual run time*: nanoseconds on a CPU, weighted by niceness (1.25 for each step, as
// Linux). The smallest runs. A queue keeps a floor (`minVruntime`) that never goes back: a thread that slept is placed
// at most half a slice below it, so that a sleeper runs at once but cannot claim the time it slept; one that comes from
// another queue keeps its distance from the floor.
//
// Real-time threads (SCHED_FIFO, SCHED_RR) come before all fair ones, by priority, first come first served within one:
// their `vruntime` is a serial number of the queue.
//
// The first in order is held by a pointer, and only the others are in the tree: with one thread waiting, which is what
// two threads that wake each other make, coming and going is a store each.
#pragma once
#include "abi/Annotations.h"
#include <boost/intrusive/set.hpp>
#include <cstdint>

namespace osv {

/// What a run queue knows of a thread.
struct SchedEntity : boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                                     boost::intrusive::optimize_size<true>> {
  uint64_t vruntime = 0;   ///< weighted nanoseconds; for a real-time thread its place among equals
  uint32_t weight = 1024;  ///< 1024: nice 0
  uint8_t rtPriority = 0;  ///< 0: fair; 1..99 real time
  bool roundRobin = false; ///< SCHED_RR: a slice, then to the end of its priority
  bool queued = false;     ///< is in a queue

  bool realTime() const { return rtPriority != 0; }
  /// Does it run before `b`? Neither of two equals does: the first to come is the first to run.
  bool before(const SchedEntity &b) const {
    if (rtPriority != b.rtPriority) [[unlikely]]
      return rtPriority > b.rtPriority;
    return vruntime < b.vruntime;
  }
};

/// Share of a CPU at a nice value -20..19: 1024 at 0, a factor of 1.25 for each step.
uint32_t weightOfNice(int nice);
inline constexpr uint32_t kIdlePolicyWeight = 3; ///< SCHED_IDLE

class RunQueue {
public:
  bool empty() const { return head == nullptr; }
  SchedEntity *first() { return head; }
  /// The one that would wait longest among those that `may` accepts, or null.
  template <typename Fn> SchedEntity *last(Fn may) {
    for (auto it = rest.rbegin(); it != rest.rend(); ++it)
      if (may(*it))
        return &*it;
    return head && may(*head) ? head : nullptr;
  }

  void insert(SchedEntity &e) {
    e.queued = true;
    if (!head) [[likely]]
      head = &e;
    else
      insertMore(e);
  }
  /// The same, when the queue is known to be empty.
  void insertAlone(SchedEntity &e) {
    e.queued = true;
    head = &e;
  }
  void remove(SchedEntity &e) {
    e.queued = false;
    if (&e == head && rest.empty()) [[likely]]
      head = nullptr;
    else
      removeFromMore(e);
  }
  /// Takes the first in order out; null when there is none. `*more`: others are left.
  SchedEntity *takeFirst(bool *more) {
    SchedEntity *e = head;
    *more = false;
    if (!e)
      return nullptr;
    e->queued = false;
    if (rest.empty()) [[likely]] {
      head = nullptr;
    } else {
      removeFromMore(*e);
      *more = true;
    }
    return e;
  }
  /// `ran` nanoseconds of CPU time have gone to `e`, which is not in the queue.
  void charge(SchedEntity &e, uint64_t ran) {
    if (e.realTime())
      return;
    e.vruntime += e.weight == 1024 ? ran : ran * 1024 / e.weight;
    advanceFloor(e);
  }
  /// Places `e`, which is about to be inserted: it slept (or is new), and may be at most `credit` below the floor.
  void placeAfterSleep(SchedEntity &e, uint64_t credit) {
    if (e.realTime()) {
      e.vruntime = ++serial;
      return;
    }
    uint64_t lowest = minVruntime > credit ? minVruntime - credit : 0;
    if (e.vruntime < lowest)
      e.vruntime = lowest;
  }
  /// `e` leaves for `to` (neither holds it now): keeps its distance from the floor. The two halves run under different
  /// locks.
  void makeRelative(SchedEntity &e) const {
    if (!e.realTime())
      e.vruntime -= minVruntime;
  }
  void makeAbsolute(SchedEntity &e) {
    e.vruntime = e.realTime() ? ++serial : e.vruntime + minVruntime;
    if (!e.realTime() && static_cast<int64_t>(e.vruntime) < 0) // the floor it came from was higher by more than ours is
      e.vruntime = 0;
  }
  /// To the end of the queue: a thread that yields, or a SCHED_RR one whose slice is over. Not in the queue.
  void placeLast(SchedEntity &e) {
    if (e.realTime()) {
      e.vruntime = ++serial;
      return;
    }
    SchedEntity *end = last([](const SchedEntity &) { return true; });
    if (end && !end->realTime() && e.vruntime < end->vruntime)
      e.vruntime = end->vruntime;
  }
  /// Should `woken` take the CPU from `running` (whose `vruntime` is up to date) at once? Only when it is owed more
  /// than `granularity`.
  static bool preempts(const SchedEntity &woken, const SchedEntity &running, uint64_t granularity) {
    if (woken.rtPriority != running.rtPriority)
      return woken.rtPriority > running.rtPriority;
    if (woken.realTime())
      return false;
    return static_cast<int64_t>(running.vruntime - woken.vruntime) > static_cast<int64_t>(granularity);
  }
  uint64_t floor() const { return minVruntime; }

private:
  OSV_COLD void insertMore(SchedEntity &e) {
    if (!e.before(*head)) {
      rest.insert(e);
      return;
    }
    rest.push_front(*head);
    head = &e;
  }
  OSV_COLD void removeFromMore(SchedEntity &e) {
    SchedEntity &out = &e == head ? *rest.begin() : e;
    if (&e == head)
      head = &out;
    rest.erase(rest.iterator_to(out));
  }
  struct Earlier {
    bool operator()(const SchedEntity &a, const SchedEntity &b) const { return a.before(b); }
  };
  void advanceFloor(const SchedEntity &running) {
    uint64_t smallest = running.vruntime;
    if (head && !head->realTime() && head->vruntime < smallest)
      smallest = head->vruntime;
    if (smallest > minVruntime)
      minVruntime = smallest;
  }

  SchedEntity *head = nullptr; ///< null: the queue is empty
  // Equal keys keep their order of arrival (insert goes behind them).
  boost::intrusive::multiset<SchedEntity, boost::intrusive::compare<Earlier>,
                             boost::intrusive::constant_time_size<false>>
      rest;
  uint64_t minVruntime = 0;
  uint64_t serial = 0;
};

} // namespace osv

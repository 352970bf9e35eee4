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
#pragma once
#include <boost/intrusive/set.hpp>
#include <cstdint>

namespace osv {

/// What a run queue knows of a thread.
struct SchedEntity : boost::intrusive::set_base_hook<boost::intrusive::optimize_size<true>> {
  uint64_t vruntime = 0;   ///< weighted nanoseconds; for a real-time thread its place among equals
  uint32_t weight = 1024;  ///< 1024: nice 0
  uint8_t rtPriority = 0;  ///< 0: fair; 1..99 real time
  bool roundRobin = false; ///< SCHED_RR: a slice, then to the end of its priority

  bool realTime() const { return rtPriority != 0; }
};

/// Share of a CPU at a nice value -20..19: 1024 at 0, a factor of 1.25 for each step.
uint32_t weightOfNice(int nice);
inline constexpr uint32_t kIdlePolicyWeight = 3; ///< SCHED_IDLE

class RunQueue {
public:
  bool empty() const { return tree.empty(); }
  uint32_t size() const { return count; }
  SchedEntity *first() { return tree.empty() ? nullptr : &*tree.begin(); }
  SchedEntity *last() { return tree.empty() ? nullptr : &*tree.rbegin(); }
  auto begin() { return tree.begin(); }
  auto end() { return tree.end(); }

  void insert(SchedEntity &e) {
    tree.insert(e);
    count++;
  }
  void remove(SchedEntity &e) {
    tree.erase(tree.iterator_to(e));
    count--;
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
    for (auto it = tree.rbegin(); it != tree.rend() && !it->realTime(); ++it) {
      if (e.vruntime < it->vruntime)
        e.vruntime = it->vruntime;
      break;
    }
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
  struct Earlier {
    bool operator()(const SchedEntity &a, const SchedEntity &b) const {
      if (a.rtPriority != b.rtPriority) [[unlikely]]
        return a.rtPriority > b.rtPriority;
      return a.vruntime < b.vruntime;
    }
  };
  void advanceFloor(const SchedEntity &running) {
    uint64_t smallest = running.vruntime;
    if (!tree.empty() && !tree.begin()->realTime() && tree.begin()->vruntime < smallest)
      smallest = tree.begin()->vruntime;
    if (smallest > minVruntime)
      minVruntime = smallest;
  }

  // Equal keys keep their order of arrival (insert goes behind them).
  boost::intrusive::multiset<SchedEntity, boost::intrusive::compare<Earlier>,
                             boost::intrusive::constant_time_size<false>>
      tree;
  uint64_t minVruntime = 0;
  uint64_t serial = 0;
  uint32_t count = 0;
};

} // namespace osv

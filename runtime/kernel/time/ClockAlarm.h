// SPDX-License-Identifier: BSD-3-Clause
//
// The program's clocks by their Linux ids, and an alarm that goes off at a point of any of them: what POSIX timers,
// interval timers, timerfd and clock_nanosleep are made of.
//
// Ids: the fixed ones of <linux/time.h>, and made-up negative ones, ~pid << 3 | 4 for a thread | kind, for CPU clocks.
// The CPU clocks of a thread or process do not tell user from system time apart: the kinds PROF, VIRT and SCHED are
// one.
#pragma once
#include "kernel/lib/Ref.h"
#include "kernel/sched/Thread.h"
#include "kernel/time/Time.h"

namespace osv {

struct ClockRef {
  enum class Kind : uint8_t { Monotonic, Realtime, ProcessCpu, ThreadCpu } kind = Kind::Monotonic;
  bool coarse = false;
  Ref<Thread> thread;         ///< ThreadCpu
  Process *process = nullptr; ///< ProcessCpu

  /// EINVAL: no such clock (for CPU clocks: thread or process).
  static Result<ClockRef> fromId(int id);
  Nanos now() const;
  Nanos resolution() const;
  bool isCpu() const { return kind == Kind::ProcessCpu || kind == Kind::ThreadCpu; }
};

/// An alarm on a clock. All calls under one lock of the owner (interrupts off), but those told otherwise. The owner's
/// `fn` (Timer) runs without a lock; it takes the owner's and asks due(): the alarm may have been changed or stopped
/// just before.
struct ClockAlarm : Timer {
  ClockRef clock;
  Nanos target = 0; ///< of `clock`; valid while active
  bool active = false;

  /// Goes off at `when` of the clock, at once if that has passed.
  void start(Nanos when);
  /// Will not go off: a callback that runs at this moment finds !due(). Use cancelTimer, with no lock held, before the
  /// storage goes.
  void stop();
  /// In the callback: has the time come? Then the alarm is no longer active. A CPU clock that is behind is looked at
  /// again later.
  bool due();

private:
  void arm();
  Nanos lastCpuTime = 0;
  Nanos pollInterval = 0;
};

/// The part of a periodic alarm that is the same for all users: `expiry` is due at or before `now`; moves it beyond
/// `now` by whole intervals and returns how many more than one it took (missed periods). interval > 0.
constexpr uint64_t advance(Nanos &expiry, Nanos interval, Nanos now) {
  uint64_t periods = now < expiry ? 0 : static_cast<uint64_t>((now - expiry) / interval) + 1;
  if (expiry > kForever - interval ||
      static_cast<uint64_t>(kForever - expiry) / static_cast<uint64_t>(interval) < periods)
    expiry = kForever;
  else
    expiry += static_cast<Nanos>(periods) * interval;
  return periods ? periods - 1 : 0;
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Clocks by id, and alarms on them.
//
// CPU clocks have no interrupt of their own. A clock of n running threads can reach the target no earlier than (target
// - now) / n of real time from now, so the alarm sleeps that long and looks again; while the clock stands still it
// looks less and less often, down to 100 times a second. That is no worse than Linux, whose CPU timers are looked at in
// the tick.
#include "kernel/time/ClockAlarm.h"
#include "kernel/Process.h"
#include "kernel/arch/Cpu.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/time/TimeSpec.h"
#include <linux/time.h>

namespace osv {

Result<ClockRef> ClockRef::fromId(int id) {
  ClockRef c;
  switch (id) {
  case CLOCK_REALTIME_COARSE:
    c.coarse = true;
    [[fallthrough]];
  case CLOCK_REALTIME:
  case CLOCK_REALTIME_ALARM:
  case CLOCK_TAI: // no leap seconds are known: TAI is UTC, as on a Linux without NTP
    c.kind = Kind::Realtime;
    return c;
  case CLOCK_MONOTONIC_COARSE:
    c.coarse = true;
    [[fallthrough]];
  case CLOCK_MONOTONIC:
  case CLOCK_MONOTONIC_RAW:
  case CLOCK_BOOTTIME:
  case CLOCK_BOOTTIME_ALARM:
    return c;
  case CLOCK_PROCESS_CPUTIME_ID:
    c.kind = Kind::ProcessCpu;
    c.process = &currentProcess();
    return c;
  case CLOCK_THREAD_CPUTIME_ID:
    c.kind = Kind::ThreadCpu;
    c.thread = Ref<Thread>::share(&current());
    return c;
  }
  constexpr int kPerThread = 4, kKindMask = 3, kClockFd = 3;
  if (id >= 0 || (id & kKindMask) == kClockFd)
    return Errno::Inval;
  int pid = ~(id >> 3);
  if (id & kPerThread) {
    c.kind = Kind::ThreadCpu;
    c.thread = pid == 0 ? Ref<Thread>::share(&current()) : currentProcess().findThread(pid);
    if (!c.thread)
      return Errno::Inval;
    return c;
  }
  if (pid != 0 && pid != currentProcess().pid)
    return Errno::Inval;
  c.kind = Kind::ProcessCpu;
  c.process = &currentProcess();
  return c;
}

Nanos ClockRef::now() const {
  switch (kind) {
  case Kind::Monotonic:
    return monotonicNow();
  case Kind::Realtime:
    return realtimeNow();
  case Kind::ProcessCpu:
    return process->cpuTime();
  case Kind::ThreadCpu:
    return threadCpuTime(*thread);
  }
  __builtin_unreachable();
}

Nanos ClockRef::resolution() const {
  constexpr Nanos kTick = 4'000'000; // what Linux's coarse clocks say at 250 Hz; ours are as fine as the others
  return coarse ? kTick : 1;
}

void ClockAlarm::arm() {
  if (!clock.isCpu()) {
    if (clock.kind == ClockRef::Kind::Realtime)
      armRealtimeTimer(*this, target);
    else
      armTimer(*this, target);
    return;
  }
  constexpr Nanos kShortest = 500'000, kLongest = 10'000'000;
  Nanos cpuTime = clock.now();
  Nanos left = target > cpuTime ? target - cpuTime : 0;
  if (clock.kind == ClockRef::Kind::ProcessCpu)
    left /= arch::cpuCount();
  pollInterval = cpuTime != lastCpuTime || pollInterval == 0 ? kShortest
                 : pollInterval < kLongest                   ? 2 * pollInterval
                                                             : kLongest;
  lastCpuTime = cpuTime;
  armTimer(*this, deadlineAfter(left > pollInterval || left == 0 ? left : pollInterval));
}

void ClockAlarm::start(Nanos when) {
  target = when;
  active = true;
  pollInterval = 0;
  arm();
}

void ClockAlarm::stop() {
  active = false;
  disarmTimer(*this);
}

bool ClockAlarm::due() {
  if (!active || armed)
    return false;
  if (clock.now() < target) {
    arm();
    return false;
  }
  active = false;
  return true;
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// POSIX timers (timer_create) and interval timers (setitimer, alarm): alarms that send signals. Everything here is
// under ProcessSignals::lock, because a timer goes on when its signal is taken.
//
// A periodic timer is not re-armed when it expires but when its signal is delivered; the periods that passed meanwhile
// are its overrun count. So a period of 1 ns costs no more than the program takes signals. A timer whose signal is
// ignored goes on by itself, at most once a millisecond.
#pragma once
#include "kernel/signal/SignalState.h"
#include "kernel/time/ClockAlarm.h"
#include <asm/siginfo.h>
#include <boost/intrusive/list.hpp>

namespace osv {

struct TimerSetting {
  Nanos value = 0;    ///< time left; for a new setting with `absolute` a point of the clock; 0: off
  Nanos interval = 0; ///< 0: once
};

/// One alarm with a period: the part that timer_create's and setitimer's have in common.
struct PeriodicAlarm : ClockAlarm {
  Nanos interval = 0;
  Nanos expiry = 0; ///< next or last; 0: off

  TimerSetting setting() const;
  /// Takes a new setting and returns the old; the caller starts it (expiry != 0) when it shall run.
  TimerSetting set(const TimerSetting &next, bool absolute, ClockRef::Kind clockKind);
  /// Starts the next period after an expiry; returns the number of periods missed. Turns off what has no period.
  uint64_t next(Nanos atLeast = 0);
};

struct PosixTimer : PeriodicAlarm, boost::intrusive::list_base_hook<> {
  int id = 0;
  Process *process = nullptr;
  ClockRef::Kind clockKind = ClockRef::Kind::Monotonic;
  int notify = 0; ///< SIGEV_*
  int signo = 0;
  sigval_t value = {};
  Ref<Thread> thread;  ///< SIGEV_THREAD_ID
  QueuedSignal signal; ///< linked while pending
  bool queued = false;
  uint64_t overrun = 0; ///< of the pending signal so far
  int lastOverrun = 0;  ///< of the last one delivered
};

/// setitimer's.
struct IntervalTimer : PeriodicAlarm {
  Process *process = nullptr;
  int signo = 0;
  bool queued = false;
};

/// What a process keeps of timers; made when the first is set.
struct ProcessTimers {
  static Result<ProcessTimers *> of(Process &p);

  IntervalTimer interval[3]; ///< ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF
  boost::intrusive::list<PosixTimer, boost::intrusive::constant_time_size<false>> timers;
  int nextId = 0;
  unsigned count = 0;

  PosixTimer *find(int id);
};

/// As timer_create(2), with a checked sigevent; `idIsValue`: its value shall be the timer's id. EINVAL, ENOMEM.
Result<int> createPosixTimer(ClockRef clock, const sigevent &event, bool idIsValue);
Result<void> deletePosixTimer(int id);

/// signal/: a SIGALRM, SIGVTALRM or SIGPROF of the process was taken: its interval timer goes on. Under
/// ProcessSignals::lock.
void intervalTimerSignalTaken(Process &p, int signo);

} // namespace osv

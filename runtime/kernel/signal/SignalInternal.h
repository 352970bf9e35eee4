// SPDX-License-Identifier: BSD-3-Clause
//
// What the files of signal/ (and the POSIX timers) share. All under ProcessSignals::lock unless told otherwise.
#pragma once
#include "kernel/signal/Signal.h"
#include <atomic>

namespace osv {

/// What became of a signal that was sent.
enum class Sent : uint8_t { Queued, Merged, Ignored, NoRoom };

/// Queues `info` for `t` (null: for the process) and notifies a thread. `entry`: storage that belongs to the sender (a
/// POSIX timer), not queued anywhere; null: from the heap.
Sent sendLocked(Process &p, Thread *t, const siginfo_t &info, QueuedSignal *entry = nullptr);

/// Takes a pending signal of `wanted` for thread `t`, its own first; 0 when there is none.
int takeLocked(Thread &t, SigSet wanted, siginfo_t &info);

/// The program has been stopped by a signal, and no SIGCONT has been sent since. It is the machine that stands still,
/// so there is one such word.
extern std::atomic<bool> stopped;

/// Forgets the pending signals of `which` of one set.
void flushLocked(Process &p, PendingSignals &from, SigSet which);

/// As setBlocked; `t` is the running thread.
void setBlockedLocked(Thread &t, SigSet mask);

/// As recalculateWork, for the running thread.
void recalculateOwn(Thread &t);

/// SignalFd.cpp: a signal became pending; wakes those that wait for it in a signalfd. Any lock held.
void notifySignalFds(int signo);

/// time/PosixTimer.cpp: the queued signal of a timer is being delivered: fills in si_overrun and starts the next
/// period.
void posixTimerSignalTaken(PosixTimer &timer, siginfo_t &info);
/// ... or was thrown away.
void posixTimerSignalDropped(PosixTimer &timer);

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// What the files of signal/ (and the POSIX timers) share. All under ProcessSignals::lock unless told otherwise.
#pragma once
#include "kernel/Process.h"
#include "kernel/mm/Heap.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/signal/Signal.h"
#include <atomic>

namespace osv {

/// What became of a signal that was sent.
enum class Sent : uint8_t { Queued, Merged, Ignored, NoRoom };

/// Queues `info` for `t` (null: for the process) and notifies a thread. `entry`: storage that belongs to the sender (a
/// POSIX timer), not queued anywhere; null: from the heap.
Sent sendLocked(Process &p, Thread *t, const SignalInfo &info, QueuedSignal *entry = nullptr);

/// Takes a pending signal of `wanted` for thread `t`, its own first; 0 when there is none.
int takeLocked(Thread &t, SigSet wanted, SignalInfo &info);

/// The program has been stopped by a signal, and no SIGCONT has been sent since. It is the machine that stands still,
/// so there is one such word.
extern std::atomic<bool> stopped;

/// Gives back an entry of the heap that is in no queue any more.
inline void freeEntry(Process &p, QueuedSignal &entry) {
  p.signals.queued--;
  delete std::exchange(current().signals.spare, &entry);
}

/// Forgets the pending signals of `which` of one set.
void flushLocked(Process &p, PendingSignals &from, SigSet which);

/// As recalculateWork, for the running thread `t` of `p`.
inline void recalculateOwn(Process &p, Thread &t) {
  SigSet deliverable = (t.signals.pending.set | p.signals.pending.set) & ~t.signals.blocked;
  clearOwnWork(kWorkSignal);
  if (deliverable || t.exiting.load(std::memory_order_seq_cst))
    setOwnWork(kWorkSignal);
}

/// Signals of the process that a thread was perhaps chosen for, and that it will not take, go to another one.
OSV_COLD void handOn(Process &p, SigSet which);

/// As setBlocked; `t` is the running thread.
inline void setBlockedLocked(Process &p, Thread &t, SigSet mask) {
  mask &= ~kUnblockable;
  SigSet handedOn = p.signals.pending.set & mask & ~t.signals.blocked;
  t.signals.blocked = mask;
  if (handedOn) [[unlikely]]
    handOn(p, handedOn);
  recalculateOwn(p, t);
}

/// SignalFd.cpp: a signal became pending; wakes those that wait for it in a signalfd. Any lock held.
extern std::atomic<unsigned> liveSignalFds; ///< how many there are
OSV_COLD void wakeSignalFds(int signo);
inline void notifySignalFds(int signo) {
  if (liveSignalFds.load(std::memory_order_relaxed) != 0) [[unlikely]]
    wakeSignalFds(signo);
}

/// time/PosixTimer.cpp: the queued signal of a timer is being delivered: fills in si_overrun and starts the next
/// period.
void posixTimerSignalTaken(PosixTimer &timer, SignalInfo &info);
/// ... or was thrown away.
void posixTimerSignalDropped(PosixTimer &timer);

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Sending: who gets a signal, what happens to those that nobody wants, and how the receiver comes to know. Delivery is
// in Deliver.cpp.
//
// A signal goes to a thread (tgkill, faults) or to the process (kill, timers, the console). A process-directed one
// stays in the process's queue, and any thread that does not block it may take it; to bring that about soon, one such
// thread is chosen and notified: the first thread if it can, else the next one after the last choice. A thread in
// sigtimedwait does not block what it waits for, so it is found like any other. When all threads block the signal,
// nobody is notified; whoever unblocks it looks for itself.
#include "kernel/Process.h"
#include "kernel/lib/Log.h"
#include "kernel/mm/Heap.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/signal/Queue.h"
#include "kernel/signal/SignalInternal.h"
#include "kernel/time/PosixTimer.h"

namespace osv {
namespace {

OSV_COLD QueuedSignal *allocateEntry() { return new (std::nothrow) QueuedSignal; }

[[gnu::always_inline]] inline QueuedSignal *newEntry(Process &p) {
  QueuedSignal *entry = std::exchange(current().signals.spare, nullptr);
  if (!entry) [[unlikely]]
    entry = allocateEntry();
  if (entry)
    p.signals.queued++;
  return entry;
}

void discard(Process &p, QueuedSignal &entry) {
  if (entry.timer)
    return posixTimerSignalDropped(*entry.timer);
  freeEntry(p, entry);
}

/// Could `t` take `signo` now?
bool wants(Thread &t, int signo) {
  if (t.exiting.load(std::memory_order_relaxed) || t.state.load(std::memory_order_relaxed) == ThreadState::Dead)
    return false;
  return signo == SIGKILL || !(t.signals.blocked & sigBit(signo));
}
/// ... and has it nothing else to do first?
bool wantsSoon(Thread &t, int signo) { return wants(t, signo) && !signalPending(t); }

/// Chooses a thread for a process-directed signal and notifies it.
void notifyOne(Process &p, int signo) {
  IrqSpinGuard guard(p.threadsLock);
  Thread *first = nullptr, *chosen = nullptr;
  for (Thread &t : p.threads) {
    if (!first)
      first = &t;
    if (!wantsSoon(t, signo))
      continue;
    if (!chosen)
      chosen = &t;
    if (&t == first || t.tid > p.signals.lastTarget) {
      chosen = &t;
      break;
    }
  }
  if (!chosen) { // one that has work already will look again before it runs the program
    for (Thread &t : p.threads)
      if (wants(t, signo)) {
        chosen = &t;
        break;
      }
    if (!chosen)
      return;
  }
  p.signals.lastTarget = chosen->tid;
  notifyWork(*chosen, kWorkSignal);
}

/// SIGCONT takes back stop signals, and they take back SIGCONT, even when blocked or ignored.
OSV_COLD void cancelOpposites(Process &p, int signo) {
  if (signo == SIGCONT)
    stopped.store(false, std::memory_order_relaxed);
  SigSet which = signo == SIGCONT ? kStopSignals : sigBit(SIGCONT);
  flushLocked(p, p.signals.pending, which);
  IrqSpinGuard guard(p.threadsLock);
  for (Thread &t : p.threads)
    flushLocked(p, t.signals.pending, which);
}

/// Does the receiver block the signal? One that is ignored is thrown away when it is sent, but not then: it may have a
/// handler by the time it is unblocked.
OSV_COLD bool isBlocked(Process &p, Thread *t, int signo) {
  SigSet blocked = 0;
  if (t) {
    blocked = t->signals.blocked | t->signals.waitingFor;
  } else {
    IrqSpinGuard guard(p.threadsLock);
    if (!p.threads.empty()) {
      const ThreadSignals &s = p.threads.begin()->signals;
      blocked = s.blocked | s.waitingFor;
    }
  }
  return blocked & sigBit(signo);
}

/// The whole of sendLocked; inline for those who know whether there is a thread.
[[gnu::always_inline]] inline Sent send(Process &p, Thread *t, const SignalInfo &info, QueuedSignal *entry) {
  int signo = info.si_signo;
  PendingSignals &pending = t ? t->signals.pending : p.signals.pending;
  if ((kStopSignals | sigBit(SIGCONT)) & sigBit(signo)) [[unlikely]]
    cancelOpposites(p, signo);
  if (isIgnored(p.signals.actions[signo - 1], signo) && !isBlocked(p, t, signo)) [[unlikely]]
    return Sent::Ignored;
  if (!entry && merges(pending, signo))
    return Sent::Merged;
  if (entry) {
    entry->info = info;
  } else if (signo != SIGKILL) {
    bool room = signo < kFirstRealTime || p.signals.queued < p.limits[RLIMIT_SIGPENDING].rlim_cur;
    entry = room ? newEntry(p) : nullptr;
    if (entry) {
      entry->info = info;
    } else if (signo >= kFirstRealTime && info.si_code != SI_USER) {
      return Sent::NoRoom; // kill() never fails for want of memory: the signal goes without its siginfo
    }
  }
  addPending(pending, signo, entry);
  notifySignalFds(signo);
  if (!t)
    notifyOne(p, signo);
  else if (wants(*t, signo))
    notifyWork(*t, kWorkSignal);
  return Sent::Queued;
}
} // namespace

constinit std::atomic<bool> stopped{false};

void flushLocked(Process &p, PendingSignals &from, SigSet which) {
  flushPending(from, which, [&p](QueuedSignal &entry) { discard(p, entry); });
}

Sent sendLocked(Process &p, Thread *t, const SignalInfo &info, QueuedSignal *entry) { return send(p, t, info, entry); }

Result<void> sendToThread(Thread &t, const SignalInfo &info) {
  IrqSpinGuard guard(t.process->signals.lock);
  if (send(*t.process, &t, info, nullptr) == Sent::NoRoom) [[unlikely]]
    return Errno::Again;
  return {};
}

Result<void> sendToProcess(Process &p, const SignalInfo &info) {
  IrqSpinGuard guard(p.signals.lock);
  if (sendLocked(p, nullptr, info) == Sent::NoRoom)
    return Errno::Again;
  return {};
}

void sendKernelSignal(Process &p, int signo) {
  SignalInfo info = {};
  info.si_signo = signo;
  info.si_code = SI_KERNEL;
  (void)sendToProcess(p, info);
}

void sendToSelf(int signo) { (void)sendToThread(current(), userInfo(signo, SI_USER)); }

void forceSignal(Thread &t, const SignalInfo &info) {
  ProcessSignals &s = t.process->signals;
  IrqSpinGuard guard(s.lock);
  SignalAction &action = s.actions[info.si_signo - 1];
  SigSet bit = sigBit(info.si_signo);
  if ((t.signals.blocked & bit) || isIgnored(action, info.si_signo)) {
    action.handler = 0; // Linux: the program said it does not expect this one; it cannot go on, so it ends
    t.signals.blocked &= ~bit;
  }
  sendLocked(*t.process, &t, info);
  recalculateOwn(*t.process, t);
}

bool signalPending(const Thread &t) {
  return __atomic_load_n(&arch::gateOf(const_cast<Thread &>(t)).work, __ATOMIC_SEQ_CST) & kWorkSignal;
}

void recalculateWork(Thread &t) {
  IrqSpinGuard guard(t.process->signals.lock);
  if (&t == &current())
    return recalculateOwn(*t.process, t);
  if ((t.signals.pending.set | t.process->signals.pending.set) & ~t.signals.blocked)
    notifyWork(t, kWorkSignal);
}

void setBlocked(SigSet mask) {
  Thread &t = current();
  Process &p = *t.process;
  IrqOffSpinGuard guard(p.signals.lock);
  setBlockedLocked(p, t, mask);
}

void handOn(Process &p, SigSet which) {
  for (; which; which &= which - 1)
    notifyOne(p, __builtin_ctzll(which) + 1);
}

Result<void> setTemporaryMask(UserPtr<const SigSet> mask, size_t size) {
  if (!mask)
    return {};
  if (size != sizeof(SigSet))
    return Errno::Inval;
  SigSet set = TRY(mask.read());
  ThreadSignals &s = current().signals;
  s.savedBlocked = s.blocked;
  setBlocked(set);
  s.restoreBlocked = true;
  return {};
}

void finishTemporaryMask(bool interrupted) {
  ThreadSignals &s = current().signals;
  if (!s.restoreBlocked)
    return;
  if (interrupted)
    return setOwnWork(kWorkSignal); // deliverSignals restores
  s.restoreBlocked = false;
  setBlocked(s.savedBlocked);
}

void inheritSignals(Thread &child, const Thread &parent) { child.signals.blocked = parent.signals.blocked; }

void releaseSignals(Thread &t) {
  Process &p = *t.process;
  IrqSpinGuard guard(p.signals.lock);
  flushLocked(p, t.signals.pending, ~SigSet{0});
  SigSet handedOn = p.signals.pending.set & ~t.signals.blocked;
  t.signals.blocked = ~SigSet{0};
  handOn(p, handedOn);
}

SigSet pendingSet() {
  Thread &t = current();
  IrqSpinGuard guard(t.process->signals.lock);
  return t.signals.pending.set | t.process->signals.pending.set;
}

} // namespace osv

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

constexpr SigSet kIntervalTimers = sigBit(SIGALRM) | sigBit(SIGVTALRM) | sigBit(SIGPROF);

QueuedSignal *newEntry(Process &p) {
  QueuedSignal *entry = std::exchange(current().signals.spare, nullptr);
  if (!entry)
    entry = new (std::nothrow) QueuedSignal;
  if (entry)
    p.signals.queued++;
  return entry;
}

void freeEntry(Process &p, QueuedSignal &entry) {
  p.signals.queued--;
  delete std::exchange(current().signals.spare, &entry);
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
void cancelOpposites(Process &p, int signo) {
  if (signo == SIGCONT)
    stopped.store(false, std::memory_order_relaxed);
  SigSet which = signo == SIGCONT ? kStopSignals : kStopSignals & sigBit(signo) ? sigBit(SIGCONT) : 0;
  if (!which)
    return;
  flushLocked(p, p.signals.pending, which);
  IrqSpinGuard guard(p.threadsLock);
  for (Thread &t : p.threads)
    flushLocked(p, t.signals.pending, which);
}

/// Is the signal thrown away when it is sent? Not while the receiver blocks it: it may have a handler by the time it
/// unblocks it.
bool droppedAtOnce(Process &p, Thread *t, int signo) {
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
  return !(blocked & sigBit(signo)) && isIgnored(p.signals.actions[signo - 1], signo);
}

} // namespace

constinit std::atomic<bool> stopped{false};

void flushLocked(Process &p, PendingSignals &from, SigSet which) {
  flushPending(from, which, [&p](QueuedSignal &entry) { discard(p, entry); });
}

Sent sendLocked(Process &p, Thread *t, const siginfo_t &info, QueuedSignal *entry) {
  int signo = info.si_signo;
  PendingSignals &pending = t ? t->signals.pending : p.signals.pending;
  cancelOpposites(p, signo);
  if (droppedAtOnce(p, t, signo))
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

Result<void> sendToThread(Thread &t, const siginfo_t &info) {
  IrqSpinGuard guard(t.process->signals.lock);
  if (sendLocked(*t.process, &t, info) == Sent::NoRoom)
    return Errno::Again;
  return {};
}

Result<void> sendToProcess(Process &p, const siginfo_t &info) {
  IrqSpinGuard guard(p.signals.lock);
  if (sendLocked(p, nullptr, info) == Sent::NoRoom)
    return Errno::Again;
  return {};
}

siginfo_t userInfo(int signo, int code) {
  siginfo_t info = {};
  info.si_signo = signo;
  info.si_code = code;
  info.si_pid = currentProcess().pid;
  info.si_uid = 0;
  return info;
}

void sendKernelSignal(Process &p, int signo) {
  siginfo_t info = {};
  info.si_signo = signo;
  info.si_code = SI_KERNEL;
  (void)sendToProcess(p, info);
}

void sendToSelf(int signo) { (void)sendToThread(current(), userInfo(signo, SI_USER)); }

void forceSignal(Thread &t, const siginfo_t &info) {
  ProcessSignals &s = t.process->signals;
  IrqSpinGuard guard(s.lock);
  SignalAction &action = s.actions[info.si_signo - 1];
  SigSet bit = sigBit(info.si_signo);
  if ((t.signals.blocked & bit) || isIgnored(action, info.si_signo)) {
    action.handler = 0; // Linux: the program said it does not expect this one; it cannot go on, so it ends
    t.signals.blocked &= ~bit;
  }
  sendLocked(*t.process, &t, info);
  recalculateOwn(t);
}

bool signalPending(const Thread &t) {
  return __atomic_load_n(&arch::gateOf(const_cast<Thread &>(t)).work, __ATOMIC_SEQ_CST) & kWorkSignal;
}

void recalculateOwn(Thread &t) {
  Process &p = *t.process;
  clearOwnWork(kWorkSignal);
  SigSet deliverable = (t.signals.pending.set | p.signals.pending.set) & ~t.signals.blocked;
  if (deliverable || t.exiting.load(std::memory_order_seq_cst))
    setOwnWork(kWorkSignal);
}

void recalculateWork(Thread &t) {
  IrqSpinGuard guard(t.process->signals.lock);
  if (&t == &current())
    return recalculateOwn(t);
  if ((t.signals.pending.set | t.process->signals.pending.set) & ~t.signals.blocked)
    notifyWork(t, kWorkSignal);
}

void setBlocked(SigSet mask) {
  Thread &t = current();
  IrqSpinGuard guard(t.process->signals.lock);
  setBlockedLocked(t, mask);
}

void setBlockedLocked(Thread &t, SigSet mask) {
  Process &p = *t.process;
  mask &= ~kUnblockable;
  // Signals of the process that this thread was perhaps chosen for, and that it now blocks, go to another one.
  SigSet handedOn = p.signals.pending.set & mask & ~t.signals.blocked;
  t.signals.blocked = mask;
  for (; handedOn; handedOn &= handedOn - 1)
    notifyOne(p, __builtin_ctzll(handedOn) + 1);
  recalculateOwn(t);
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
  for (; handedOn; handedOn &= handedOn - 1)
    notifyOne(p, __builtin_ctzll(handedOn) + 1);
}

int takeLocked(Thread &t, SigSet wanted, siginfo_t &info) {
  Process &p = *t.process;
  for (PendingSignals *from : {&t.signals.pending, &p.signals.pending}) {
    SigSet candidates = from->set & wanted;
    if (!candidates)
      continue;
    int signo = nextSignal(candidates);
    QueuedSignal *entry = takePending(*from, signo);
    if (!entry) {
      info = {};
      info.si_signo = signo;
      info.si_code = SI_USER; // the queue was full: who sent it is lost
    } else {
      info = entry->info;
      if (entry->timer) {
        posixTimerSignalTaken(*entry->timer, info);
      } else {
        freeEntry(p, *entry);
      }
    }
    if (kIntervalTimers & sigBit(signo))
      intervalTimerSignalTaken(p, signo);
    return signo;
  }
  return 0;
}

int takeSignal(SigSet wanted, siginfo_t &info) {
  Thread &t = current();
  IrqSpinGuard guard(t.process->signals.lock);
  int signo = takeLocked(t, wanted & ~kUnblockable, info);
  if (signo)
    recalculateOwn(t);
  return signo;
}

SigSet pendingSet() {
  Thread &t = current();
  IrqSpinGuard guard(t.process->signals.lock);
  return t.signals.pending.set | t.process->signals.pending.set;
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Sending and delivering signals. Delivery happens on the way out to the program only (exitToProgramWork), on the
// thread the signal belongs to, with its own TLS. docs/signals.md is the long form.
//
// kWorkSignal of a thread's gate word says "look": set by whoever makes a signal deliverable to it (or wants it to
// exit), cleared only by the thread itself, under ProcessSignals::lock. A sleep ends when it is set (signalPending), so
// a call that returns Restart* always finds it set on its way out, and deliverSignals never misses the restart.
//
// Lock order: ProcessSignals::lock, then Process::threadsLock, then those of the scheduler.
#pragma once
#include "kernel/Process.h"
#include "kernel/arch/Trap.h"
#include "kernel/lib/Result.h"
#include "kernel/lib/UserPtr.h"
#include "kernel/signal/SignalState.h"

namespace osv {
struct Thread;
class Process;

// ---- Sending. Any context (interrupts included), no lock at or below ProcessSignals::lock held.

/// EAGAIN when a real-time signal cannot be queued.
Result<void> sendToThread(Thread &t, const SignalInfo &info);
Result<void> sendToProcess(Process &p, const SignalInfo &info);
/// From the kernel itself (SIGALRM, SIGINT of the console): si_code SI_KERNEL.
void sendKernelSignal(Process &p, int signo);
/// To the running thread, as Linux's send_sig(): SIGPIPE, SIGXFSZ.
void sendToSelf(int signo);
/// A signal that `t` cannot block or ignore (faults).
void forceSignal(Thread &t, const SignalInfo &info);
/// A siginfo with signal, code, and the sender's pid and uid, which is 0 (kill, tkill, ...), filled in.
inline SignalInfo userInfo(int signo, int code) {
  SignalInfo info = {};
  info.si_signo = signo;
  info.si_code = code;
  info.si_pid = currentProcess().pid;
  return info;
}

// ---- State of a thread.

/// Must an interruptible sleep of `t` end: may a signal be deliverable, or must it exit?
bool signalPending(const Thread &t);
/// Recomputes kWorkSignal of `t` after its mask or the pending sets changed; interrupts the wait of a blocked thread.
void recalculateWork(Thread &t);
/// Replaces the running thread's mask (KILL and STOP are left out). Interrupts on.
void setBlocked(SigSet mask);
/// ppoll, pselect6, epoll_pwait, sigsuspend: the mask for the time of the call. Null: nothing. EINVAL, EFAULT.
Result<void> setTemporaryMask(UserPtr<const SigSet> mask, size_t size);
/// At the end of such a call. `interrupted`: it returns EINTR or Restart*, and the old mask comes back after the
/// handler, or when there turns out to be none; else at once.
void finishTemporaryMask(bool interrupted);
/// A new thread's signal state: the mask of its creator, nothing pending, no alternate stack.
void inheritSignals(Thread &child, const Thread &parent);
/// A thread ends: its pending signals are dropped; a process-directed one it was woken for goes to another thread.
void releaseSignals(Thread &t);

/// Takes a pending signal of `wanted` from the running thread or its process: its number, 0 when there is none.
/// (sigtimedwait, signalfd)
int takeSignal(SigSet wanted, SignalInfo &info);
/// Pending for the running thread or its process.
SigSet pendingSet();

// ---- Delivery.

/// Delivers one signal: rewrites `frame` to enter the handler, or carries out the default action. Called by
/// exitToProgramWork as long as kWorkSignal is set. Also turns a Restart* result of a system call in `frame` into
/// a restart or EINTR. Interrupts off on entry, on on return.
void deliverSignals(Frame &frame);

/// How the program is stopped (SIGSTOP, SIGTSTP, ...): `fn` has the machine stopped from outside, and returns false
/// when that is not possible.
void setStopHandler(bool (*fn)());

extern "C" const char osv_stubs_start[], osv_stubs_end[]; // kernel.ld
inline bool isInStubs(uint64_t rip) {
  uint64_t start = reinterpret_cast<uint64_t>(osv_stubs_start);
  return rip - start < reinterpret_cast<uint64_t>(osv_stubs_end) - start;
}
OSV_COLD uint64_t originalOfStub(uint64_t rip);
/// What the program calls the place `rip`: a stub's address becomes that of the instructions it stands for.
inline uint64_t originalAddress(uint64_t rip) { return isInStubs(rip) ? originalOfStub(rip) : rip; }

/// The last stretch of program between two runs of the stubs' map that an address fell into: signals come to the same
/// loop again and again. A thread's own, so that the two words belong together.
struct Stretch {
  uint64_t start, end;
};
extern constinit thread_local Stretch untouched;
OSV_COLD uint64_t findResumeAddress(uint64_t rip);
/// The reverse, for an address that the program wants to go on at: where it must when the rewriter has replaced what
/// was there.
inline uint64_t resumeAddress(uint64_t rip) {
  return rip >= untouched.start && rip < untouched.end ? rip : findResumeAddress(rip);
}
/// A single step that ended at `rip` is an artefact of a stub, not one of the program's.
bool isQuietStep(uint64_t rip);

} // namespace osv

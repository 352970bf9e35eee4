// SPDX-License-Identifier: BSD-3-Clause
//
// Sending and delivering signals. Delivery happens on the way out to the program only (exitToProgramWork), on the thread the signal
// belongs to, with its own TLS.
#pragma once
#include "kernel/arch/Trap.h"
#include "kernel/lib/Result.h"
#include "kernel/signal/SignalState.h"

namespace osv {
struct Thread;
class Process;

/// Any context (interrupts included). EAGAIN when a real-time signal cannot be queued.
Result<void> sendToThread(Thread &t, const siginfo_t &info);
Result<void> sendToProcess(Process &p, const siginfo_t &info);
/// From the kernel itself (SIGALRM, SIGPIPE, SIGINT of the console): si_code SI_KERNEL.
void sendKernelSignal(Process &p, int signo);
/// A signal the running thread cannot block or ignore (faults).
void forceSignal(Thread &t, const siginfo_t &info);
/// Is a signal deliverable to `t` now (pending, not blocked), or must it exit?
bool signalPending(const Thread &t);
/// Recomputes kWorkSignal of `t` after its mask or the pending sets changed; interrupts the wait of a blocked thread.
void recalculateWork(Thread &t);
/// Delivers one signal: rewrites `frame` to enter the handler, or carries out the default action. Called by exitToProgramWork in a loop.
/// Also turns a Restart* result of a system call in `frame` into a restart or EINTR. Interrupts on.
void deliverSignals(Frame &frame);

} // namespace osv

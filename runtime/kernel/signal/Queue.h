// SPDX-License-Identifier: BSD-3-Clause
//
// The rules of pending signals that need neither threads nor hardware: order, merging, default actions. Tried on the
// host (test/unit/signal).
#pragma once
#include "kernel/signal/SignalState.h"

namespace osv {

/// Signals that the running instruction caused: delivered before all others, so that their frame shows the instruction.
inline constexpr SigSet kSynchronous =
    sigBit(SIGSEGV) | sigBit(SIGBUS) | sigBit(SIGILL) | sigBit(SIGTRAP) | sigBit(SIGFPE) | sigBit(SIGSYS);
inline constexpr SigSet kStopSignals = sigBit(SIGSTOP) | sigBit(SIGTSTP) | sigBit(SIGTTIN) | sigBit(SIGTTOU);
inline constexpr SigSet kIgnoredByDefault = sigBit(SIGCONT) | sigBit(SIGCHLD) | sigBit(SIGWINCH) | sigBit(SIGURG);

enum class DefaultAction : uint8_t { Terminate, Ignore, Stop };
constexpr DefaultAction defaultAction(int signo) {
  if (kIgnoredByDefault & sigBit(signo))
    return DefaultAction::Ignore;
  return kStopSignals & sigBit(signo) ? DefaultAction::Stop : DefaultAction::Terminate;
}

/// Does `action` throw the signal away?
constexpr bool isIgnored(const SignalAction &action, int signo) {
  return action.handler == 1 || (action.handler == 0 && defaultAction(signo) == DefaultAction::Ignore);
}

/// The signal of `candidates` (not empty) to take next: synchronous ones first, then the lowest number.
constexpr int nextSignal(SigSet candidates) {
  SigSet first = candidates & kSynchronous ? candidates & kSynchronous : candidates;
  return __builtin_ctzll(first) + 1;
}

/// A standard signal that is pending already is not queued a second time; real-time signals always are.
constexpr bool merges(const PendingSignals &p, int signo) { return signo < kFirstRealTime && (p.set & sigBit(signo)); }

/// Adds a signal. `entry` null (no memory, over the limit): pending without its siginfo. The queue is ordered by
/// number, then by arrival, so that the next one is found at its head however many wait: a storm of real-time signals
/// must not make each of them slow.
inline void addPending(PendingSignals &p, int signo, QueuedSignal *entry) {
  SigSet higher = p.set & ~(2 * sigBit(signo) - 1);
  p.set |= sigBit(signo);
  if (!entry)
    return;
  if (!higher) [[likely]]
    return p.queue.push_back(*entry);
  auto before = p.queue.before_begin();
  for (auto it = p.queue.begin(); it != p.queue.end() && it->info.si_signo <= signo; ++it)
    before = it;
  p.queue.insert_after(before, *entry);
}

/// Takes the oldest entry of `signo`, which is in `p.set`, out of the queue: null when it was pending without siginfo.
/// The signal stays pending while another entry of it is queued.
inline QueuedSignal *takePending(PendingSignals &p, int signo) {
  QueuedSignal *found = nullptr;
  auto before = p.queue.before_begin();
  auto it = p.queue.begin();
  while (it != p.queue.end() && it->info.si_signo < signo)
    before = it++;
  if (it != p.queue.end() && it->info.si_signo == signo) {
    found = &*it;
    it = p.queue.erase_after(before);
  }
  if (it == p.queue.end() || it->info.si_signo != signo)
    p.set &= ~sigBit(signo);
  return found;
}

/// Takes this entry, which is queued, out.
inline void removePending(PendingSignals &p, QueuedSignal &entry) {
  int signo = entry.info.si_signo;
  bool more = false;
  auto before = p.queue.before_begin();
  for (auto it = p.queue.begin(); it != p.queue.end();) {
    if (&*it == &entry) {
      it = p.queue.erase_after(before);
      continue;
    }
    more |= it->info.si_signo == signo;
    before = it++;
  }
  if (!more)
    p.set &= ~sigBit(signo);
}

/// Forgets all pending signals of `which`; `discard` gets each queue entry.
template <typename Discard> void flushPending(PendingSignals &p, SigSet which, Discard discard) {
  if (!(p.set & which))
    return;
  p.set &= ~which;
  auto before = p.queue.before_begin();
  for (auto it = p.queue.begin(); it != p.queue.end();) {
    if (which & sigBit(it->info.si_signo)) {
      QueuedSignal &entry = *it;
      it = p.queue.erase_after(before);
      discard(entry);
    } else {
      before = it++;
    }
  }
}

} // namespace osv

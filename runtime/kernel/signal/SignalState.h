// SPDX-License-Identifier: BSD-3-Clause
//
// What a thread and a process keep of signals. How they are sent and delivered is in Signal.h.
#pragma once
#include "kernel/lib/SpinLock.h"
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <boost/intrusive/slist.hpp>
#include <cstdint>

namespace osv {

/// Bit n-1 stands for signal n, as in Linux's sigset_t of 64 bits.
using SigSet = uint64_t;
constexpr SigSet sigBit(int signo) { return SigSet{1} << (signo - 1); }

struct QueuedSignal : boost::intrusive::slist_base_hook<> {
  siginfo_t info;
};
using SignalQueue = boost::intrusive::slist<QueuedSignal, boost::intrusive::cache_last<true>>;

struct PendingSignals {
  SigSet set = 0;
  SignalQueue queue; ///< siginfo of the pending ones; ordered by arrival
};

struct ThreadSignals {
  SigSet blocked = 0;
  SigSet savedBlocked = 0; ///< sigsuspend/ppoll/pselect: restored after the handler's frame is built
  bool restoreBlocked = false;
  PendingSignals pending;
  uint64_t altStack = 0, altStackSize = 0;
  int32_t altStackFlags = 2; ///< SS_DISABLE
  SigSet waitingFor = 0;     ///< sigtimedwait
};

/// As the program gave it to rt_sigaction.
struct SignalAction {
  uint64_t handler = 0; ///< SIG_DFL 0, SIG_IGN 1
  uint64_t flags = 0;
  uint64_t restorer = 0;
  SigSet mask = 0;
};

struct ProcessSignals {
  SpinLock lock; ///< protects everything here and every thread's `pending` of the process; taken with interrupts off
  SignalAction actions[64];
  PendingSignals pending; ///< process-directed
};

} // namespace osv

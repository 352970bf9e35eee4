// SPDX-License-Identifier: BSD-3-Clause
//
// What a thread and a process keep of signals. How they are sent and delivered is in Signal.h; what may be done to a
// PendingSignals, in Queue.h.
#pragma once
#include "kernel/lib/Result.h"
#include "kernel/lib/SpinLock.h"
#include "kernel/lib/Types.h"
#include <boost/intrusive/slist.hpp>
#include <cstdint>
#ifdef OSV_HOST_TEST
#include <csignal> // libc's, whose structures are the same: the UAPI's cannot be in one file with it
#else
#include <linux/signal.h>
#endif

namespace osv {

/// Bit n-1 stands for signal n, as in Linux's sigset_t of 64 bits.
using SigSet = uint64_t;
constexpr SigSet sigBit(int signo) { return SigSet{1} << (signo - 1); }
inline constexpr int kSignalCount = 64;
inline constexpr int kFirstRealTime = 32;
inline constexpr SigSet kUnblockable = sigBit(SIGKILL) | sigBit(SIGSTOP);

/// What the kernel keeps of a siginfo, as Linux does: what follows in the 128 bytes of the program's is zero.
#ifdef OSV_HOST_TEST
using SignalInfo = siginfo_t;
#else
struct SignalInfo {
  __SIGINFO;
};
static_assert(sizeof(SignalInfo) == 48);
#endif

struct PosixTimer;

struct QueuedSignal : boost::intrusive::slist_base_hook<> {
  SignalInfo info; ///< set by whoever queues it
  /// Part of this POSIX timer, not of the heap: the timer counts overruns while it is queued, and goes on when it is
  /// taken.
  PosixTimer *timer = nullptr;
};
using SignalQueue =
    boost::intrusive::slist<QueuedSignal, boost::intrusive::cache_last<true>, boost::intrusive::linear<true>,
                            boost::intrusive::constant_time_size<false>>;

struct PendingSignals {
  SigSet set = 0;
  SignalQueue queue; ///< siginfo of the pending ones; ordered by arrival
};

/// How a system call that was interrupted goes on (Errno::RestartRestartBlock, restart_syscall): `fn` gets what the
/// first try stored.
struct RestartBlock {
  Result<long> (*fn)(RestartBlock &self) = nullptr;
  Nanos deadline = 0; ///< monotonic
  uint64_t args[6] = {};
};

struct ThreadSignals {
  SigSet blocked = 0;      ///< changed by the thread itself only, under ProcessSignals::lock
  SigSet savedBlocked = 0; ///< sigsuspend/ppoll/pselect: restored after the handler's frame is built
  bool restoreBlocked = false;
  PendingSignals pending;
  uint64_t altStack = 0, altStackSize = 0;
  int32_t altStackFlags = 2; ///< SS_DISABLE
  SigSet waitingFor =
      0; ///< sigtimedwait: these are out of `blocked` for the time of the wait, but not for "is it ignored?"
  RestartBlock restart;

  // The last hardware exception of the thread, as every later frame's mcontext shows it.
  uint64_t trapNumber = 0, trapError = 0, trapAddress = 0;

  /// Kept for the next signal that this thread sends or takes: no trip to the heap for each. Touched by its thread
  /// only, interrupts off.
  QueuedSignal *spare = nullptr;
  ~ThreadSignals() { delete spare; }
};

/// As the program gave it to rt_sigaction (struct kernel_sigaction).
struct SignalAction {
  uint64_t handler; ///< SIG_DFL 0, SIG_IGN 1
  uint64_t flags;
  uint64_t restorer;
  SigSet mask;
};
static_assert(sizeof(SignalAction) == 32);

struct ProcessSignals {
  SpinLock lock; ///< protects everything here and every thread's `pending` of the process; taken with interrupts off
  SignalAction actions[kSignalCount] = {};
  PendingSignals pending; ///< process-directed
  uint32_t queued = 0;    ///< heap entries in all queues, against RLIMIT_SIGPENDING
  int32_t lastTarget = 0; ///< tid after which the search for a thread begins
};

} // namespace osv

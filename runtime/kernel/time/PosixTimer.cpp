// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/lib/Log.h"
#include "kernel/signal/SignalInternal.h"
namespace osv {
void posixTimerSignalTaken(PosixTimer &, siginfo_t &) { panic("no POSIX timers yet"); }
void posixTimerSignalDropped(PosixTimer &) { panic("no POSIX timers yet"); }
} // namespace osv

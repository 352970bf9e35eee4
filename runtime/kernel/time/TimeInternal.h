// SPDX-License-Identifier: BSD-3-Clause
//
// What the files of time/ share and nobody else needs.
#pragma once

namespace osv {

/// Timer.cpp: makes the per-CPU trees. Once, first.
void initTimers();

/// Timer.cpp: gives each timer of the realtime clock its new monotonic deadline after the clock was set. Interrupts on.
void moveRealtimeTimers();
/// TimerFd.cpp: ends the reads of timerfds with TFD_TIMER_CANCEL_ON_SET.
void realtimeWasSet();

} // namespace osv

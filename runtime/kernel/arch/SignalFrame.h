// SPDX-License-Identifier: BSD-3-Clause
//
// Contract: what a signal handler finds on the stack and in the registers, and the way back. The layout is Linux's for
// the architecture.
#pragma once
#include "kernel/arch/Trap.h"
#include "kernel/signal/SignalState.h"

namespace osv::arch {

/// Makes `frame`, the running thread's way back to the program, enter the handler of `action` instead: builds the
/// signal frame on the program's stack (or the alternate one), gives the handler fresh FP state. `savedMask` is what
/// sigreturn brings back. False: the stack cannot take the frame; nothing has changed but bytes below the stack
/// pointer. May sleep.
bool pushSignalFrame(Frame &frame, const SignalInfo &info, const SignalAction &action, SigSet savedMask);

/// What rt_sigreturn takes from the program's stack, checked: registers go to `frame`, FP state is loaded, mask and
/// alternate stack are returned for the caller to apply. False: no such frame, or one that no handler could have been
/// given. May sleep.
struct RestoredSignal {
  SigSet mask;
  uint64_t altStack, altStackSize;
  int32_t altStackFlags;
};
bool popSignalFrame(Frame &frame, RestoredSignal &out);

/// Is the program, whose stack pointer is `sp`, on its alternate stack? Never with SS_AUTODISARM: such a stack is not
/// its any more while in use.
bool onAltStack(uint64_t sp, const ThreadSignals &s);

/// AT_MINSIGSTKSZ: the bytes that a signal frame needs at most.
size_t minSignalStack();

} // namespace osv::arch

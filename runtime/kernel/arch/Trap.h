// SPDX-License-Identifier: BSD-3-Clause
//
// Contract: the saved register frame, and the upcalls that the gates make into the generic kernel.
//
// `Frame` is what SAVE_FRAME of gates.S pushes for interrupts, exceptions and full-context system calls; the layout is
// known to assembly through abi/AsmOffsets.h.
#pragma once
#include "kernel/lib/Types.h"
#include <cstdint>

namespace osv {

struct Frame {
  uint64_t fsBase;   ///< `fs` model: the FS base that was loaded when the gate was entered; unused in the `gs` model
  uint64_t reserved; ///< keeps the frame a multiple of 16 bytes
  uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
  uint64_t vector; ///< 0..255; kVectorSyscall for a system call
  uint64_t error;  ///< hardware error code; the system-call number for a system call (orig_rax)
  uint64_t rip, cs, rflags, rsp, ss;

  bool isSyscall() const { return vector == 0x100; }
};
inline constexpr uint64_t kVectorSyscall = 0x100;

/// True when `frame` interrupted the program (its rsp is not inside the thread's kernel stack and its rip not inside
/// the kernel's text).
bool fromProgram(const Frame &frame);

// ---- Upcalls: called by arch, implemented by the subsystem named.

/// mm: resolves a page fault. Interrupts are as they were in the interrupted context when that had them on; may sleep
/// only then and when preemption was on. True: retry the instruction. `write`/`exec` describe the access.
bool handlePageFault(VAddr addr, bool write, bool exec, const Frame &frame);

/// signal: a hardware exception in the program becomes a signal of the running thread (forced: a blocked or ignored one
/// kills). `code`, `addr` and `trapno`/`error` are Linux's. Interrupts on.
void raiseFault(Frame &frame, int signo, int code, VAddr addr);

/// mm: a page fault of the program that handlePageFault refused: decides SIGSEGV or SIGBUS and its code, then
/// raiseFault. Interrupts on.
void raisePageFault(Frame &frame, VAddr addr, bool write, bool exec);

/// sched+signal: called by a gate on the way out to the program when gate().work is not 0, on the thread's kernel
/// stack, interrupts OFF on entry and either way on return. Does one thing of what there is: reschedules, delivers a
/// signal (rewrites `frame`) or does not return (exit). The gate turns interrupts off and looks again.
void exitToProgramWork(Frame &frame);

/// sched: at the exit of an interrupt that hit kernel code with preemption on and kWorkReschedule set. Interrupts off.
void preemptFromInterrupt();

/// time: the local timer fired. Interrupts off.
void timerInterrupt();

} // namespace osv

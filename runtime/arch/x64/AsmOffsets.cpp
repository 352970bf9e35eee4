// SPDX-License-Identifier: BSD-3-Clause
//
// Holds abi/AsmOffsets.h to the structures. No code.
#include "abi/AsmOffsets.h"
#include "abi/Gate.h"
#include "kernel/arch/Context.h"
#include "kernel/arch/Trap.h"
#include "kernel/sched/Thread.h"

namespace osv {
#define SAME(macro, type, field) static_assert(macro == offsetof(type, field))
SAME(GATE_SELF, GateBlock, self);
SAME(GATE_STACK_TOP, GateBlock, stackTop);
SAME(GATE_STACK_BOTTOM, GateBlock, stackBottom);
SAME(GATE_USER_RSP, GateBlock, userRsp);
SAME(GATE_WORK, GateBlock, work);
SAME(GATE_PREEMPT, GateBlock, preemptCount);
SAME(GATE_THREAD, GateBlock, thread);
SAME(GATE_KERNEL_FS, GateBlock, kernelFs);
SAME(GATE_APP_FS, GateBlock, appFs);
SAME(GATE_SCRATCH, GateBlock, scratch);
SAME(FRAME_FS_BASE, Frame, fsBase);
SAME(FRAME_R15, Frame, r15);
SAME(FRAME_R11, Frame, r11);
SAME(FRAME_RAX, Frame, rax);
SAME(FRAME_RCX, Frame, rcx);
SAME(FRAME_RDI, Frame, rdi);
SAME(FRAME_VECTOR, Frame, vector);
SAME(FRAME_ERROR, Frame, error);
SAME(FRAME_RIP, Frame, rip);
SAME(FRAME_CS, Frame, cs);
SAME(FRAME_RFLAGS, Frame, rflags);
SAME(FRAME_RSP, Frame, rsp);
SAME(FRAME_SS, Frame, ss);
static_assert(FRAME_SIZE == sizeof(Frame) && FRAME_SIZE % 16 == 0);
SAME(CONTEXT_RSP, arch::ThreadContext, rsp);
SAME(CONTEXT_GS_BASE, arch::ThreadContext, gsBase);
static_assert(VECTOR_SYSCALL == kVectorSyscall);
} // namespace osv

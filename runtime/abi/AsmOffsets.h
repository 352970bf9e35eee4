// SPDX-License-Identifier: BSD-3-Clause
//
// Every offset and constant that assembly shares with C++. Included by *.S and checked against the structures in
// arch/x64/AsmOffsets.cpp, so that neither side can drift. Nothing else may hold a structure offset in assembly.
#pragma once

// GateBlock (abi/Gate.h), used as %gs:osv_gate_block+OFF
#define GATE_SELF 0
#define GATE_STACK_TOP 8
#define GATE_STACK_BOTTOM 16
#define GATE_USER_RSP 24
#define GATE_WORK 32
#define GATE_PREEMPT 36
#define GATE_THREAD 40
#define GATE_KERNEL_FS 48
#define GATE_APP_FS 56
#define GATE_SCRATCH 64

// Frame (kernel/arch/Trap.h)
#define FRAME_FS_BASE 0
#define FRAME_R15 16
#define FRAME_R11 64
#define FRAME_RAX 96
#define FRAME_RCX 104
#define FRAME_RDI 128
#define FRAME_VECTOR 136
#define FRAME_ERROR 144
#define FRAME_RIP 152
#define FRAME_CS 160
#define FRAME_RFLAGS 168
#define FRAME_RSP 176
#define FRAME_SS 184
#define FRAME_SIZE 192

// ThreadContext (kernel/arch/Context.h)
#define CONTEXT_RSP 0
#define CONTEXT_GS_BASE 8

// Selectors of the kernel's GDT (arch/x64/Cpu.cpp); SYSCALL needs SS = CS + 8
#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS 0x18

#define VECTOR_SYSCALL 0x100
#define SYSCALL_COUNT 512
#define BOOT_STACK_SIZE 16384
#define RFLAGS_RESERVED 2
#define RFLAGS_IF 0x200

// SPDX-License-Identifier: BSD-3-Clause
//
// Assembly macros that gates.S and switch.S share: FS/GS base access with or without FSGSBASE, the register frame.
#pragma once

// A CPU without FSGSBASE takes the MSR instead: the five bytes of each instruction below are recorded, and Cpu.cpp overwrites them
// by a `call` of the same length to a routine that clobbers nothing else, once, at boot, before the text becomes read-only.
        .macro FSGSBASE_SITE routine
        .pushsection .fsgsbase_sites, "a", @progbits
        .quad 771f, \routine
        .popsection
771:
        .endm
        .macro WRITE_GS_BASE_RAX
        FSGSBASE_SITE osv_write_gs_base_rax
        wrgsbase %rax                    # f3 48 0f ae d8
        .endm
        .macro WRITE_FS_BASE_R11
        FSGSBASE_SITE osv_write_fs_base_r11
        wrfsbase %r11                    # f3 49 0f ae d3
        .endm
        .macro READ_FS_BASE_R11
        FSGSBASE_SITE osv_read_fs_base_r11
        rdfsbase %r11                    # f3 49 0f ae c3
        .endm

#ifdef OSV_TLS_NONE /* utils/bench/gates: the same code without thread-local storage */
#define GATE(off) osv_gate_block + off
#else
#define GATE(off) %gs:osv_gate_block + off
#endif

        .macro pushq_cfi what
        pushq \what
        .cfi_adjust_cfa_offset 8
        .endm
        .macro popq_cfi what
        popq \what
        .cfi_adjust_cfa_offset -8
        .endm

// Pushes the general registers of a Frame, rdi first, but rax and rcx from \rax and \rcx (a register or a memory operand), and leaves the
// two words below for fsBase. rsp is a Frame * afterwards.
        .macro SAVE_FRAME rax=%rax rcx=%rcx
        pushq_cfi %rdi
        pushq_cfi %rsi
        pushq_cfi %rdx
        pushq_cfi \rcx
        pushq_cfi \rax
        pushq_cfi %r8
        pushq_cfi %r9
        pushq_cfi %r10
        pushq_cfi %r11
        pushq_cfi %rbx
        pushq_cfi %rbp
        pushq_cfi %r12
        pushq_cfi %r13
        pushq_cfi %r14
        pushq_cfi %r15
        subq $16, %rsp
        .cfi_adjust_cfa_offset 16
        .endm

// The reverse: rsp points at the frame's `vector` afterwards.
        .macro RESTORE_FRAME
        addq $16, %rsp
        .cfi_adjust_cfa_offset -16
        popq_cfi %r15
        popq_cfi %r14
        popq_cfi %r13
        popq_cfi %r12
        popq_cfi %rbp
        popq_cfi %rbx
        popq_cfi %r11
        popq_cfi %r10
        popq_cfi %r9
        popq_cfi %r8
        popq_cfi %rax
        popq_cfi %rcx
        popq_cfi %rdx
        popq_cfi %rsi
        popq_cfi %rdi
        .endm

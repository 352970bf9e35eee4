// SPDX-License-Identifier: BSD-3-Clause
//
// The context switch's last step: callee-saved registers, stack and GS base. FS and FP state are Context.cpp's business, done before.
#include "abi/AsmOffsets.h"
#include "arch/x64/Macros.inc"

        .text
// extern "C" void osv_switch(ThreadContext *prev /*rdi*/, const ThreadContext *next /*rsi*/);
//
// Interrupts off. Saves into `prev` and returns on the stack of `next`, from its own call of osv_switch (or, the first time, into
// osv_thread_start). Stack picture at the switch, from CONTEXT_RSP up: r15 r14 r13 r12 rbx rbp return-address.
        .globl osv_switch
        .type osv_switch, @function
osv_switch:
        .cfi_startproc
        pushq %rbp
        .cfi_adjust_cfa_offset 8
        pushq %rbx
        .cfi_adjust_cfa_offset 8
        pushq %r12
        .cfi_adjust_cfa_offset 8
        pushq %r13
        .cfi_adjust_cfa_offset 8
        pushq %r14
        .cfi_adjust_cfa_offset 8
        pushq %r15
        .cfi_adjust_cfa_offset 8
        movq %rsp, CONTEXT_RSP(%rdi)
        movq CONTEXT_RSP(%rsi), %rsp
        movq CONTEXT_GS_BASE(%rsi), %rax
        WRITE_GS_BASE_RAX
        popq %r15
        .cfi_adjust_cfa_offset -8
        popq %r14
        .cfi_adjust_cfa_offset -8
        popq %r13
        .cfi_adjust_cfa_offset -8
        popq %r12
        .cfi_adjust_cfa_offset -8
        popq %rbx
        .cfi_adjust_cfa_offset -8
        popq %rbp
        .cfi_adjust_cfa_offset -8
        retq
        .cfi_endproc
        .size osv_switch, . - osv_switch

// First activation of a kernel thread: r12 = entry, r13 = argument (put there by createContext). Interrupts off on entry.
        .globl osv_thread_start
        .type osv_thread_start, @function
osv_thread_start:
        .cfi_startproc
        .cfi_undefined rip
        xorl %ebp, %ebp
        callq osv_thread_started         # the scheduler's part of a switch, for a thread that has not called it
        sti
        movq %r13, %rdi
        callq *%r12
        callq osv_thread_returned
        ud2
        .cfi_endproc
        .section .note.GNU-stack, "", @progbits

// SPDX-License-Identifier: BSD-3-Clause
//
// How a further processor comes up: from the start-up IPI (real mode, CS:IP = page:0) to C++ at the link address. Smp.cpp copies this page to
// kTrampoline (below 64 KiB, never given to the allocator), fills the words at its end, maps it at the same virtual address for as long as
// processors start, and starts them one after the other.
#include "abi/AsmOffsets.h"
#define BASE 0x8000                      /* kTrampoline */
#define AT(sym) (BASE + sym - osv_trampoline)

        .section .rodata.trampoline, "a", @progbits
        .globl osv_trampoline, osv_trampoline_end, osv_trampoline_cr3, osv_trampoline_context, osv_trampoline_cpu
        .balign 16
        .code16
osv_trampoline:
        cli
        cld
        xorw %ax, %ax
        movw %ax, %ds
        lgdtl AT(gdt_pointer)
        movl $0x11, %eax                 # PE, ET
        movl %eax, %cr0
        ljmpl $0x18, $AT(protected)
        .code32
protected:
        movl $SELECTOR_DATA, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        movl $0x20 + 0x80 + 0x200 + 0x400, %eax # CR4: PAE, PGE, OSFXSR, OSXMMEXCPT
        movl %eax, %cr4
        movl AT(osv_trampoline_cr3), %eax
        movl %eax, %cr3
        movl $0xc0000080, %ecx           # EFER
        rdmsr
        orl $0x901, %eax                 # SCE, LME, NXE
        wrmsr
        movl $0x80010033, %eax           # CR0: PG, WP, NE, ET, MP, PE
        movl %eax, %cr0
        ljmpl $SELECTOR_CODE, $AT(long_mode)
        .code64
long_mode:
        xorl %eax, %eax
        movl %eax, %fs
        movl %eax, %gs
        movq AT(osv_trampoline_context), %rsi  # ThreadContext: GS base, stack
        movl AT(osv_trampoline_cpu), %edi
        movl $osv_start_ap, %eax
        jmpq *%rax

        .balign 8
gdt:    .quad 0
        .quad 0x00af9b000000ffff         # 0x08 code, 64 bit
        .quad 0x00cf93000000ffff         # 0x10 data
        .quad 0x00cf9b000000ffff         # 0x18 code, 32 bit, for the way there
gdt_pointer:
        .word 4*8 - 1
        .long AT(gdt)
        .balign 8
osv_trampoline_cr3:     .quad 0
osv_trampoline_context: .quad 0
osv_trampoline_cpu:     .quad 0
osv_trampoline_end:

        .text
// edi = CPU number, rsi = its first ThreadContext. Kernel tables are loaded; GS base and stack come now.
        .globl osv_start_ap
osv_start_ap:
        movq CONTEXT_RSP(%rsi), %rsp
        movq CONTEXT_GS_BASE(%rsi), %rdx
        movl %edx, %eax
        shrq $32, %rdx
        movl $0xc0000101, %ecx
        wrmsr
        xorl %ebp, %ebp
        pushq %rdi
        pushq %rbp
        callq osv_init_ap
        movl 8(%rsp), %edi
        callq osv_ap
        ud2
        .section .note.GNU-stack, "", @progbits

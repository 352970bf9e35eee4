// SPDX-License-Identifier: BSD-3-Clause
//
// Copying from and to program memory. Every instruction that touches the program's memory has a row in `.fixups`: (its address, where to go
// on when the fault cannot be resolved). Traps.cpp looks there. Contract: kernel/arch/UserCopy.h. Leaf functions, C calling convention. Single accesses
// are in UserCopyInline.h.

        .macro FIXUP target
        .pushsection .fixups, "a", @progbits
        .quad 770f, \target
        .popsection
770:
        .endm

        .text
// size_t osv_user_copy(void *dst /*rdi*/, const void *src /*rsi*/, size_t n /*rdx*/): bytes not copied. Words first, then the rest; after a fault in the
// middle of the words the rest is counted from rcx, so the answer is exact to the byte that faulted (a word that straddles counts as not copied).
        .globl osv_user_copy
        .type osv_user_copy, @function
osv_user_copy:
        movq %rdx, %rcx
        shrq $3, %rcx
        andl $7, %edx
        FIXUP 1f
        rep movsq
        movl %edx, %ecx
        FIXUP 2f
        rep movsb
        xorl %eax, %eax
        retq
1:      // The word at rsi/rdi faulted: copy what is left of its page byte by byte, so that a partial copy ends exactly at the bad byte.
        leaq (%rdx,%rcx,8), %rcx
        FIXUP 2f
        rep movsb
2:      movq %rcx, %rax
        retq

// long osv_user_strnlen(const char *s /*rdi*/, size_t max /*rsi*/)
        .globl osv_user_strnlen
        .type osv_user_strnlen, @function
osv_user_strnlen:
        xorl %eax, %eax
1:      cmpq %rsi, %rax
        je 2f
        FIXUP 3f
        cmpb $0, (%rdi,%rax)
        je 2f
        incq %rax
        jmp 1b
2:      retq
3:      movq $-1, %rax
        retq

// size_t osv_user_zero(void *dst /*rdi*/, size_t n /*rsi*/): bytes not written
        .globl osv_user_zero
        .type osv_user_zero, @function
osv_user_zero:
        movq %rsi, %rcx
        shrq $3, %rcx
        andl $7, %esi
        xorl %eax, %eax
        FIXUP 1f
        rep stosq
        movl %esi, %ecx
        FIXUP 2f
        rep stosb
        retq
1:      leaq (%rsi,%rcx,8), %rcx
        FIXUP 2f
        rep stosb
2:      movq %rcx, %rax
        retq

        .section .note.GNU-stack, "", @progbits

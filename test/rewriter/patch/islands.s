# SPDX-License-Identifier: BSD-3-Clause
# A stripped program without unwind tables: functions are inferred between what calls and pointers prove. A site in one is rewritten, unless an
# indirect jump that is not understood, in the same function or in code that is joined to it, may go to the middle of it. Such jumps are made
# here, to each instruction that would be replaced.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t && strip %t
# RUN: %osv-rewrite %t -o %t.elf --emit=elf --verify --explain-site=all -v > %t.sites 2> %t.err
# RUN: FileCheck %s --implicit-check-not='in .text: none' < %t.sites
# RUN: FileCheck %s --check-prefix=COUNT < %t.err
# RUN: %t > %t.out && %t.elf > %t.elf.out && diff %t.out %t.elf.out
# RUN: %if runtime-gs && qemu %{ %osv-rewrite %t -o %t.img --verify && %osv-run %t.img > %t.img.out && diff %t.out %t.img.out %}

# COUNT: 9 system-call sites: S0 3, S1 3, B 0, mixed 0, left alone 3;

# _start
# CHECK:      site {{.*}}, the function at [[#%#x,START:]]+0x{{[0-9a-f]+}} in .text: S0
# CHECK:      site {{.*}}, the function at [[#START]]+0x{{[0-9a-f]+}} in .text: S0
# plain, throughPointer, afterStop
# CHECK:      site {{.*}}, the function at 0x{{[0-9a-f]+}}+0x5 in .text: S1
# CHECK:      site {{.*}}, the function at 0x{{[0-9a-f]+}}+0xe in .text: S1
# CHECK:      site {{.*}}, the function at [[#%#x,STOP:]]+0xe in .text: S0
# CHECK:      site {{.*}}, the function at [[#STOP]]+0x15 in .text: S1
# base: its address is taken and it looks like a function, but the jump is in the code that takes it.
# CHECK:      site {{.*}}, the function at 0x{{[0-9a-f]+}}+0x5 in .text: none
# CHECK:      S1 refused: 0x{{[0-9a-f]+}} may be the target of an indirect jump that is not understood
# cold: a jump leads there from the function that has the indirect jump.
# CHECK:      site {{.*}}, the function at 0x{{[0-9a-f]+}}+0x7 in .text: none
# CHECK:      S1 refused: 0x{{[0-9a-f]+}} may be the target of an indirect jump that is not understood
# computed: not even the form of a table.
# CHECK:      site {{.*}}, the function at 0x{{[0-9a-f]+}}+0x{{[0-9a-f]+}} in .text: none
# CHECK:      S1 refused: 0x{{[0-9a-f]+}} may be the target of an indirect jump that is not understood
        .macro getpid                   # with 39 in rax: five bytes before the syscall, and right from each of them
0:      nop
1:      xorl %esi, %esi
2:      xorl %edx, %edx
        syscall
        .endm

        .globl _start
_start:
        movl $39, %eax
        call plain
        xorl %edi, %edi
        call throughPointer
        movl $1, %edi
        call throughPointer
        call afterStop
        xorl %ebx, %ebx
0:      movq %rbx, %rdi
        movl $39, %eax
        call hidden
        movq %rbx, %rdi
        movl $39, %eax
        call intoCold
        movq %rbx, %rdi
        movl $39, %eax
        call computed
        call usesCold
        incl %ebx
        cmpl $3, %ebx
        jne 0b
        leaq text(%rip), %rsi
        movl $6, %edx
        movl $1, %edi
        movl $1, %eax
        syscall
        xorl %edi, %edi
        movl $60, %eax
        syscall
        hlt
        .balign 16
plain:
        getpid
        ret

# A jump to where a word of memory says is a call.
        .balign 16
throughPointer:
        movl $39, %eax
        testl %edi, %edi
        jnz 3f
        getpid
        ret
3:      jmp *pointer(%rip)

# What follows the hlt is not reached, but belongs to the function.
        .balign 16
afterStop:
        testl %edi, %edi
        js 3f
        jmp 4f
3:      hlt
        jmp 4f
4:      movl $39, %eax
        syscall
        getpid
        ret

        .balign 16
hidden:
        leaq baseDistances(%rip), %rcx
        movzbl (%rcx,%rdi), %ecx
        leaq base(%rip), %rdx
        addq %rcx, %rdx
        jmp *%rdx
        .balign 16
base:
        getpid
        ret
        .set base0, 0b - base
        .set base1, 1b - base
        .set base2, 2b - base

        .balign 16
intoCold:
        leaq coldDistances(%rip), %rcx
        movzwl (%rcx,%rdi,2), %ecx
        leaq intoCold(%rip), %rdx
        addq %rcx, %rdx
        testq %rdi, %rdi
        js cold
        jmp *%rdx

        .balign 16
usesCold:
        movl $39, %eax
        call cold
        ret

        .balign 16
cold:
        xorl %edi, %edi
        getpid
        ret
        .set cold0, 0b - intoCold
        .set cold1, 1b - intoCold
        .set cold2, 2b - intoCold

        .balign 16
computed:
        leaq computedDistances(%rip), %rcx
        movzbl (%rcx,%rdi), %ecx
        jmp 5f
3:      getpid
        ret
        .set computed0, 4f - 0b
        .set computed1, 4f - 1b
        .set computed2, 4f - 2b
5:      testq %rdi, %rdi
        js 3b
        call 4f
4:      popq %rdx
        subq %rcx, %rdx
        jmp *%rdx
        .section .rodata
text:   .ascii "hello\n"
baseDistances: .byte base0, base1, base2
computedDistances: .byte computed0, computed1, computed2
        .balign 2
coldDistances: .short cold0, cold1, cold2
        .data
        .balign 8
pointer: .quad plain

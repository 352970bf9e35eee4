# SPDX-License-Identifier: BSD-3-Clause
# What is never touched, each with its reason: a call before, the signal return sequence, two calls close together, a function that ends,
# code that an indirect jump may enter anywhere, a prefix.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite %t -o %t.elf --emit=elf --verify -v --explain-site=all 2> %t.err | FileCheck %s
# RUN: FileCheck %s --check-prefix=LEFT < %t.err
# RUN: %t > %t.out && %t.elf > %t.elf.out && diff %t.out %t.elf.out
# RUN: %if runtime-gs && qemu %{ %osv-rewrite %t -o %t.img --verify && %osv-run %t.img > %t.img.out && diff %t.out %t.img.out %}
# RUN: not %osv-rewrite %t -o %t.elf --emit=elf --explain-site=_start 2>&1 | FileCheck %s --check-prefix=NOSITE
# RUN: not %osv-rewrite %t -o %t.elf --emit=elf --explain-site=nowhere 2>&1 | FileCheck %s --check-prefix=NOSYMBOL
# NOSITE: error: there is no known `syscall` at 0x{{.*}} [no-site]
# NOSYMBOL: error: 'nowhere' is neither an address nor a symbol [no-site]

# CHECK:      'afterCall'{{.*}}: none, stays as it is
# CHECK-NEXT: S0 refused: 0x{{[0-9a-f]+}} is a call, whose return address would be the stub's
# CHECK-NEXT: S1 refused: 0x{{[0-9a-f]+}} is a call, whose return address would be the stub's
# CHECK-NEXT: mixed refused: 0x{{[0-9a-f]+}} is a call, whose return address would be the stub's
# CHECK-NEXT: B refused: 0x{{[0-9a-f]+}} is a call, whose return address would be the stub's
# CHECK-NOT:  the stub
# CHECK:      'twoCalls'{{.*}}: S0
# CHECK:      'twoCalls'{{.*}}: none
# CHECK-NEXT: S0 refused: 0x{{[0-9a-f]+}} already belongs to the site before
# CHECK:      B refused: 0x{{[0-9a-f]+}} is a branch target
# CHECK:      'atEnd'{{.*}}: none
# CHECK-NEXT: B refused: 0x{{[0-9a-f]+}} does not fall through, and what follows is no padding
# CHECK:      mixed refused: the syscall is a branch target
# CHECK:      'sigreturn'{{.*}}: none
# CHECK-NEXT: it is the signal return sequence, which unwinders compare byte for byte
# CHECK:      'hidden'{{.*}}: none
# CHECK-NEXT: S0 refused: the instruction before has only 2 bytes
# CHECK-NEXT: S1 refused: 0x{{[0-9a-f]+}} may be the target of an indirect jump that is not understood
# CHECK:      B refused: 0x{{[0-9a-f]+}} may be the target of an indirect jump that is not understood
# CHECK:      'prefixed'{{.*}}: none
# CHECK-NEXT: it has a prefix
# CHECK:      'prefixed'{{.*}}: none
# CHECK-NEXT: it has a prefix

# LEFT: system-call sites: {{.*}} left alone 7;
        .globl _start
        .type _start, @function
_start:
        movl $39, %eax
        call afterCall
        call twoCalls
        call atEnd
        call hidden
        call prefixed
        leaq text(%rip), %rsi
        movl $6, %edx
        movl $1, %edi
        movl $1, %eax
        syscall
        movl $60, %eax
        xorl %edi, %edi
        syscall
        call sigreturn
        .size _start, . - _start

        .type nothing, @function
nothing:
        ret
        .size nothing, . - nothing
        .type afterCall, @function
afterCall:
        call nothing
        syscall
        call nothing
        ret
        .size afterCall, . - afterCall
        .type twoCalls, @function
twoCalls:
        movl $39, %eax
        syscall
        syscall
1:      testl %eax, %eax
        jz 1b
        ret
        .size twoCalls, . - twoCalls
        .type atEnd, @function
atEnd:
        movl $39, %eax
        jmp 1f
        nop
1:      syscall
        ret
        .size atEnd, . - atEnd
        .type sigreturn, @function
sigreturn:
        movq $15, %rax
        syscall
        .size sigreturn, . - sigreturn
        .p2align 4
        .type hidden, @function
hidden:
        movl $39, %eax
        cmpl $39, %eax
        je 1f
        movslq (%rsi,%rax,4), %rdx      # a jump table that is somewhere
        addq %rsi, %rdx
        jmp *%rdx
1:      nop
        movl %eax, %ebx
        movl %ebx, %eax
        syscall
        movl %eax, %ebx
        ret
        .size hidden, . - hidden
        .type prefixed, @function
prefixed:
        movl $39, %eax
        .byte 0x48, 0x0f, 0x05          # rex.w syscall
        movl $39, %eax
        .byte 0xf3, 0x0f, 0x05          # rep syscall
        ret
        .size prefixed, . - prefixed
        .section .rodata
text:   .ascii "hello\n"

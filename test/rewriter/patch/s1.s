# SPDX-License-Identifier: BSD-3-Clause
# S1: several short instructions before the call become the jump, and a long one before them, so that a jump to one of them would trap. The neighbour, where one of them is a branch target, is not patched that way.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite %t -o %t.elf --emit=elf --verify --explain-site=site --explain-site=other | FileCheck %s
# RUN: %t > %t.out && %t.elf > %t.elf.out && diff %t.out %t.elf.out

# CHECK:      site [[#%#x,SITE:]], '_start'+{{.*}}: S1, the instructions before it become the jump
# CHECK-NEXT: S0 refused: the instruction before has only 2 bytes
# CHECK:      > {{.*}}: ba 06 00 00 00 mov $0x6, %edx
# CHECK-NEXT: > {{.*}}: 6a 01 push $0x1
# CHECK-NEXT: > {{.*}}: 58 pop %rax
# CHECK-NEXT: > {{.*}}: 89 c7 mov %eax, %edi
# CHECK-NEXT: [[#%#x,SITE]]: 0f 05
# CHECK:      an unknown jump to {{.*}} would trap, and go on in the stub
# CHECK-NEXT: an unknown jump to {{.*}} would trap, and go on in the stub
# CHECK-NEXT: an unknown jump to {{.*}} would trap, and go on in the stub
# CHECK-NEXT: the stub
# CHECK-NEXT: mov $0x6, %edx
# CHECK-NEXT: push $0x1
# CHECK-NEXT: pop %rax
# CHECK-NEXT: mov %eax, %edi
# CHECK-NEXT: syscall
# CHECK-NEXT: lea [[#%#x,SITE+2]]
# CHECK-NEXT: jmp [[#%#x,SITE+2]]

# CHECK:      site {{.*}} '_start'+{{.*}}: mixed
# CHECK:      S1 refused: {{0x[0-9a-f]+}} is a branch target
        .globl _start
        .type _start, @function
_start:
        leaq text(%rip), %rsi
        movl $6, %edx
        pushq $1
        popq %rax
        movl %eax, %edi
site:   syscall
        movl $1, %ebx
again:  movl $1, %edi
        pushq $1
1:      popq %rax
        nop
        nop
other:  syscall
        decl %ebx
        pushq $1
        js 2f
        je 1b
2:      movl $60, %eax
        xorl %edi, %edi
        syscall
        .size _start, . - _start
        .section .rodata
text:   .ascii "hello\n"

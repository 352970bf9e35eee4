# SPDX-License-Identifier: BSD-3-Clause
# B: a call that is a branch target itself, and what follows, become the jump; the stub goes on with what followed. What follows may be a
# branch, or a `ret` with padding behind.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite %t -o %t.elf --emit=elf --verify --explain-site=site --explain-site=branch --explain-site=last -v 2> %t.err | FileCheck %s
# RUN: FileCheck %s --check-prefix=LINES < %t.err
# RUN: %t > %t.out && %t.elf > %t.elf.out && diff %t.out %t.elf.out && FileCheck %s --check-prefix=OUT < %t.out
# OUT:      hello
# OUT-NEXT: hello
# OUT-NEXT: hello
# OUT-NEXT: hello

# CHECK:      site [[#%#x,SITE:]], '_start'+{{.*}}: B, it and what follows become the jump
# CHECK-NEXT: the program
# CHECK:      > [[#%#x,SITE]]: 0f 05
# CHECK-NEXT: > {{.*}} sub $0x1, %ebx
# CHECK:      the stub
# CHECK-NEXT: syscall
# CHECK-NEXT: lea [[#%#x,SITE+2]]
# CHECK-NEXT: sub $0x1, %ebx
# CHECK-NEXT: jmp [[#%#x,SITE+5]]

# CHECK:      site [[#%#x,SITE2:]], 'second'{{.*}}: B
# CHECK:      the stub
# CHECK-NEXT: syscall
# CHECK-NEXT: lea [[#%#x,SITE2+2]]
# CHECK-NEXT: dec %ebx
# CHECK-NEXT: 0f 85 {{.*}} jnz [[#%#x,SITE2]]
# CHECK-NEXT: jmp [[#%#x,SITE2+6]]

# CHECK:      site [[#%#x,SITE3:]], 'third'{{.*}}: B
# CHECK:      the stub
# CHECK-NEXT: syscall
# CHECK-NEXT: lea [[#%#x,SITE3+2]]
# CHECK-NEXT: c3 ret
# CHECK-NOT:  jmp
# LINES:      '_start'+{{.*}} in .text: B: syscall; sub $0x1, %ebx -> jmp [[#%#x,STUB:]]{{$}}
# LINES-NEXT: '_start'+{{.*}} in .text: S1: mov $0x3c, %eax; xor %edi, %edi; syscall -> jmp [[#STUB+0x20]]; syscall{{$}}
# LINES-NEXT: 'second'+{{.*}} in .text: B: syscall; dec %ebx; jnz {{0x[0-9a-f]+}} -> jmp [[#STUB+0x40]]{{$}}
# LINES-NEXT: 'third'+{{.*}} in .text: B: syscall; ret -> jmp [[#STUB+0x60]]{{$}}
        .globl _start
        .type _start, @function
_start:
        movl $1, %edi
        leaq text(%rip), %rsi
        movl $6, %edx
        movl $2, %ebx
        movl $1, %eax
        jmp site
again:  movl $1, %eax
site:   syscall
        subl $1, %ebx
        jne again
        movl $1, %ebx
        call second
        movl $1, %eax
        call third
        movl $60, %eax
        xorl %edi, %edi
        syscall
        .size _start, . - _start
        .type second, @function
second: movl $1, %eax
branch: syscall
        decl %ebx
        jne branch
        movl $1, %eax
        ret
        .size second, . - second
        .type third, @function
        .p2align 4
third:
        testl %eax, %eax
        je last
        movl $1, %eax
last:   syscall
        ret
        .size third, . - third
        .p2align 5, 0xcc
        .section .rodata
text:   .ascii "hello\n"

# SPDX-License-Identifier: BSD-3-Clause
# S0: one instruction of at least five bytes before the call becomes the jump; the `syscall` stays where it is.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite %t -o %t.elf --emit=elf --verify --explain-site=site --explain-site=relative | FileCheck %s
# RUN: llvm-objdump -d --no-show-raw-insn %t.elf | FileCheck %s --check-prefix=DUMP
# RUN: %t > %t.out && %t.elf > %t.elf.out && diff %t.out %t.elf.out

# CHECK:      site [[#%#x,SITE:]], '_start'+{{.*}}: S0, the instruction before it becomes the jump
# CHECK-NOT:  refused
# CHECK:      > {{.*}}: 48 c7 c0 01 00 00 00 mov $0x1, %rax
# CHECK-NEXT: [[#%#x,SITE]]: 0f 05
# CHECK:      the stub
# CHECK-NEXT: 48 c7 c0 01 00 00 00 mov $0x1, %rax
# CHECK-NEXT: 0f 05 syscall
# CHECK-NEXT: lea [[#%#x,SITE+2]]
# CHECK-NEXT: jmp [[#%#x,SITE+2]]

# A RIP-relative operand names the same place from the stub.
# CHECK:      site [[#%#x,SITE2:]], '_start'+{{.*}}: S0
# CHECK:      > {{.*}}: 8b 05 {{.*}} mov [[#%#x,NUMBER:]]
# CHECK:      the stub
# CHECK-NEXT: 8b 05 {{.*}} mov [[#%#x,NUMBER]]

# DUMP-LABEL: <site>:
# DUMP-NEXT:  syscall
        .globl _start
        .type _start, @function
_start:
        movl $1, %edi
        leaq text(%rip), %rsi
        movl $6, %edx
        movq $1, %rax
site:   syscall
        movl number(%rip), %eax
relative:
        syscall
        movl $60, %eax
        xorl %edi, %edi
        syscall
        .size _start, . - _start
        .section .rodata
text:   .ascii "hello\n"
number: .long 1

# SPDX-License-Identifier: BSD-3-Clause
# A store and a load through %gs, with the place, the culprit and the others; FS is the program's own.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: not %osv-rewrite --check %t 2>&1 | FileCheck %s
# RUN: %asm --defsym GOOD=1 %s -o %t.good.o && %link %t.good.o -o %t.good
# RUN: %osv-rewrite --check %t.good 2>&1 | FileCheck %s --check-prefix=GOOD
# CHECK: will not run (1 error)
# CHECK: error: store through %gs in 'victim' would overwrite the runtime's thread block [gs-use]
# CHECK-NEXT: note: at 0x[[#%x,SITE:]], 'victim'+0x3 in .text
# CHECK-NEXT: {{^ +}}[[#%x,SITE-3]]: 48 89 f8 mov %rdi, %rax
# CHECK-NEXT: {{^ +}}> [[#%x,SITE]]: 65 48 89 04 25 10 00 00 00  mov %rax, %gs:0x10
# CHECK: note: 2 more uses in 'victim': 0x[[#%x,SITE+9]], 0x[[#%x,SITE+18]]
# CHECK-NOT: error:
# GOOD: will run
# GOOD-NOT: {{\[}}gs-use]
# GOOD-NOT: error:
.globl _start
.type _start, @function
_start:
  call victim
  mov $60, %eax
  xor %edi, %edi
  syscall
  ud2
.size _start, . - _start

.type victim, @function
victim:
.ifndef GOOD
  mov %rdi, %rax
  movq %rax, %gs:0x10
  movq %gs:0x18, %rdx
  movq %gs:0x20, %rdx
.else
  mov %rdi, %rax
  movq %rax, %fs:0x10
.endif
  ret
.size victim, . - victim

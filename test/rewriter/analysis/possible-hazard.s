# SPDX-License-Identifier: BSD-3-Clause
# Data in text that decodes as a use of GS is no reason to refuse the program; the same bytes, reached, are.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite --check %t 2>&1 | FileCheck %s
# CHECK: will run
# CHECK-NOT: error:
# CHECK: note: 1 place outside proven code would use GS or a privileged instruction, if it is code [possible-hazard]
# CHECK-NEXT: note: first at 0x[[#%x,]], in .text
# CHECK: > {{.*}} mov %gs:0x0, %rax
# RUN: %asm --defsym REACHED=1 %s -o %t.reached.o && %link %t.reached.o -o %t.reached
# RUN: not %osv-rewrite --check %t.reached 2>&1 | FileCheck %s --check-prefix=REACHED
# REACHED: error: load through %gs in {{.*}} [gs-use]
# RUN: %asm --defsym NONE=1 %s -o %t.none.o && %link %t.none.o -o %t.none
# RUN: %osv-rewrite --check %t.none 2>&1 | FileCheck %s --check-prefix=NONE
# NONE: will run
# NONE-NOT: {{\[}}possible-hazard]
.globl _start
.type _start, @function
_start:
.ifdef REACHED
  call table
.endif
  mov $60, %eax
  xor %edi, %edi
  syscall
  ud2
.size _start, . - _start
.p2align 4
table:
.ifdef NONE
  movq %fs:0, %rax
.else
  movq %gs:0, %rax
.endif
  ret

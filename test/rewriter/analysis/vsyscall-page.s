# SPDX-License-Identifier: BSD-3-Clause
# A call into the vsyscall page; a program that only names the address (an emulator) is left alone.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite --check %t 2>&1 | FileCheck %s
# RUN: %asm --defsym GOOD=1 %s -o %t.good.o && %link %t.good.o -o %t.good
# RUN: %osv-rewrite --check %t.good 2>&1 | FileCheck %s --check-prefix=GOOD
# CHECK: will run
# CHECK: warning: call into the vsyscall page in 'victim', which is not mapped [vsyscall-page]
# GOOD: will run
# GOOD-NOT: {{\[}}vsyscall-page]
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
  mov $0xffffffffff600000, %rax
  call *%rax
.else
  mov $0xffffffffff600000, %rax
  cmp %rax, %rdi
.endif
  ret
.size victim, . - victim

# SPDX-License-Identifier: BSD-3-Clause
# Linux's 32-bit system call; int $3 is a breakpoint and becomes SIGTRAP.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: not %osv-rewrite --check %t 2>&1 | FileCheck %s
# RUN: %asm --defsym GOOD=1 %s -o %t.good.o && %link %t.good.o -o %t.good
# RUN: %osv-rewrite --check %t.good 2>&1 | FileCheck %s --check-prefix=GOOD
# CHECK: error: 'int $0x80' in 'victim' is a 32-bit system call, which the runtime does not provide [int80]
# GOOD: will run
# GOOD-NOT: {{\[}}int80]
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
  int $0x80
.else
  int $3
  int3
.endif
  ret
.size victim, . - victim

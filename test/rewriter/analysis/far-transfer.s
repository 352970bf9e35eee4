# SPDX-License-Identifier: BSD-3-Clause
# A far return; an ordinary one is fine.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: not %osv-rewrite --check %t 2>&1 | FileCheck %s
# RUN: %asm --defsym GOOD=1 %s -o %t.good.o && %link %t.good.o -o %t.good
# RUN: %osv-rewrite --check %t.good 2>&1 | FileCheck %s --check-prefix=GOOD
# CHECK: error: far transfer in 'victim' needs Linux's segment selectors [far-transfer]
# GOOD: will run
# GOOD-NOT: {{\[}}far-transfer]
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
  lretq
.else
  ret
.endif
  ret
.size victim, . - victim

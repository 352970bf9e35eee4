# SPDX-License-Identifier: BSD-3-Clause
# A program most of whose text nothing reaches is accepted, with a remark that something may have been missed.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite --check %t 2>&1 | FileCheck %s
# CHECK: will run
# CHECK: note: only {{[0-9]+}} % of the {{[0-9]+}} executable bytes are proven to be code [low-coverage]
# RUN: %asm --defsym GOOD=1 %s -o %t.good.o && %link %t.good.o -o %t.good
# RUN: %osv-rewrite --check %t.good 2>&1 | FileCheck %s --check-prefix=GOOD
# GOOD: will run
# GOOD-NOT: low-coverage]
.globl _start
.type _start, @function
_start:
  mov $60, %eax
  xor %edi, %edi
  syscall
  ud2
.size _start, . - _start
.ifndef GOOD
.fill 64, 1, 0x06
.endif

# SPDX-License-Identifier: BSD-3-Clause
# sgdt shows the runtime's table; cpuid is harmless.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite --check %t 2>&1 | FileCheck %s
# RUN: %asm --defsym GOOD=1 %s -o %t.good.o && %link %t.good.o -o %t.good
# RUN: %osv-rewrite --check %t.good 2>&1 | FileCheck %s --check-prefix=GOOD
# CHECK: will run
# CHECK: warning: 'sgdt' in 'victim' shows the runtime's descriptor tables [descriptor-read]
# GOOD: will run
# GOOD-NOT: {{\[}}descriptor-read]
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
  sgdt -16(%rsp)
.else
  cpuid
.endif
  ret
.size victim, . - victim

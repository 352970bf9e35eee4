# SPDX-License-Identifier: BSD-3-Clause
# A negative offset beyond the TLS block is no variable of this program; one within it is named.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite --check %t 2>&1 | FileCheck %s
# RUN: %asm --defsym GOOD=1 %s -o %t.good.o && %link %t.good.o -o %t.good
# RUN: %osv-rewrite --check %t.good 2>&1 | FileCheck %s --check-prefix=GOOD
# GOOD-NAME: TLS variables   variable (1)
# RUN: %osv-rewrite --check %t.good 2>&1 | FileCheck %s --check-prefix=GOOD-NAME
# CHECK: warning: access to %fs:-0x40 in 'victim' is outside the thread-local block of 0x8 bytes [fs-outside]
# GOOD: will run
# GOOD-NOT: {{\[}}fs-outside]
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
  mov %fs:-0x40, %eax
.else
  mov %fs:variable@tpoff, %eax
.endif
  ret
.size victim, . - victim
.section .tbss, "awT", @nobits
.globl variable
.type variable, @object
.size variable, 4
.zero 4
variable: .zero 4

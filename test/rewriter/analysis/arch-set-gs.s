# SPDX-License-Identifier: BSD-3-Clause
# ARCH_SET_GS fails, which a program can cope with; ARCH_SET_FS is how every program sets its thread pointer.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite --check %t 2>&1 | FileCheck %s
# RUN: %asm --defsym GOOD=1 %s -o %t.good.o && %link %t.good.o -o %t.good
# RUN: %osv-rewrite --check %t.good 2>&1 | FileCheck %s --check-prefix=GOOD
# CHECK: thread pointer  arch_prctl(ARCH_SET_GS) in victim at 0x
# CHECK: warning: arch_prctl(ARCH_SET_GS) in 'victim' fails with EINVAL, because GS belongs to the runtime [arch-set-gs]
# GOOD: will run
# GOOD-NOT: {{\[}}arch-set-gs]
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
  mov $0x1001, %edi
  mov $158, %eax
  syscall
.else
  mov $0x1002, %edi
  mov $158, %eax
  syscall
.endif
  ret
.size victim, . - victim

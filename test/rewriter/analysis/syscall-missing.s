# SPDX-License-Identifier: BSD-3-Clause
# A system call that the runtime does not have, only when asked; it returns ENOSYS.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite --check -Wsyscall-missing %t 2>&1 | FileCheck %s
# RUN: %asm --defsym GOOD=1 %s -o %t.good.o && %link %t.good.o -o %t.good
# RUN: %osv-rewrite --check -Wsyscall-missing %t.good 2>&1 | FileCheck %s --check-prefix=GOOD
# CHECK: warning: system call 'nfsservctl' (180) in 'victim' is not provided and returns ENOSYS [syscall-missing]
# GOOD: will run
# GOOD-NOT: {{\[}}syscall-missing]
# GOOD-NOT: error:
.globl _start
.type _start, @function
_start:
  call victim
  mov $231, %eax
  xor %edi, %edi
  syscall
  ud2
.size _start, . - _start

.type victim, @function
victim:
.ifndef GOOD
  mov $180, %eax
  syscall
.else
  nop
.endif
  ret
.size victim, . - victim

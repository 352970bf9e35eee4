# SPDX-License-Identifier: BSD-3-Clause
# In the fs model a thread pointer that the kernel has not seen does not last. In the gs model it does (test/runtime/gates/wrfsbase.c), and
# reading it is nobody's concern.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite --check --tls=fs %t 2>&1 | FileCheck %s
# RUN: %osv-rewrite --check --tls=gs %t 2>&1 | FileCheck %s --check-prefix=GOOD
# RUN: %asm --defsym GOOD=1 %s -o %t.good.o && %link %t.good.o -o %t.good
# RUN: %osv-rewrite --check --tls=fs %t.good 2>&1 | FileCheck %s --check-prefix=GOOD
# CHECK: warning: 'wrfsbase' in 'victim' sets a thread pointer that the next system call takes back, with --tls=fs [fs-base-write]
# CHECK: wrfsbase
# CHECK: note: 1 more use in 'victim': 0x
# GOOD: will run
# GOOD-NOT: {{\[}}fs-base-write]
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
  rdfsbase %rax
.ifndef GOOD
  wrfsbase %rax
  wrfsbase %rbx
.endif
  ret
.size victim, . - victim

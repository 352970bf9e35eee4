# SPDX-License-Identifier: BSD-3-Clause
# A popf that restores its own pushf is fine (OpenSSL, Go's asyncPreempt); any other may disable interrupts.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite --check %t 2>&1 | FileCheck %s
# RUN: %asm --defsym GOOD=1 %s -o %t.good.o && %link %t.good.o -o %t.good
# RUN: %osv-rewrite --check %t.good 2>&1 | FileCheck %s --check-prefix=GOOD
# CHECK: will run
# CHECK: warning: 'popfq' in 'victim' restores flags that no 'pushf' of the function saved, and could disable interrupts [popf]
# CHECK: > {{.*}} popfq
# GOOD: will run
# GOOD-NOT: {{\[}}popf]
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
  push %rdi
  popfq
.else
  pushfq
  nop
  popfq
.endif
  ret
.size victim, . - victim

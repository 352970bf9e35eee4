# SPDX-License-Identifier: BSD-3-Clause
# wrpkru needs protection keys; xgetbv, beside it in the opcode map, is harmless.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %osv-rewrite --check %t 2>&1 | FileCheck %s
# RUN: %asm --defsym GOOD=1 %s -o %t.good.o && %link %t.good.o -o %t.good
# RUN: %osv-rewrite --check %t.good 2>&1 | FileCheck %s --check-prefix=GOOD
# CHECK: will run
# CHECK: warning: 'wrpkru' in 'victim' needs protection keys, which the runtime does not enable [protection-keys]
# GOOD: will run
# GOOD-NOT: {{\[}}protection-keys]
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
  wrpkru
.else
  xgetbv
.endif
  ret
.size victim, . - victim

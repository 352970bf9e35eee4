# SPDX-License-Identifier: BSD-3-Clause
# The base of GS is the address of the runtime's thread block.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t && not %osv-rewrite --check %t 2>&1 | FileCheck %s
# CHECK: error: 'rdgsbase' in 'victim' would read the address of the runtime's thread block [gs-use]
# CHECK-NOT: error:
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
  rdgsbase %rax
.else
  nop
.endif
  ret
.size victim, . - victim

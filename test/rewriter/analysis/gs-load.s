# SPDX-License-Identifier: BSD-3-Clause
# A selector loaded into GS replaces its base.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t && not %osv-rewrite --check %t 2>&1 | FileCheck %s
# CHECK: error: 'mov' of %gs in 'victim' would take GS from the runtime [gs-use]
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
  mov %eax, %gs
.else
  nop
.endif
  ret
.size victim, . - victim

# SPDX-License-Identifier: BSD-3-Clause
# Instructions that only ring 0 may execute; the runtime would obey instead of raising SIGSEGV.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: not %osv-rewrite --check %t 2>&1 | FileCheck %s
# RUN: %asm --defsym GOOD=1 %s -o %t.good.o && %link %t.good.o -o %t.good
# RUN: %osv-rewrite --check %t.good 2>&1 | FileCheck %s --check-prefix=GOOD
# CHECK: error: privileged instruction 'wrmsr' in 'victim' would change the machine instead of raising SIGSEGV [privileged-instruction]
# CHECK: > {{.*}}: 0f 30 wrmsr
# CHECK: note: 4 more uses in 'victim'
# CHECK-NOT: error:
# GOOD: will run
# GOOD-NOT: {{\[}}privileged-instruction]
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
  wrmsr
  cli
  outb %al, $0x80
  mov %rax, %cr3
  swapgs
.else
  hlt
.endif
  ret
.size victim, . - victim

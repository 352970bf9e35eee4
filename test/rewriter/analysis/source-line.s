# SPDX-License-Identifier: BSD-3-Clause
# A program with DWARF has its source line in the finding; the limit on errors; warnings flags work on findings of code.
# REQUIRES: osv-rewrite
# RUN: %asm -g %s -o %t.o && %link %t.o -o %t
# RUN: not %osv-rewrite --check %t 2>&1 | FileCheck %s
# CHECK: error: 'iretq' in 'first'
# CHECK-NEXT: note: at 0x[[#%x,]], 'first' in .text ({{.*}}source-line.s:[[#@LINE+19]])
# CHECK: error: 'sysenter' in 'second'
# CHECK-NEXT: note: at 0x[[#%x,]], 'second'+0x1 in .text ({{.*}}source-line.s:[[#@LINE+22]])
# RUN: not %osv-rewrite --check --error-limit=1 %t 2>&1 | FileCheck %s --check-prefix=LIMIT
# LIMIT: error: 'iretq' in 'first'
# LIMIT-NOT: error:
# LIMIT: note: 1 more error not shown (use --error-limit=0 to see all)
# RUN: %osv-rewrite --check -Wno-error=iret -Wno-error=sysenter %t 2>&1 | FileCheck %s --check-prefix=LOWERED
# LOWERED: will run
# LOWERED: warning: 'iretq'
.globl _start
.type _start, @function
_start:
  call first
  call second
  ud2
.size _start, . - _start
.type first, @function
first:
  iretq
.size first, . - first
.type second, @function
second:
  nop
  sysenter
  ret
.size second, . - second

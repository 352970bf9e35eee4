# SPDX-License-Identifier: BSD-3-Clause
# A stack slot that comes from one of endlessly many others, through endlessly many calls: the search for the number ends.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t && timeout 60 %osv-rewrite --check --report=json %t > %t.json
# RUN: %python %S/Inputs/sites.py %t.json | FileCheck %s
# CHECK: recursive: - incomplete
.macro function name
.type \name, @function
\name:
.endm
.globl _start
function _start
  call recursive
  hlt
function recursive
1:
  add $8, %rsp
  dec %rbx
  jnz 1b
  pop %rax
  syscall
  call recursive
  call recursive
  ret

# SPDX-License-Identifier: BSD-3-Clause
# The numbers of system calls: across moves, xor, push and pop, tails shared by branches, conditional moves, and through
# wrappers whose callers pass them in a register or on the stack.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t && %osv-rewrite --check --report=json %t > %t.json
# RUN: %python %S/Inputs/sites.py %t.json | FileCheck %s
# CHECK: in_xor: 0 complete
# CHECK: moved: 39 complete
# CHECK: pushed: 102 complete
# CHECK: shared: 3 104 complete
# CHECK: conditional: 105 106 complete
# CHECK: loaded: - incomplete
# CHECK: spilled: 107 complete
# CHECK: wrapper: 12 13 complete wrapper
# CHECK: stack_wrapper: 110 complete wrapper
# CHECK: taken_wrapper: 111 incomplete wrapper
# CHECK: uses: 0 3 12 13 39 102 104 105 106 107 110 111
# CHECK: chain of 13: outer < _start
.macro function name
.type \name, @function
\name:
.endm
.globl _start
function _start
  call in_xor
  call moved
  call pushed
  call shared
  call conditional
  call loaded
  call spilled
  mov $12, %edi
  call wrapper
  mov $13, %edi
  call outer
  push $110
  call stack_wrapper
  pop %rcx
  mov $111, %edi
  call taken_wrapper
  lea taken_wrapper(%rip), %rax
  ud2
.size _start, . - _start

function in_xor
  xor %eax, %eax
  syscall
  ret
.size in_xor, . - in_xor
function moved
  mov $39, %ebx
  mov %rbx, %rdx
  mov %edx, %eax
  syscall
  ret
.size moved, . - moved
function pushed
  push $102
  mov %rsp, %rdi
  pop %rax
  syscall
  ret
.size pushed, . - pushed
function shared
  test %edi, %edi
  je 1f
  mov $3, %eax
  jmp 2f
1: mov $104, %eax
2: syscall
  ret
.size shared, . - shared
function conditional
  mov $105, %eax
  mov $106, %ecx
  test %edi, %edi
  cmovne %ecx, %eax
  syscall
  ret
.size conditional, . - conditional
function loaded
  mov number(%rip), %eax
  syscall
  ret
.size loaded, . - loaded
function spilled
  sub $24, %rsp
  movq $107, 8(%rsp)
  push %rbx
  mov 16(%rsp), %rax
  syscall
  pop %rbx
  add $24, %rsp
  ret
.size spilled, . - spilled
function wrapper
  mov %rdi, %rax
  mov %rsi, %rdi
  syscall
  ret
.size wrapper, . - wrapper
function outer
  jmp wrapper
.size outer, . - outer
function stack_wrapper
  mov 8(%rsp), %rax
  syscall
  ret
.size stack_wrapper, . - stack_wrapper
function taken_wrapper
  mov %rdi, %rax
  syscall
  ret
.size taken_wrapper, . - taken_wrapper
.data
number: .long 5

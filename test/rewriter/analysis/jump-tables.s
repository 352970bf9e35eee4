# SPDX-License-Identifier: BSD-3-Clause
# Code behind jump tables is proven: absolute tables, tables of offsets with and without a bound, and one whose address
# was computed out of reach. The table without a bound is followed by another one, which must not be read as part of it:
# its entries, taken from the wrong base, would make the privileged bytes in the middle of an instruction reachable.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t && %osv-rewrite --check --report=json %t > %t.json
# RUN: %python %S/Inputs/sites.py %t.json | FileCheck %s
# RUN: %python -c "import json, sys; r = json.load(open(sys.argv[1])); print(r['verdict'], r['code_coverage']['jump_tables'], r['code_coverage']['share'])" %t.json | FileCheck %s --check-prefix=ALL
# ALL: accept 4 1{{$}}
# CHECK: absolute: 1 complete
# CHECK-NEXT: absolute: 2 complete
# CHECK-NEXT: bounded: 3 complete
# CHECK-NEXT: bounded: 4 complete
# CHECK-NEXT: unbounded: 5 complete
# CHECK-NEXT: unbounded: 6 complete
# CHECK-NEXT: hoisted: 7 complete
# CHECK-NEXT: hoisted: 8 complete
.macro function name
.type \name, @function
\name:
.endm
.macro case number
  mov $\number, %eax
  syscall
  ret
.endm
.globl _start
function _start
  call absolute
  call bounded
  call unbounded
  call hoisted
  ud2
.size _start, . - _start
function absolute
  cmp $1, %edi
  ja 3f
  mov %edi, %edi
  jmp *absolute_table(,%rdi,8)
1: case 1
2: case 2
3: ret
.size absolute, . - absolute
function bounded
  cmp $1, %edi
  ja 3f
  lea bounded_table(%rip), %rdx
  movslq (%rdx,%rdi,4), %rax
  add %rdx, %rax
  notrack jmp *%rax
11: case 3
12: case 4
3: ret
.size bounded, . - bounded
function unbounded
  lea unbounded_table(%rip), %rcx
  movslq (%rcx,%rdi,4), %rax
  addq %rcx, %rax
  jmpq *%rax
21: case 5
22: movabs $0x0f300f300f300f30, %rdx
  case 6
.size unbounded, . - unbounded
function hoisted
  lea hoisted_table(%rip), %rbx
  jmp 4f
4: test %esi, %esi
  je 5f
  call absolute
5: movslq (%rbx,%rdi,4), %rax
  add %rbx, %rax
  jmp *%rax
31: case 7
32: case 8
.size hoisted, . - hoisted
.section .rodata
.p2align 3
absolute_table: .quad 1b, 2b
bounded_table: .long 11b - bounded_table, 12b - bounded_table
unbounded_table: .long 21b - unbounded_table, 22b - unbounded_table, 22b - unbounded_table, 21b - unbounded_table
  .long 22b + 4 - unbounded_table
hoisted_table: .long 31b - hoisted_table, 32b - hoisted_table

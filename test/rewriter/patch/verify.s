# SPDX-License-Identifier: BSD-3-Clause
# --verify-only finds what somebody has changed in an output: in the program, in a stub, in what a jump leaves over.
# REQUIRES: osv-rewrite
# RUN: rm -rf %t && mkdir %t && cd %t && %asm %s -o p.o && %link p.o -o p && %osv-rewrite p -o good --emit=elf --verify
# RUN: %osv-rewrite p -o good --emit=elf --verify-only
# RUN: %python %S/Inputs/poke.py good data 1 0 && not %osv-rewrite p -o data --emit=elf --verify-only 2>&1 | FileCheck %s --check-prefix=DATA
# RUN: %python %S/Inputs/poke.py good stub -10 1 && not %osv-rewrite p -o stub --emit=elf --verify-only 2>&1 | FileCheck %s --check-prefix=STUB
# RUN: not %osv-rewrite p -o good --emit=elf --verify-only --patch=none 2>&1 | FileCheck %s --check-prefix=COUNT
# RUN: ls | FileCheck %s --check-prefix=STAYS
# DATA:  p: error: 'data' is wrong: at 0x{{[0-9a-f]+}}: the bytes differ, and there is no jump [verify-failed]
# STUB:  p: error: 'stub' is wrong: at 0x{{[0-9a-f]+}}: {{.+}} [verify-failed]
# COUNT: p: error: 'good' is wrong: it has 1 patched sites, but 0 were planned [verify-failed]
# STAYS: data
# STAYS: stub
        .globl _start
        .type _start, @function
_start:
        xorl %edi, %edi
        movl $60, %eax
        syscall
        .size _start, . - _start
        .section .rodata
        .ascii "the program's data"

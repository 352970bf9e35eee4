# SPDX-License-Identifier: BSD-3-Clause
# glibc's unwind entry of what signal handlers return to begins a byte early, in padding that is no code: read from there, the bytes
# would be other instructions, which end where the `syscall` begins.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t && %osv-rewrite --check --report=json %t > %t.json
# RUN: %python %S/Inputs/sites.py %t.json | FileCheck %s
# RUN: llvm-strip %t -o %t.s && %osv-rewrite --check --report=json %t.s > %t.json
# RUN: %python -c "import json, sys; print([s['number'] for s in json.load(open(sys.argv[1]))['syscall_sites']])" %t.json | FileCheck %s --check-prefix=STRIPPED
# CHECK: restore: 15 complete
# CHECK: uses: 15 60
# STRIPPED: 60, 15
        .globl _start
        .type _start, @function
_start: leaq restore(%rip), %rdi
        movl $60, %eax
        syscall
        ud2
        .size _start, . - _start
        .balign 16
        .byte 0                          # 00 48 c7: add %cl, -0x39(%rax)
        .balign 16, 0
        .cfi_startproc simple
        .cfi_signal_frame
        .byte 0
        .type restore, @function
restore:
        movq $15, %rax
        syscall
        .cfi_endproc
        .size restore, . - restore

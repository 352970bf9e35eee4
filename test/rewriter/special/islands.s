# SPDX-License-Identifier: BSD-3-Clause
# Numbers in inferred functions (stripped, no unwind tables): all ways to a call count, also those that no `call` shows. Each of the numbers
# comes by another one, and with none of them forgotten the set is complete.
# REQUIRES: osv-rewrite
# RUN: %asm %s -o %t.o && %link %t.o -o %t && strip %t && %osv-rewrite --check --report=json=%t.json %t && sed '1,/"syscalls":/d' %t.json | FileCheck %s --implicit-check-not='"number"'
# CHECK:         "complete": true,
# CHECK:         "number": 1,
# CHECK:         "number": 39,
# CHECK:         "number": 60,
# CHECK:         "number": 102,
# CHECK:         "number": 104,
# CHECK:         "number": 107,
# CHECK:         "number": 108,
# CHECK:         "number": 110,

# A jump that is not understood in code that is joined to the call: nothing is complete.
# RUN: %asm %s -o %t.o --defsym OPEN=1 && %link %t.o -o %t && strip %t && %osv-rewrite --check --syscalls=reachable %t 2>&1 | FileCheck %s --check-prefix=OPEN
# OPEN: warning: --syscalls=reachable keeps every system call
        .globl _start
_start:
        movl $39, %edi
        call wrapper
        call tail
        call middle
        call above
        call loop
        call cold
        movl $60, %edi
        jmp wrapper
        .balign 16
tail:                                   # the only other caller of `wrapper` that is no call
        movl $102, %edi
        jmp wrapper
        .balign 16
middle:                                 # into the middle of another function
        movl $104, %eax
        jmp inner
        .balign 16
above:                                  # falls through to what is called
        movl $107, %edi
wrapper:
        .ifdef OPEN
        testl %edi, %edi
        js open
        .endif
        movl %edi, %eax
        testl %edi, %edi
        jnz inner
        movl $1, %eax
inner:
        syscall
        ret
        .balign 16
loop:                                   # two entries, the second from elsewhere, one call
        movl $108, %edi
1:      movl %edi, %eax
        syscall
        ret
        .balign 16
cold:
        movl $110, %edi
        jmp 1b
        .ifdef OPEN
        .balign 16
open:
        movzbl (%rsi), %eax
        addq %rsi, %rax
        jmp *%rax
        .endif

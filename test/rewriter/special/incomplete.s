# SPDX-License-Identifier: BSD-3-Clause
# When a number is not known, every system call stays, and a warning names the first way to the call that nothing is known of.
# REQUIRES: osv-rewrite, runtime-gs
# RUN: %asm %s -o %t.o --defsym LOADED=1 && %link %t.o -o %t && %osv-rewrite --syscalls=reachable %t -o %t.img -v --report=json=%t.json 2>&1 | FileCheck %s --implicit-check-not='left out'
# RUN: FileCheck %s --check-prefix=JSON < %t.json
# CHECK:      kernel's part
# CHECK:      warning: --syscalls=reachable keeps every system call, because of the one in 'wrapper': its number is computed in a way that is not followed [syscalls-incomplete]
# CHECK-NEXT: note: the system call is at [[#%#x,SITE:]], 'wrapper'+{{.*}}
# CHECK-NEXT: note: called from [[#%#x,OUTER:]], 'outer' in .text
# CHECK-NEXT: note: called from [[#%#x,CALL:]], '_start'+{{.*}} in .text
# CHECK-NEXT: note: where {{.*}} '_start'+{{.*}} is as far as the number can be followed
# JSON:      "kernel": {
# JSON-NEXT:   "syscalls": "all",
# JSON-NEXT:   "left_out": [],
# JSON:        "saved": 0

# Its address is taken; nobody calls it.
# RUN: %asm %s -o %t.o --defsym TAKEN=1 && %link %t.o -o %t && %osv-rewrite --syscalls=reachable --check %t 2>&1 | FileCheck %s --check-prefix=TAKEN
# TAKEN: the one in 'wrapper': its number is an argument, and the address of the function is taken
# RUN: %asm %s -o %t.o --defsym UNCALLED=1 && %link %t.o -o %t && %osv-rewrite --syscalls=reachable --check %t 2>&1 | FileCheck %s --check-prefix=UNCALLED
# UNCALLED: the one in 'wrapper': its number is an argument, and nothing is known to call the function

# Bytes that nothing is known to reach, but that would be a system call.
# RUN: %asm %s -o %t.o --defsym STRAY=1 && %link %t.o -o %t && %osv-rewrite --syscalls=reachable --check %t 2>&1 | FileCheck %s --check-prefix=STRAY
# STRAY: because of the one {{.*}}: its bytes are code that nothing is known to reach, or data

# The passing neighbour; --check says what would be left out, and --syscalls=all asks for no proof.
# RUN: %asm %s -o %t.o && %link %t.o -o %t && %osv-rewrite --syscalls=reachable --check %t 2>&1 | FileCheck %s --check-prefix=GOOD --implicit-check-not=warning
# GOOD: left out {{.*}} system calls: read write
# GOOD-NOT: {{\[}}syscalls-incomplete]
# RUN: %asm %s -o %t.o --defsym LOADED=1 && %link %t.o -o %t && %osv-rewrite --check %t 2>&1 | FileCheck %s --check-prefix=ALL --implicit-check-not=syscalls-incomplete --implicit-check-not='left out'
# ALL: and possibly others
# RUN: not %osv-rewrite --syscalls=some --check %t 2>&1 | FileCheck %s --check-prefix=USAGE
# USAGE: --syscalls=some is neither 'all' nor 'reachable'
        .globl _start
        .type _start, @function
_start:
        movl $39, %edi
        .ifndef UNCALLED
        call outer
        .endif
        .ifdef LOADED
        movl number(%rip), %edi
        call outer
        .endif
        .ifdef TAKEN
        leaq wrapper(%rip), %rax
        callq *%rax
        .endif
        movl $60, %eax
        xorl %edi, %edi
        syscall
        .size _start, . - _start
        .type outer, @function
outer:
        .ifndef UNCALLED
        jmp wrapper
        .endif
        ret
        .size outer, . - outer
        .type wrapper, @function
wrapper:
        movl %edi, %eax
        syscall
        ret
        .size wrapper, . - wrapper
        .ifdef STRAY
        ud2
        .byte 0x06, 0x06                 # no instruction in 64-bit mode
        .byte 0x06, 0x0f, 0x05, 0x06
        .endif
        .data
number: .long 5

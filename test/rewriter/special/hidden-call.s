# SPDX-License-Identifier: BSD-3-Clause
# A call whose handler was left out, made by code that exists only at run time: ENOSYS, said once and counted at the end, and not
# in the words of a call that no image has.
# REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, runtime-fs
# DEFINE: %{model} = gs
# DEFINE: %{go} = %osv-rewrite --tls=%{model} --syscalls=reachable %t -o %t.img --report=json=%t.json -v 2>&1 | FileCheck %s --check-prefix=REWRITE && %python %tools/expect.py --status 7 --save-stderr %t.log -- %osv-run -v %t.img && FileCheck %s < %t.log
# RUN: %asm %s -o %t.o && %link %t.o -o %t
# RUN: %{go}
# RUN: FileCheck %s --check-prefix=JSON < %t.json
# REDEFINE: %{model} = fs
# RUN: %{go}

# REWRITE: kernel's part [[#TOTAL:]] bytes in the file (text {{[0-9]+}}, rodata {{[0-9]+}}, data {{[0-9]+}}); besides, the program's tables {{[0-9]+}}, symbols {{[0-9]+}}, zeroed memory {{[0-9]+}}
# REWRITE: [[#LEFT:]] system calls are left out, which saves {{[0-9][0-9][0-9][0-9][0-9]+}} bytes: {{.*}} uname {{.*}} futex_waitv

# JSON:      "kernel": {
# JSON-NEXT:   "syscalls": "reachable",
# JSON-NEXT:   "left_out": [
# JSON-NOT:      "name": "mmap"
# JSON:          "number": 63,
# JSON-NEXT:     "name": "uname"
# JSON:        "size": {
# JSON:          "saved": {{[1-9][0-9]+}}

# What the kernel must have, whatever the program calls, and what it does call, is there.
# JSON-NOT:      "name": "rt_sigreturn"
# JSON-NOT:      "name": "exit_group"

# CHECK:     left out by --syscalls=reachable: uname(63){{$}}
# CHECK:     unimplemented: rseq(334){{$}}
# CHECK-NOT: uname(63){{$}}
# CHECK:     left out by --syscalls=reachable: uname(63) x2
# CHECK:     unimplemented: rseq(334) x1
        .globl _start
        .type _start, @function
_start:
        movl $9, %eax                    # mmap
        xorl %edi, %edi
        movl $4096, %esi
        movl $3, %edx
        movl $0x22, %r10d
        movl $-1, %r8d
        xorl %r9d, %r9d
        syscall
        movq %rax, %rbx
        movq %rax, %rdi
        leaq code(%rip), %rsi
        movl $(codeEnd - code), %ecx
        rep movsb
        movl $10, %eax                   # mprotect
        movq %rbx, %rdi
        movl $4096, %esi
        movl $5, %edx
        syscall
        callq *%rbx
        cmpq $-38, %rax
        jne bad
        callq *%rbx
        cmpq $-38, %rax
        jne bad
        movl $334, %eax
        syscall
        cmpq $-38, %rax
        jne bad
        movl $7, %edi
        jmp end
bad:    movl $1, %edi
end:    movl $231, %eax
        syscall
        .size _start, . - _start
        .data
code:   movl $63, %eax
        movq %rsp, %rdi
        syscall
        retq
codeEnd:

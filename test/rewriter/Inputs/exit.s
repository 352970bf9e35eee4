# SPDX-License-Identifier: BSD-3-Clause
# exit(0), with some data to relocate.
        .globl _start
        .type _start, @function
_start: movl $60, %eax
        xorl %edi, %edi
        syscall
        ud2
        .size _start, . - _start

        .data
        .globl pointer
        .type pointer, @object
pointer:
        .quad _start
        .quad pointer
        .size pointer, 16

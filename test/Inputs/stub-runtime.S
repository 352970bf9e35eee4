# SPDX-License-Identifier: BSD-3-Clause
#
# The smallest runtime that osv-rewrite can link: a PVH entry that checks the manifest, says "ok" on QEMU's debug console (port 0xe9)
# and ends the machine through isa-debug-exit (port 0xf4). For tests of the rewriter that shall not depend on the kernel.
        .section .note.Xen, "a", @note
        .p2align 2
        .long 4, 8, 18                  # name size, desc size, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .quad osv_pvh_entry_phys

        .section .boot, "ax", @progbits
        .code32
        .globl osv_pvh_entry
osv_pvh_entry:
        movl $osv_image_phys, %eax
        cmpl $0x4956534f, (%eax)        # "OSVI"
        jne 1f
        movb $'o', %al
        outb %al, $0xe9
        movb $'k', %al
        outb %al, $0xe9
        movb $'\n', %al
        outb %al, $0xe9
1:      outb %al, $0xf4
        cli
        hlt
        jmp 1b

        .section .text.gate, "ax", @progbits
        .code64
        .globl osv_gate_direct          # what the stubs of the program's system calls jump to
osv_gate_direct:
        jmpq *%rcx

        .section .text.unused, "ax", @progbits
        .globl osv_unused
osv_unused:
        .fill 4096, 1, 0x90

        .section .bss.stack, "aw", @nobits
        .p2align 12
        .globl osv_stub_stack
osv_stub_stack:
        .skip 8192

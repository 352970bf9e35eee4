// SPDX-License-Identifier: BSD-3-Clause
//
// From the monitor's PVH entry to C++.
//
// PVH (Xen's "direct boot" ABI, also QEMU's and Firecracker's): 32-bit protected mode, flat segments, paging off, interrupts off, EBX =
// physical address of hvm_start_info. The kernel is linked at a low virtual address that the rewriter chose (osv_kernel_base)
// and was loaded at another physical one; osv_phys_delta = virtual - physical, a multiple of 2 MiB, so that 2 MiB pages can map it.
//
// Three address spaces are walked through, because the identity map needed to turn paging on may collide with the kernel's own
// place: (1) 32 bit, physical; (2) 64 bit, in the direct map of the first GiB at 0xffff800000000000; (3) 64 bit, at the link address, when
// the identity map is gone. Kernel text is writable until arch::initMmu builds the final tables (Cpu.cpp patches the gates before that).
#include "abi/AsmOffsets.h"

#define PTE_PRESENT_WRITE 3
#define PTE_LARGE 0x83
#define DIRECT_MAP 0xffff800000000000

        .section .note.Xen, "a", @note
        .balign 4
        .long 4, 8, 18                   # namesz, descsz, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .quad osv_pvh_entry_phys         # defined by kernel.ld

        .section .boot, "ax", @progbits
        .code32
        .globl osv_pvh_entry
// void osv_pvh_entry(EBX = start_info): see the file header. No stack.
osv_pvh_entry:
        cld
        movl %ebx, %ebp
        movl $0x80000000, %eax
        cpuid
        cmpl $0x80000001, %eax
        jb osv_boot_unsupported
        movl $0x80000001, %eax
        cpuid
        notl %edx
        testl $(1 << 29) | (1 << 20), %edx # long mode, NX
        jnz osv_boot_unsupported
        # Page tables: .bss was cleared by the monitor.
        movl $osv_boot_pml4_phys, %edi
        movl $osv_boot_pdpt_low_phys + PTE_PRESENT_WRITE, (%edi)
        movl $osv_boot_pdpt_direct_phys + PTE_PRESENT_WRITE, 256*8(%edi)
        movl $osv_boot_pdpt_low_phys, %edi
        movl $osv_boot_pd_low_phys + PTE_PRESENT_WRITE, (%edi)
        movl $osv_boot_pdpt_direct_phys, %edi
        movl $osv_boot_pd_direct_phys + PTE_PRESENT_WRITE, (%edi)
        # 1 GiB of 2 MiB pages, the same in both directories.
        movl $osv_boot_pd_low_phys, %edi
        movl $osv_boot_pd_direct_phys, %esi
        movl $PTE_LARGE, %eax
        xorl %ecx, %ecx
1:      movl %eax, (%edi,%ecx,8)
        movl %eax, (%esi,%ecx,8)
        addl $0x200000, %eax
        incl %ecx
        cmpl $512, %ecx
        jne 1b

        movl $0x20 + 0x80 + 0x200 + 0x400, %eax # CR4: PAE, PGE, OSFXSR, OSXMMEXCPT
        movl %eax, %cr4
        movl $osv_boot_pml4_phys, %eax
        movl %eax, %cr3
        movl $0xc0000080, %ecx           # EFER
        rdmsr
        orl $0x901, %eax                 # SCE, LME, NXE
        wrmsr
        movl $0x80010023, %eax           # CR0: PG, WP, NE, MP, PE
        movl %eax, %cr0
        lgdtl osv_boot_gdt_pointer_phys
        ljmpl $SELECTOR_CODE, $osv_boot64_phys

// Nothing of the kernel runs on such a CPU: says so on COM1 as it is, and ends the machine by a triple fault.
osv_boot_unsupported:
        movl $osv_boot_complaint_phys, %esi
        movl $osv_boot_complaint_end - osv_boot_complaint, %ecx
1:      movl $0x3fd, %edx                # line status: is the transmitter empty?
        inb %dx, %al
        testb $0x20, %al
        jz 1b
        movl $0x3f8, %edx
        outsb
        loop 1b
        lidtl (%esi)                     # six zeros
        int3
        .globl osv_boot_complaint
osv_boot_complaint:
        .ascii "\nosv: this CPU has no long mode or no NX bit\n"
osv_boot_complaint_end:
        .skip 6

        .balign 8
        .globl osv_boot_gdt_pointer
osv_boot_gdt_pointer:
        .word 3*8 - 1
        .long osv_boot_gdt_phys
        .balign 8
        .globl osv_boot_gdt
osv_boot_gdt:
        .quad 0
        .quad 0x00af9b000000ffff         # code, 64 bit, ring 0
        .quad 0x00cf93000000ffff         # data

        .code64
        .globl osv_boot64
// Identity-mapped at its physical address; EBP = start_info.
osv_boot64:
        movabsq $DIRECT_MAP, %rax
        leaq 1f(%rip), %rdx
        addq %rax, %rdx
        jmp *%rdx
1:      # In the direct map. Replace the identity map by the kernel's own pages.
        movl $SELECTOR_DATA, %ecx
        movl %ecx, %ds
        movl %ecx, %es
        movl %ecx, %ss
        xorl %ecx, %ecx
        movl %ecx, %fs
        movl %ecx, %gs
        movl $osv_boot_pd_low_phys, %edi
        addq %rax, %rdi
        movq %rdi, %r8
        xorl %eax, %eax
        movl $512, %ecx
        rep stosq
        movl $osv_kernel_base, %esi
        movl $osv_kernel_phys, %edx
        andl $-0x200000, %edx
        orl $PTE_LARGE, %edx
        movl %esi, %ecx
        shrl $21, %ecx
        andl $511, %ecx
        movl $osv_kernel_large_pages, %edi
2:      movq %rdx, (%r8,%rcx,8)
        addq $0x200000, %rdx
        incl %ecx
        andl $511, %ecx                  # the kernel may lie across a GiB's edge:
        decl %edi
        jnz 2b
        movl $osv_boot_pdpt_low_phys, %edi # both GiBs that it can be in have the same directory
        movabsq $DIRECT_MAP, %rax
        addq %rax, %rdi
        movq (%rdi), %rdx
        movq %rdx, 8(%rdi)
        movq %cr3, %rax
        movq %rax, %cr3
        movl $osv_start64, %eax
        jmp *%rax

        .text
// At the link address, paging as initMmu expects it. Give this CPU its stack and its thread block (a copy of the template), then C++.
        .globl osv_start64
osv_start64:
        movl $osv_boot_stack + BOOT_STACK_SIZE, %esp
        movl $osv_ktls_start, %esi
        movl $osv_boot_block, %edi
        movl $osv_ktls_end, %ecx
        subl %esi, %ecx
        rep movsb
        movl $osv_boot_block, %eax       # GS base = block - template, 64-bit two's complement
        movl $osv_ktls_start, %ecx
        subq %rcx, %rax
        movq %rax, %rdx
        shrq $32, %rdx
        movl $0xc0000101, %ecx           # GS_BASE
        wrmsr
        movl %ebp, %ebx                  # start_info
        xorl %ebp, %ebp                  # the backtrace ends here
        pushq %rbp
        pushq %rbp                       # rsp is 16-byte aligned at the calls
        callq osv_init_boot_tls          # initBootTls (Context.cpp)
        movq %rbx, %rdi
        callq osv_boot
        ud2

        .bss
        .balign 4096
        .globl osv_boot_pml4, osv_boot_pdpt_low, osv_boot_pdpt_direct, osv_boot_pd_low, osv_boot_pd_direct
osv_boot_pml4:        .skip 4096
osv_boot_pdpt_low:    .skip 4096
osv_boot_pdpt_direct: .skip 4096
osv_boot_pd_low:      .skip 4096
osv_boot_pd_direct:   .skip 4096
        .globl osv_boot_stack
osv_boot_stack:       .skip BOOT_STACK_SIZE

// The number for C++, which takes symbols to have 32 bits: the kernel may be linked below where it is loaded.
        .section .rodata.osv_image_shift, "a", @progbits
        .balign 8
        .globl osv_image_shift
osv_image_shift: .quad osv_phys_delta
        .section .note.GNU-stack, "", @progbits

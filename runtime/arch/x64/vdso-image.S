// SPDX-License-Identifier: BSD-3-Clause
//
// The vDSO's ELF image (runtime/vdso, linked by the build), in whole pages that are mapped into the program as they are.
        .section .rodata.vdso, "a", @progbits
        .globl osv_vdso_start, osv_vdso_end
        .balign 4096
osv_vdso_start:
        .incbin "vdso.so"
        .balign 4096
osv_vdso_end:

        .section .note.GNU-stack, "", @progbits

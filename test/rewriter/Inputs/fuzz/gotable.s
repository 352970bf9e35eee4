# SPDX-License-Identifier: BSD-3-Clause
# A seed for the fuzzers: Go's function table as Go 1.20 and later write it, or with OLD=1 as Go 1.16 does, and with
# TEXT=0 without the text's start, which moduledata then has. Three functions, one of them with an unknown record.
  .globl _start
  .text
text:
_start:
  mov $60, %eax
  xor %edi, %edi
  syscall
  ud2
spin:
  mov %fs:0xfffffffffffffff8, %r14
  cmp 16(%r14), %rsp
  jbe spin
  ret
last:
  jmp spin
etext:

  .section .gopclntab,"a",@progbits
  .balign 32
pclntab:
.if OLD
  .long 0xfffffffa
  .byte 0, 0, 1, 8
  .quad 3, 0
  .quad names - pclntab, 0, 0, 0, lines - pclntab, 0, 0
.else
  .long 0xfffffff1
  .byte 0, 0, 1, 8
  .quad 3, 0
.if TEXT
  .quad text
.else
  .quad 0
.endif
  .quad names - pclntab, 0, 0, 0, lines - pclntab, 0
.endif
names:
  .asciz "main.start"
spinName:
  .asciz "runtime.spin"
  .balign 8
lines:
.if OLD
  .quad _start, record1 - lines, spin, record2 - lines, last, 0x7fff, etext
record1:
  .quad _start
  .long 0
record2:
  .quad spin
  .long spinName - names
.else
  .long _start - text, record1 - lines, spin - text, record2 - lines, last - text, 0x7fff, etext - text
record1:
  .long _start - text, 0
record2:
  .long spin - text, spinName - names
.endif
  .skip 16

  .section .go.buildinfo,"aw",@progbits
  .balign 16
  .ascii "\377 Go buildinf:"
  .byte 8, 2
  .skip 16
  .byte 6
  .ascii "go1.20"
  .byte 0

  .data
moduledata:
  .quad pclntab
  .skip 8 * 19
  .quad text, etext, text, etext

// SPDX-License-Identifier: BSD-3-Clause
//
// An operation with every register checked: CHECKED defines a function that loads general registers, flags, XMM and the red
// zone with a pattern, does the operation, and stores what it finds; check() compares.
//
// The pattern has DF and CF set among the flags: the kernel must cope, and give them back.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct Registers {
  uint64_t rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r12, r13, r14, r15, flags, rsp, rax, redZone[16];
  uint8_t xmm[16][16];
};

#define CHECKED(NAME, OPERATION)                                                                                       \
  void NAME(struct Registers *in, struct Registers *out, long rax);                                                    \
  __asm__(".text\n"                                                                                                    \
          ".globl " #NAME "\n.type " #NAME ", @function\n" #NAME ":\n"                                                 \
          "  pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"                                 \
          "  pushq %rsi\n" /* out, found again by rsp */                                                               \
          "  movq %rdx, %rax\n"                                                                                        \
          "  movq %rdi, %rcx\n"                                                                                        \
          "  pushq 96(%rcx); popfq\n" /* nothing below changes flags */                                                \
          "  .set i, 0\n"                                                                                              \
          "  .rept 16\n"                                                                                               \
          "  movq 120+8*i(%rcx), %rbx\n" /* red zone: -8..-128 */                                                      \
          "  movq %rbx, -8-8*i(%rsp)\n"                                                                                \
          "  .set i, i+1\n"                                                                                            \
          "  .endr\n"                                                                                                  \
          ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"                                                             \
          "  movups 248+16*\\n(%rcx), %xmm\\n\n"                                                                       \
          ".endr\n"                                                                                                    \
          "  movq (%rcx), %rbx; movq 8(%rcx), %rdx; movq 16(%rcx), %rsi; movq 24(%rcx), %rdi; movq 32(%rcx), %rbp\n"   \
          "  movq 40(%rcx), %r8; movq 48(%rcx), %r9; movq 56(%rcx), %r10; movq 64(%rcx), %r12; movq 72(%rcx), %r13\n"  \
          "  movq 80(%rcx), %r14; movq 88(%rcx), %r15\n"                                                               \
          "  movq %rsp, 104(%rcx)\n" OPERATION "  movq %rsp, %r11\n"                                                   \
          "  leaq -128(%rsp), %rsp\n" /* lea: keeps the flags; the red zone stays as it is above */                    \
          "  pushfq\n"                                                                                                 \
          "  cld\n"                                                                                                    \
          "  movq %r11, %rsp\n"                                                                                        \
          "  movq (%rsp), %rcx\n" /* out */                                                                            \
          "  movq %rbx, (%rcx); movq %rdx, 8(%rcx); movq %rsi, 16(%rcx); movq %rdi, 24(%rcx); movq %rbp, 32(%rcx)\n"   \
          "  movq %r8, 40(%rcx); movq %r9, 48(%rcx); movq %r10, 56(%rcx); movq %r12, 64(%rcx); movq %r13, 72(%rcx)\n"  \
          "  movq %r14, 80(%rcx); movq %r15, 88(%rcx); movq %rsp, 104(%rcx); movq %rax, 112(%rcx)\n"                   \
          "  movq -136(%rsp), %rbx; movq %rbx, 96(%rcx)\n"                                                             \
          "  .set i, 0\n"                                                                                              \
          "  .rept 16\n"                                                                                               \
          "  movq -8-8*i(%rsp), %rbx\n"                                                                                \
          "  movq %rbx, 120+8*i(%rcx)\n"                                                                               \
          "  .set i, i+1\n"                                                                                            \
          "  .endr\n"                                                                                                  \
          ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"                                                             \
          "  movups %xmm\\n, 248+16*\\n(%rcx)\n"                                                                       \
          ".endr\n"                                                                                                    \
          "  popq %rsi\n"                                                                                              \
          "  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"                                       \
          "  ret\n.size " #NAME ", . - " #NAME "\n")

/// A system call; the nop makes room for the jump, so that the site is rewritten unless --patch=none.
#define SYSTEM_CALL "  nopl 0x100(%rax,%rax,1)\n  syscall\n"

static __thread struct Registers in, out;
static __thread uint64_t canary = 0x5ca1ab1e5ca1ab1e;
static uint64_t fsSelf(void) {
  uint64_t v;
  __asm__("movq %%fs:0, %0" : "=r"(v));
  return v;
}

static void fill(struct Registers *r, long n) {
  for (unsigned char *p = (unsigned char *)r; p < (unsigned char *)(r + 1); p++)
    *p = (unsigned char)(n * 31 + (p - (unsigned char *)r) * 7 + 1);
  r->flags = 0x603 | ((uint64_t)n * 4 & 0x8d4); // IF, DF, CF; any of PF, AF, ZF, SF, OF
}

/// Compares `out` with `in` and prints differences; whether there were any. `self`: the thread pointer.
static int check(long n, long expected, uint64_t self) {
  int bad = 0;
#define SAME(field)                                                                                                    \
  do {                                                                                                                 \
    if (in.field != out.field) {                                                                                       \
      printf("at %ld: %s was 0x%lx, is 0x%lx\n", n, #field, (unsigned long)in.field, (unsigned long)out.field);        \
      bad = 1;                                                                                                         \
    }                                                                                                                  \
  } while (0)
  SAME(rbx);
  SAME(rdx);
  SAME(rsi);
  SAME(rdi);
  SAME(rbp);
  SAME(r8);
  SAME(r9);
  SAME(r10);
  SAME(r12);
  SAME(r13);
  SAME(r14);
  SAME(r15);
  SAME(rsp);
  SAME(flags);
#undef SAME
  if (memcmp(in.redZone, out.redZone, sizeof in.redZone)) {
    printf("at %ld: red zone\n", n);
    bad = 1;
  }
  if (memcmp(in.xmm, out.xmm, sizeof in.xmm)) {
    printf("at %ld: xmm\n", n);
    bad = 1;
  }
  if ((long)out.rax != expected) {
    printf("at %ld: result %ld, not %ld\n", n, (long)out.rax, expected);
    bad = 1;
  }
  if (fsSelf() != self || canary != 0x5ca1ab1e5ca1ab1e) {
    printf("at %ld: FS\n", n);
    bad = 1;
  }
  return bad;
}

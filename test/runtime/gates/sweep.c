// SPDX-License-Identifier: BSD-3-Clause
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, runtime-fs, glibc-static
// RUN: gcc -O2 -static %s -o %t
// RUN: %t 0 20 | FileCheck %s
// RUN: %osv-rewrite --tls=gs %t -o %t-gs.img
// RUN: %osv-rewrite --tls=fs %t -o %t-fs.img
// RUN: %osv-rewrite --tls=gs --patch=none %t -o %t-native.img
// RUN: %osv-run %t-native.img --icount --timeout 300 -- 0 1500 | FileCheck %s
// RUN: %osv-rewrite --tls=fs --patch=none %t -o %t-native.img
// RUN: %osv-run %t-native.img --icount --timeout 300 -- 0 1500 | FileCheck %s
// RUN: %osv-run %t-gs.img --icount --timeout 300 -- 0 2000 | FileCheck %s
// RUN: %osv-run %t-fs.img --icount --timeout 300 -- 0 2000 | FileCheck %s
// RUN: %osv-run %t-fs.img --icount --cpu qemu64 --timeout 300 -- 0 700 | FileCheck %s
// RUN: %osv-run %t-gs.img --smp 2 --timeout 300 -- 0 300 | FileCheck %s
// RUN: %osv-run %t-fs.img --smp 2 --timeout 300 -- 0 300 | FileCheck %s
// CHECK: {{[1-9][0-9]*}} interrupts, 0 errors, 0 in the handler
//
// An interrupt at every instruction boundary of a system call: a timer is armed to go off n nanoseconds later, for every n of a range that covers
// the call, and under `osv-run --icount` one nanosecond is one instruction. Around each call every general register, the flags, all XMM
// registers, the red zone, FS and the thread's own variables are checked, and so are they in the signal handler, which also touches a fresh page.
//
// Prints one line of totals; any difference is named and ends with status 1. The same program passes natively.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct Registers {
  uint64_t rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r12, r13, r14, r15, flags, rsp, rax, redZone[16];
  uint8_t xmm[16][16];
};

static __thread struct Registers in, out;
static __thread uint64_t canary = 0x5ca1ab1e5ca1ab1e;
static volatile sig_atomic_t fired;
static volatile long handlerErrors;
static unsigned char *fresh;
static size_t freshNext, freshPages = 65536;

// void checkedCall(struct Registers *in, struct Registers *out, long nr): loads everything, makes the call, stores everything.
void checkedCall(struct Registers *in, struct Registers *out, long nr);
__asm__(".text\n"
        ".globl checkedCall\n"
        "checkedCall:\n"
        "  pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
        "  pushq %rsi\n" // out, found again by rsp
        "  movq %rdx, %rax\n"
        "  movq %rdi, %rcx\n"
        "  .set i, 0\n"
        "  .rept 16\n"
        "  movq 120+8*i(%rcx), %rbx\n" // red zone: -8..-128
        "  movq %rbx, -8-8*i(%rsp)\n"
        "  .set i, i+1\n"
        "  .endr\n"
        ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "  movups 248+16*\\n(%rcx), %xmm\\n\n"
        ".endr\n"
        "  movq (%rcx), %rbx; movq 8(%rcx), %rdx; movq 16(%rcx), %rsi; movq 24(%rcx), %rdi; movq 32(%rcx), %rbp\n"
        "  movq 40(%rcx), %r8; movq 48(%rcx), %r9; movq 56(%rcx), %r10; movq 64(%rcx), %r12; movq 72(%rcx), %r13\n"
        "  movq 80(%rcx), %r14; movq 88(%rcx), %r15\n"
        "  movq %rsp, 104(%rcx)\n"
        "  stc; std\n"                // flags with DF: the kernel must cope, and give it back
        "  nopl 0x100(%rax,%rax,1)\n" // room for the jump: the site is rewritten unless --patch=none
        "  syscall\n"
        "  movq %rsp, %r11\n"
        "  leaq -128(%rsp), %rsp\n" // lea: keeps the flags; the red zone stays as it is above
        "  pushfq\n"
        "  cld\n"
        "  movq %r11, %rsp\n"
        "  movq (%rsp), %rcx\n" // out
        "  movq %rbx, (%rcx); movq %rdx, 8(%rcx); movq %rsi, 16(%rcx); movq %rdi, 24(%rcx); movq %rbp, 32(%rcx)\n"
        "  movq %r8, 40(%rcx); movq %r9, 48(%rcx); movq %r10, 56(%rcx); movq %r12, 64(%rcx); movq %r13, 72(%rcx)\n"
        "  movq %r14, 80(%rcx); movq %r15, 88(%rcx); movq %rsp, 104(%rcx); movq %rax, 112(%rcx)\n"
        "  movq -136(%rsp), %rbx; movq %rbx, 96(%rcx)\n"
        "  .set i, 0\n"
        "  .rept 16\n"
        "  movq -8-8*i(%rsp), %rbx\n"
        "  movq %rbx, 120+8*i(%rcx)\n"
        "  .set i, i+1\n"
        "  .endr\n"
        ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "  movups %xmm\\n, 248+16*\\n(%rcx)\n"
        ".endr\n"
        "  popq %rsi\n"
        "  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
        "  ret\n");

static uint64_t fsSelf(void) {
  uint64_t v;
  __asm__("movq %%fs:0, %0" : "=r"(v));
  return v;
}
static uint64_t self;

static void handler(int signo) {
  (void)signo;
  if (fsSelf() != self || canary != 0x5ca1ab1e5ca1ab1e)
    handlerErrors++;
  // Other values in every XMM register than the interrupted code has, and a page fault inside the handler.
  __asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n pcmpeqd %%xmm\\n, %%xmm\\n\n .endr" ::
                       : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                         "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  fresh[(freshNext++ % freshPages) * 4096] = 1;
  fired = 1;
}

static int check(long n, long expected) {
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
  if ((out.flags & 0xcd5) != ((out.flags & 0xcd5 & ~0x401ul) | 0x401)) {
    printf("at %ld: flags are 0x%lx\n", n, (unsigned long)out.flags);
    bad = 1;
  }
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

int main(int argc, char **argv) {
  long first = argc > 1 ? atol(argv[1]) : 0, last = argc > 2 ? atol(argv[2]) : 3000, hits = 0, errors = 0;
  self = fsSelf();
  fresh = mmap(0, freshPages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &sa, 0);
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, 0, &timer))
    return 2;
  long pid = getpid();
  // Three calls: a handler that is two instructions, one that goes through C++ and memory, one that does not exist (the full-frame path).
  const long calls[] = {SYS_getpid, SYS_gettid, 499};
  const long results[] = {pid, pid, -38};
  for (long n = first; n < last; n++) {
    for (unsigned c = 0; c < 3; c++) {
      for (unsigned char *p = (unsigned char *)&in; p < (unsigned char *)(&in + 1); p++)
        *p = (unsigned char)(n * 31 + (p - (unsigned char *)&in) * 7 + 1);
      fired = 0;
      struct itimerspec at = {.it_value.tv_nsec = n + 1};
      timer_settime(timer, 0, &at, 0);
      for (int round = 0; round < 4; round++) {
        checkedCall(&in, &out, calls[c]);
        errors += check(n, results[c]);
      }
      while (!fired)
        ;
      hits++;
      if (errors > 10)
        return 1;
    }
  }
  printf("%ld interrupts, %ld errors, %ld in the handler\n", hits, errors, (long)handlerErrors);
  return errors || handlerErrors ? 1 : 0;
}

// SPDX-License-Identifier: BSD-3-Clause
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, runtime-fs, glibc-static
// RUN: gcc -O1 -static %s -o %t && %t step > %t.native && %t hidden >> %t.native
// RUN: %osv-rewrite %t -o %t.img --verify --explain-site=all > %t.plan && FileCheck %s --check-prefix=PLAN < %t.plan
// RUN: %osv-run %t.img -- step > %t.gs && %osv-run %t.img -- hidden >> %t.gs && diff %t.native %t.gs
// RUN: %osv-run %t.img --icount --timeout 300 -- sweep 1500 | FileCheck %s
// RUN: %osv-run %t.img --smp 2 --timeout 300 -- sweep 300 | FileCheck %s --check-prefix=RIGHT
// RUN: %osv-rewrite --tls=fs %t -o %t.fs.img && %osv-run %t.fs.img -- step > %t.fs && %osv-run %t.fs.img -- hidden >> %t.fs && diff %t.native %t.fs
// RUN: %osv-run %t.fs.img --icount --timeout 300 -- sweep 1500 | FileCheck %s
// RUN: FileCheck %s --check-prefix=STEPS < %t.gs
// CHECK: [[SEEN:[0-9]+]] of [[SEEN]] instructions seen, 0 errors
// RIGHT: instructions seen, 0 errors
// STEPS: {{[2-9][0-9]}} steps
// STEPS: entry at 7:
// PLAN:      'traced'+{{.*}}: S0,
// PLAN:      'traced'+{{.*}}: S1,
// PLAN:      unknown jump to {{.*}} would trap, and go on in the stub
// PLAN-NEXT: unknown jump to {{.*}} would trap, and go on in the stub
// PLAN-NEXT: the stub
// PLAN:      'traced'+{{.*}}: S1,
// PLAN:      unknown jump to {{.*}} would trap, and go on in the stub
// PLAN-NEXT: unknown jump to {{.*}} would trap, and go on in the stub
// PLAN-NEXT: the stub
// PLAN:      'traced'+{{.*}}: B,
// PLAN:      unknown jump to {{.*}} would trap, and go on in the stub
// PLAN:      'traced'+{{.*}}: mixed,
// PLAN:      unknown jump to {{.*}} would trap, and go on in the stub
// PLAN-NEXT: unknown jump to {{.*}} would trap, and go on in the stub
//
// What a program sees of its patched system calls that no ordinary one looks at:
//   step     single-steps through a function with calls of each tactic; prints where each SIGTRAP finds it
//   hidden   jumps, in a way that no analysis can see, to each instruction of the function; prints what it computes from there on
//   sweep N  lets a timer expire after 1 .. N ns while the function runs: the handler must find an instruction of the program, and under
//            `osv-run --icount`, where that is 1 .. N instructions, it finds every one
// The first two print the same natively.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

enum { kMax = 100, kTrapFlag = 0x100 };

// Makes calls of number 102 (getuid), adds up in ebx what it does. rbx = the sum, r12 = rounds of the loop; clobbers rax, rcx, rdi, rsi, r8, r11.
// The table holds the distance of each instruction from the beginning.
extern char traced[], tracedEnd[];
extern const int starts[], startsEnd[];
__asm__(".macro at\n"
        "771: .pushsection .rodata.starts\n"
        ".long 771b - traced\n"
        ".popsection\n"
        ".endm\n"
        ".pushsection .rodata.starts,\"a\"\n"
        ".globl starts\n"
        "starts:\n"
        ".popsection\n"
        ".text\n"
        ".globl traced, tracedEnd\n"
        ".type traced, @function\n"
        ".p2align 4\n"
        "traced:\n"
        "at; addl $1, %ebx\n"
        "at; movl $102, %eax\n" // S0
        "at; syscall\n"
        "at; addl %eax, %ebx\n"
        "at; movl $7, %esi\n" // S1: a long one first
        "at; xorl %eax, %eax\n"
        "at; movb $102, %al\n"
        "at; syscall\n"
        "at; leal (%rax,%rbx,4), %ebx\n"
        "at; xorl %eax, %eax\n" // S1: short ones
        "at; movb $102, %al\n"
        "at; movl %ebx, %edi\n"
        "at; syscall\n"
        "at; leal 3(%rax,%rbx,4), %ebx\n"
        "1: at; movl $102, %eax\n"
        "at; jmp 2f\n"
        "nop\n"
        "2: at; syscall\n" // B
        "at; addl $5, %ebx\n"
        "at; decl %r12d\n"
        "at; jnz 1b\n"
        "at; movl $102, %eax\n"
        "at; jmp 3f\n"
        "nop\n"
        "3: at; movl %ebx, %edi\n"
        "at; syscall\n" // mixed
        "at; movl %edi, %r8d\n"
        "at; leal 9(%r8,%rbx,2), %ebx\n"
        "at; movl %ebx, %eax\n"
        "at; ret\n"
        "tracedEnd:\n"
        ".size traced, . - traced\n"
        ".pushsection .rodata.starts\n"
        ".globl startsEnd\n"
        "startsEnd:\n"
        ".popsection\n"
        // int enter(void *where, uint64_t flags): calls it with these flags set in addition.
        ".globl enter\n"
        ".type enter, @function\n"
        "enter:\n"
        "pushq %rbx; pushq %r12; pushq %r13\n"
        "movl $1000, %ebx; movl $3, %r12d; movl $102, %eax; xorl %ecx, %ecx\n"
        "movq %rdi, %r13\n"
        "pushfq; orq %rsi, (%rsp); xorl %esi, %esi; xorl %edi, %edi; popfq\n"
        "callq *%r13\n"
        "pushfq; andq $~0x100, (%rsp); popfq\n"
        "popq %r13; popq %r12; popq %rbx\n"
        "ret\n"
        ".size enter, . - enter\n");
int enter(void *where, uint64_t flags);

static int steps[1000];
static volatile int stepCount;
static volatile int seen[kMax], foreign, fired;

static uint64_t offsetOf(const ucontext_t *context) {
  return (uint64_t)context->uc_mcontext.gregs[REG_RIP] - (uint64_t)traced;
}

static void onTrap(int signo, siginfo_t *info, void *context) {
  (void)signo;
  uint64_t offset = offsetOf(context);
  if (offset < (uint64_t)(tracedEnd - traced) && stepCount < 1000)
    steps[stepCount++] = (int)offset | (info->si_addr == traced + offset ? 0 : 0x10000);
}

static void onTimer(int signo, siginfo_t *info, void *context) {
  (void)signo, (void)info;
  uint64_t offset = offsetOf(context), address = offset + (uint64_t)traced;
  fired = 1;
  if (offset >= (uint64_t)(tracedEnd - traced)) {
    foreign += address < 0x400000 || address > 0x7fffffffffff; // a stub's
    return;
  }
  for (int i = 0; i < startsEnd - starts; i++)
    if ((uint64_t)starts[i] == offset) {
      seen[i]++;
      return;
    }
  foreign++;
}

int main(int argc, char **argv) {
  struct sigaction action = {.sa_sigaction = onTrap, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &action, NULL);
  action.sa_sigaction = onTimer;
  sigaction(SIGALRM, &action, NULL);
  int count = (int)(startsEnd - starts), want = enter(traced, 0);
  if (argc == 2 && !strcmp(argv[1], "step")) {
    int result = enter(traced, kTrapFlag);
    for (int i = 0; i < stepCount; i++)
      printf("step %d: %x\n", i, steps[i]);
    printf("%d steps, result %d, without them %d\n", stepCount, result, want);
    return 0;
  }
  if (argc == 2 && !strcmp(argv[1], "hidden")) {
    for (int i = 0; i < count; i++)
      printf("entry at %d: %d\n", i, enter(traced + *(volatile const int *)&starts[i], 0));
    return 0;
  }
  if (argc != 3)
    return 2;
  int errors = 0;
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, NULL, &timer))
    return 2;
  for (int n = 1; n < atoi(argv[2]); n++) {
    fired = 0;
    struct itimerspec at = {.it_value.tv_nsec = n};
    timer_settime(timer, 0, &at, NULL);
    for (int i = 0; i < 6; i++)
      errors += enter(traced, 0) != want;
    while (!fired)
      ;
  }
  int found = 0;
  for (int i = 0; i < count; i++) {
    found += seen[i] != 0;
    if (!seen[i])
      printf("%d was not seen\n", starts[i]);
  }
  printf("%d of %d instructions seen, %d errors\n", found, count, errors + foreign);
  return errors + foreign != 0;
}

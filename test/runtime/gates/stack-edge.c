// SPDX-License-Identifier: BSD-3-Clause
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, runtime-fs, glibc-static
// RUN: gcc -O2 -static %s -o %t
// RUN: %t | FileCheck %s
// RUN: %osv-rewrite --tls=gs %t -o %t-gs.img
// RUN: %osv-rewrite --tls=fs %t -o %t-fs.img
// RUN: %osv-run %t-gs.img --timeout 60 | FileCheck %s
// RUN: %osv-run %t-fs.img --timeout 60 | FileCheck %s
// RUN: %osv-run %t-gs.img --smp 2 --cpu qemu64 --timeout 60 | FileCheck %s
// RUN: %osv-run %t-fs.img --smp 2 --timeout 60 | FileCheck %s
// RUN: %osv-rewrite --tls=gs --patch=none %t -o %t-gs-native.img
// RUN: %osv-rewrite --tls=fs --patch=none %t -o %t-fs-native.img
// RUN: %osv-run %t-gs-native.img --smp 2 --timeout 60 | FileCheck %s
// RUN: %osv-run %t-fs-native.img --timeout 60 | FileCheck %s
//
// A stack pointer with 16 bytes left above an unmapped page, and one that points into nothing: system calls, timer interrupts and page faults
// write nothing below it. And flags that the kernel must not live with: DF, AC, NT, TF at a system call.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// Runs calls, a busy loop and page faults with rsp = stack; nothing is pushed.
static long onStack(void *stack, char *fresh) {
  long result;
  __asm__ volatile("movq %%rsp, %%rbx\n"
                   "movq %[stack], %%rsp\n"
                   "movl $39, %%eax\n" // getpid
                   "syscall\n"
                   "movq %%rax, %[result]\n"
                   "movl $5000000, %%ecx\n"
                   "1: decl %%ecx\n"
                   "jnz 1b\n"
                   "movb $1, (%[fresh])\n"
                   "movl $24, %%eax\n" // sched_yield
                   "syscall\n"
                   "movl $499, %%eax\n" // no such call: the full-frame path
                   "syscall\n"
                   "movq %%rbx, %%rsp\n"
                   : [result] "=&r"(result)
                   : [stack] "r"(stack), [fresh] "r"(fresh)
                   : "rax", "rbx", "rcx", "r11", "memory", "cc");
  return result;
}

// getpid with extra flags set; returns the flags afterwards.
static uint64_t withFlags(uint64_t flags, long *result) {
  uint64_t after;
  __asm__ volatile("pushfq\n orq %[flags], (%%rsp)\n movl $39, %%eax\n popfq\n syscall\n pushfq\n popq %[after]\n"
                   "pushq $0x202\n popfq\n"
                   : [after] "=&r"(after), "=&a"(*result)
                   : [flags] "r"(flags)
                   : "rcx", "r11", "memory", "cc");
  return after;
}

static volatile int traps;
static void trap(int signo, siginfo_t *info, void *context) {
  (void)signo, (void)info;
  traps++;
  (void)context;
}

int main(void) {
  char *area = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *fresh = mmap(0, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(area, 4096);
  memset(area + 4096, 0xa5, 8192);
  long pid = getpid();
  // CHECK: 16 bytes left: 1
  printf("16 bytes left: %d\n", onStack(area + 4096 + 16, fresh) == pid);
  // CHECK: nowhere: 1
  printf("nowhere: %d\n", onStack((void *)0x10, fresh + 4096) == pid);
  // CHECK: non-canonical: 1
  printf("non-canonical: %d\n", onStack((void *)0x8000000000000010, fresh + 8192) == pid);
  int same = 1;
  onStack(area + 8192, fresh + 3 * 4096);
  for (int i = 0; i < 8192; i++)
    same &= (unsigned char)area[4096 + i] == 0xa5;
  // CHECK: untouched: 1
  printf("untouched: %d\n", same);

  long r;
  // CHECK: DF kept: 1 1
  uint64_t f = withFlags(0x400, &r);
  printf("DF kept: %d %d\n", (f & 0x400) != 0, r == pid);
  // CHECK: AC kept: 1 1
  f = withFlags(0x40000, &r);
  printf("AC kept: %d %d\n", (f & 0x40000) != 0, r == pid);
  // CHECK: NT: 1
  f = withFlags(0x4000, &r);
  printf("NT: %d\n", r == pid);
  struct sigaction sa = {.sa_sigaction = trap, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &sa, 0);
  // CHECK: TF: 1, traps: 1
  f = withFlags(0x100, &r);
  printf("TF: %d, traps: %d\n", r == pid, traps > 0);
  return 0;
}

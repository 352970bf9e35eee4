// SPDX-License-Identifier: BSD-3-Clause
//
// Hardware faults as signals: number, code, address, and what the handler's ucontext says, natively and in the image. Then the ways a
// frame can be bad.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, qemu, glibc-static
// RUN: gcc -static -O1 -w -o %t %s && %t > %t.native
// RUN: %osv-rewrite %t -o %t.img && %osv-run %t.img > %t.gs && diff %t.native %t.gs
// RUN: %osv-rewrite --tls=fs %t -o %t.fs.img && %osv-run --smp 2 %t.fs.img > %t.fs && diff %t.native %t.fs
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf env;
static siginfo_t last;
static greg_t regs[NGREG];
static unsigned long ucFlags;
static char *readOnly;

static void onFault(int signo, siginfo_t *info, void *uc) {
  last = *info;
  memcpy(regs, ((ucontext_t *)uc)->uc_mcontext.gregs, sizeof regs);
  ucFlags = ((ucontext_t *)uc)->uc_flags;
  siglongjmp(env, 1);
}
static void handle(int signo, void *handler, int flags) {
  struct sigaction a = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
  sigaction(signo, &a, 0);
}

static void writeUnmapped(void) { *(volatile int *)0x1234 = 1; }
static void readUnmapped(void) { (void)*(volatile int *)0x10; }
static void writeReadOnly(void) { *(volatile char *)readOnly = 1; }
static void readNonCanonical(void) { (void)*(volatile int *)0x8000000000000000; }
static void executeData(void) { ((void (*)(void))readOnly)(); }
static void jumpLow(void) { ((void (*)(void))0x100)(); }
static void jumpNonCanonical(void) { asm volatile("jmp *%%rax" ::"a"(0x8000000000000000)); }
static void undefined(void) { asm volatile("ud2"); }
static void breakpoint(void) { asm volatile("int3"); }
static void divide(void) {
  volatile int zero = 0;
  zero = 1 / zero;
}
static void badFrameAddress(void) { asm volatile("mov $0x1000, %%rsp; mov $15, %%eax; syscall" ::: "memory"); }
static void noFrame(void) {
  static char zeros[4096];
  asm volatile("mov %0, %%rsp; mov $15, %%eax; syscall" ::"r"(zeros + 1024) : "memory");
}

static void show(const char *what, void (*f)(void), void *at) {
  if (!sigsetjmp(env, 1)) {
    f();
    printf("%s: no fault\n", what);
    return;
  }
  const char *address = !last.si_addr                           ? "null"
                        : last.si_addr == (void *)regs[REG_RIP] ? "ip"
                        : last.si_addr == at                    ? "right"
                                                                : "wrong";
  printf("%s: signal %d code %d address %s trap %ld", what, last.si_signo, last.si_code, address,
         (long)regs[REG_TRAPNO]);
  if (at != readOnly) // whether that page is resident is Linux's affair
    printf(" error %ld", (long)regs[REG_ERR]);
  printf(" selectors %lx flags %lx\n", (long)regs[REG_CSGSFS], ucFlags & 6);
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  readOnly = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
  sigaltstack(&stack, 0);
  for (int i = 0; i < 5; i++)
    handle((int[]){SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE}[i], onFault, SA_ONSTACK);
  show("write unmapped", writeUnmapped, (void *)0x1234);
  show("read unmapped", readUnmapped, (void *)0x10);
  show("write read-only", writeReadOnly, readOnly);
  show("read non-canonical", readNonCanonical, 0);
  show("execute data", executeData, readOnly);
  show("jump to unmapped", jumpLow, 0);
  show("jump non-canonical", jumpNonCanonical, 0);
  show("ud2", undefined, 0);
  show("int3", breakpoint, 0);
  show("divide", divide, 0);
  show("rt_sigreturn with a bad stack pointer", badFrameAddress, 0);
  if (!sigsetjmp(env, 1)) // its registers are Linux's affair: it loads the zeros first and faults then
    noFrame();
  printf("rt_sigreturn without a frame: signal %d code %d\n", last.si_signo, last.si_code);
  puts("done");
}

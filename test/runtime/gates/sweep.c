// SPDX-License-Identifier: BSD-3-Clause
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, runtime-fs, glibc-static
// RUN: gcc -O2 -static -pthread %s -o %t
// RUN: %t signal 20 | FileCheck %s
// RUN: %t switch 20 | FileCheck %s
// RUN: %osv-rewrite --tls=gs %t -o %t-gs.img
// RUN: %osv-rewrite --tls=fs %t -o %t-fs.img
// RUN: %osv-rewrite --tls=gs --patch=none %t -o %t-gs-native.img
// RUN: %osv-rewrite --tls=fs --patch=none %t -o %t-fs-native.img
// RUN: %python %S/Inputs/coverage.py %osv-run %t-gs.img timer:osv_gate_direct -- signal 1200 | FileCheck %s
// RUN: %python %S/Inputs/coverage.py %osv-run %t-fs.img timer:osv_gate_direct -- signal 1200 | FileCheck %s
// RUN: %python %S/Inputs/coverage.py %osv-run %t-gs-native.img timer:osv_gate_syscall -- signal 1200 | FileCheck %s
// RUN: %python %S/Inputs/coverage.py %osv-run %t-fs-native.img timer:osv_gate_syscall -- signal 1200 | FileCheck %s
// RUN: %python %S/Inputs/coverage.py %osv-run %t-gs.img timer:osv_gate_direct -- switch 1200 | FileCheck %s
// RUN: %python %S/Inputs/coverage.py %osv-run %t-fs.img timer:osv_gate_direct -- switch 1200 | FileCheck %s
// RUN: %python %S/Inputs/coverage.py %osv-run %t-gs-native.img timer:osv_gate_syscall -- switch 1200 | FileCheck %s
// RUN: %python %S/Inputs/coverage.py %osv-run %t-fs-native.img timer:osv_gate_syscall -- switch 1200 | FileCheck %s
// RUN: %osv-run %t-fs.img --icount --cpu qemu64 --timeout 300 -- signal 1000 | FileCheck %s
// RUN: %osv-run %t-fs.img --icount --cpu qemu64 --timeout 300 -- switch 1000 | FileCheck %s
// RUN: %osv-run %t-gs.img --smp 2 --timeout 300 -- signal 200 | FileCheck %s
// RUN: %osv-run %t-fs.img --smp 2 --timeout 300 -- signal 200 | FileCheck %s
// RUN: %osv-run %t-gs.img --smp 2 --timeout 300 -- switch 200 | FileCheck %s
// RUN: %osv-run %t-fs.img --smp 2 --timeout 300 -- switch 200 | FileCheck %s
// CHECK: {{[1-9][0-9]*}} interrupts, 0 errors
//
// A timer interrupt at every instruction boundary of a system call: a timer is armed to go off n nanoseconds later, for every n of a range
// that covers the call, and under `osv-run --icount` one nanosecond is one instruction. What the interrupt leads to:
//   signal   a signal, whose handler overwrites every vector register and touches a fresh page: a page fault
//   switch   a switch to a thread of higher priority that waits for the timer, and back when it waits again. That thread has other
//            values in the vector registers, another thread pointer, and NT set among its flags when it leaves
// Around each call every general register, the flags, all XMM registers, the red zone, FS and the thread's own variables are checked.
// coverage.py sees to it that every instruction of the gate was hit. What runs with interrupts off is nmi.c's.
#define _GNU_SOURCE
#include "Inputs/checked.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

CHECKED(checkedCall, SYSTEM_CALL);

static volatile sig_atomic_t fired;
static volatile long otherErrors; // in the handler, in the other thread
static uint64_t self;

#define SPOIL_XMM                                                                                                      \
  __asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n pcmpeqd %%xmm\\n, %%xmm\\n\n .endr" ::              \
                       : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",      \
                         "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

// ---- signal

static unsigned char *fresh;
static size_t freshNext, freshPages = 65536;
static timer_t timer;

static void handler(int signo) {
  (void)signo;
  if (fsSelf() != self || canary != 0x5ca1ab1e5ca1ab1e)
    otherErrors++;
  SPOIL_XMM;
  fresh[(freshNext++ % freshPages) * 4096] = 1;
  fired = 1;
}

static void startSignal(void) {
  fresh = mmap(0, freshPages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &sa, 0);
  if (timer_create(CLOCK_MONOTONIC, 0, &timer))
    exit(2);
}

// ---- switch

static int timerFd;

/// read(2) with NT set; all XMM registers must come back as ones.
static long readWithNt(int fd, void *p) {
  long result = SYS_read, size = 8, ones;
  uint8_t xmm[16];
  SPOIL_XMM;
  __asm__ volatile("leaq -128(%%rsp), %%rsp\n"
                   "pushfq\n"
                   "orq $0x4000, (%%rsp)\n"
                   "popfq\n"
                   "nopl 0x100(%%rax,%%rax,1)\n"
                   "syscall\n"
                   "pushfq\n"
                   "andq $~0x4000, (%%rsp)\n"
                   "popfq\n"
                   "leaq 128(%%rsp), %%rsp\n"
                   ".irp n,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n pand %%xmm\\n, %%xmm0\n .endr\n"
                   "movups %%xmm0, %[xmm]\n"
                   : "+a"(result), [xmm] "=m"(xmm)
                   : "D"((long)fd), "S"(p), "d"(size)
                   : "rcx", "r11", "memory", "cc", "xmm0");
  ones = 1;
  for (int i = 0; i < 16; i++)
    ones &= xmm[i] == 0xff;
  return ones ? result : -1;
}

static void *partner(void *arg) {
  (void)arg;
  uint64_t mySelf = fsSelf(), count;
  canary = 0x0ddba11;
  for (;;) {
    if (readWithNt(timerFd, &count) != 8 || fsSelf() != mySelf || mySelf == self || canary != 0x0ddba11)
      otherErrors++;
    fired = 1;
  }
  return 0;
}

static void startSwitch(void) {
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  sched_setaffinity(0, sizeof first, &first); // inherited: the other thread must take this one's CPU
  timerFd = timerfd_create(CLOCK_MONOTONIC, 0);
  pthread_t thread;
  if (timerFd < 0 || pthread_create(&thread, 0, partner, 0))
    exit(2);
  struct sched_param priority = {.sched_priority = 1};
  pthread_setschedparam(thread, SCHED_FIFO, &priority); // not permitted natively; then it comes a little later
  sched_yield();
}

int main(int argc, char **argv) {
  int switching = argc > 1 && !strcmp(argv[1], "switch");
  long last = argc > 2 ? atol(argv[2]) : 2000, hits = 0, errors = 0;
  self = fsSelf();
  switching ? startSwitch() : startSignal();
  long pid = getpid();
  // A handler that is two instructions, one that goes through C++ and memory, one that does not exist (the full-frame path).
  const long calls[] = {SYS_getpid, SYS_gettid, 499};
  const long results[] = {pid, pid, -38};
  for (long n = 0; n < last; n++) {
    for (unsigned c = 0; c < 3; c++) {
      fill(&in, n);
      fired = 0;
      struct itimerspec at = {.it_value.tv_nsec = n + 1};
      if (switching)
        timerfd_settime(timerFd, 0, &at, 0);
      else
        timer_settime(timer, 0, &at, 0);
      for (int round = 0; round < 4; round++) {
        checkedCall(&in, &out, calls[c]);
        errors += check(n, results[c], self);
      }
      while (!fired)
        ;
      hits++;
      if (errors > 10)
        return 1;
    }
  }
  errors += otherErrors;
  printf("%ld interrupts, %ld errors\n", hits, errors);
  fflush(stdout);
  _exit(errors != 0);
}

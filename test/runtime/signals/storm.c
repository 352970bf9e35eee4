// SPDX-License-Identifier: BSD-3-Clause
//
// A storm of 100,000 signals at four threads that check, in the handler, their thread-local storage, the initial FP state and the interrupted
// thread's FP state in the frame, and outside, registers, flags, FP state and red zone.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, runtime-fs, qemu, glibc-static
// RUN: gcc -static -O1 -w -pthread -o %t %s && %python %tools/same.py --build %build %t -- 25000 | FileCheck %s
// CHECK: wrong 0 enough 1
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum { kThreads = 4 };
static long kSignals;
static __thread uint64_t own, check;
static __thread volatile long got;
static pthread_t threads[kThreads];
static volatile int ready, finished;
static volatile long wrong, total;
static const unsigned kMine = 0x1f80 | 0x6000, kInitial = 0x1f80; ///< MXCSR: rounding toward zero, and a new program's
static __thread double in[2];
static __thread volatile int loaded; ///< the thread's xmm15 is `in`

static void onSignal(int signo, siginfo_t *info, void *uc) {
  unsigned mxcsr;
  uint16_t control;
  double xmm15[2];
  asm volatile("stmxcsr %0; fnstcw %1; movupd %%xmm15, %2" : "=m"(mxcsr), "=m"(control), "=m"(xmm15));
  const struct _libc_fpstate *saved = ((ucontext_t *)uc)->uc_mcontext.fpregs;
  int bad = check != own * 3 + 1 || mxcsr != kInitial || control != 0x37f || xmm15[0] != 0 || xmm15[1] != 0;
  bad |= saved->mxcsr != kMine || (loaded && memcmp(saved->_xmm + 15, in, 16));
  if (bad)
    __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
  asm volatile("ldmxcsr %0" : : "m"((unsigned){0x1f80 | 0x2000}));
  asm volatile("pxor %%xmm0, %%xmm0; pxor %%xmm15, %%xmm15; fninit; fldz" ::: "xmm0", "xmm15");
  got++;
}

static void *run(void *arg) {
  long id = (long)arg, value = id * 77 + 5;
  own = id + 100;
  check = own * 3 + 1;
  in[0] = id + .5, in[1] = id * 7 + .25;
  double out[2];
  asm volatile("ldmxcsr %0" : : "m"(kMine));
  __atomic_fetch_add(&ready, 1, __ATOMIC_RELAXED);
  while (got < kSignals) {
    uint64_t redZone, r12, carry;
    unsigned mxcsr;
    asm volatile("movupd %4, %%xmm15; movl $1, %6; mov %5, %%r12; mov %5, -64(%%rsp); mov %5, -120(%%rsp); stc; mov "
                 "$300, %%ecx\n"
                 "1: lea -1(%%rcx), %%rcx; jrcxz 2f; jmp 1b\n" // changes no flag
                 "2: setc %b3; movzx %b3, %q3; mov -64(%%rsp), %1; xor -120(%%rsp), %1; movupd %%xmm15, %0; movl $0, "
                 "%6; mov %%r12, %2"
                 : "=m"(out), "=&r"(redZone), "=&r"(r12), "=&r"(carry)
                 : "m"(in), "r"(value), "m"(loaded)
                 : "rcx", "r12", "xmm0", "xmm15", "cc", "memory");
    asm volatile("stmxcsr %0" : "=m"(mxcsr));
    if (mxcsr != kMine || out[0] != in[0] || out[1] != in[1] || r12 != value || redZone != 0 || carry != 1 ||
        own != id + 100)
      __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
  }
  __atomic_fetch_add(&total, got, __ATOMIC_RELAXED);
  __atomic_fetch_add(&finished, 1, __ATOMIC_RELAXED);
  return 0;
}

int main(int argc, char **argv) {
  kSignals = atol(argv[1]);
  struct sigaction a = {.sa_sigaction = onSignal, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaddset(&a.sa_mask, SIGUSR1), sigaddset(&a.sa_mask, SIGRTMIN); // else one's frame would show the other's handler
  sigaction(SIGUSR1, &a, 0);
  sigaction(SIGRTMIN, &a, 0);
  for (long i = 0; i < kThreads; i++)
    pthread_create(&threads[i], 0, run, (void *)i);
  while (ready < kThreads)
    usleep(1000);
  for (long k = 0; finished < kThreads; k++)
    for (int i = 0; i < kThreads; i++)
      if (finished < kThreads)
        pthread_kill(threads[i], k & 1 ? SIGRTMIN : SIGUSR1);
  for (int i = 0; i < kThreads; i++)
    pthread_join(threads[i], 0);
  printf("wrong %ld enough %d\n", wrong, total >= kThreads * kSignals);
}

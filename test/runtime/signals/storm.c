// SPDX-License-Identifier: BSD-3-Clause
//
// A storm of signals at four threads that check, in the handler, their thread-local storage, and outside, registers, flags, FP
// state and red zone.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, qemu, glibc-static
// RUN: gcc -static -O1 -w -pthread -o %t %s
// RUN: %osv-rewrite %t -o %t.img && %osv-run %t.img | FileCheck %s
// RUN: %osv-rewrite --tls=fs %t -o %t.fs.img && %osv-run --append osv.hz=1000 %t.fs.img | FileCheck %s
// CHECK: wrong 0 enough 1
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

enum { kThreads = 4, kSignals = 5000 };
static __thread uint64_t own, check;
static __thread volatile long got;
static pthread_t threads[kThreads];
static volatile int ready, finished;
static volatile long wrong, total;

static void onSignal(int signo, siginfo_t *info, void *uc) {
  if (check != own * 3 + 1)
    __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
  asm volatile("pxor %%xmm0, %%xmm0; pxor %%xmm15, %%xmm15; fninit; fldz" ::: "xmm0", "xmm15");
  got++;
}

static void *run(void *arg) {
  long id = (long)arg, value = id * 77 + 5;
  own = id + 100;
  check = own * 3 + 1;
  __atomic_fetch_add(&ready, 1, __ATOMIC_RELAXED);
  double in[2] = {id + .5, id * 7 + .25}, out[2];
  while (got < kSignals) {
    uint64_t redZone, r12, carry;
    asm volatile(
        "movupd %4, %%xmm15; mov %5, %%r12; mov %5, -64(%%rsp); mov %5, -120(%%rsp); stc; mov $300, %%ecx\n"
        "1: lea -1(%%rcx), %%rcx; jrcxz 2f; jmp 1b\n" // changes no flag
        "2: setc %b3; movzx %b3, %q3; mov -64(%%rsp), %1; xor -120(%%rsp), %1; movupd %%xmm15, %0; mov %%r12, %2"
        : "=m"(out), "=&r"(redZone), "=&r"(r12), "=&r"(carry)
        : "m"(in), "r"(value)
        : "rcx", "r12", "xmm0", "xmm15", "cc", "memory");
    if (out[0] != in[0] || out[1] != in[1] || r12 != value || redZone != 0 || carry != 1 || own != id + 100)
      __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
  }
  __atomic_fetch_add(&total, got, __ATOMIC_RELAXED);
  __atomic_fetch_add(&finished, 1, __ATOMIC_RELAXED);
  return 0;
}

int main(void) {
  struct sigaction a = {.sa_sigaction = onSignal, .sa_flags = SA_SIGINFO | SA_RESTART};
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

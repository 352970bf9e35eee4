// SPDX-License-Identifier: BSD-3-Clause
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, glibc-static
// RUN: gcc -O2 -static -pthread -mfsgsbase %s -o %t
// RUN: %osv-rewrite --tls=gs -Werror=fs-base-write %t -o %t-gs.img
// RUN: %osv-run %t-gs.img --append osv.hz=10000 --timeout 60 | FileCheck %s
// RUN: %osv-run %t-gs.img --append osv.hz=10000 --smp 2 --timeout 60 | FileCheck %s
// RUN: not %osv-rewrite --tls=fs -Werror=fs-base-write %t -o %t-fs.img 2>&1 | FileCheck %s --check-prefix=REFUSED
// REFUSED: error: 'wrfsbase' in 'under' sets a thread pointer that the next system call takes back, with --tls=fs [fs-base-write]
//
// In the gs model a thread pointer that a thread sets by itself survives system calls, interrupts, page faults, signals and switches to a
// thread that does the same; ARCH_GET_FS knows it. In the fs model the rewriter says that it does not.
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <immintrin.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// No libc while FS is not its own.
#define NO_TLS __attribute__((noinline, optimize("no-stack-protector")))
static inline long call(long nr, long a, long b, long c) {
  register long rax __asm__("rax") = nr;
  __asm__ volatile("syscall" : "+r"(rax) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return rax;
}

static atomic_long signals;
static NO_TLS void handler(int signo) {
  (void)signo;
  signals++;
}

static NO_TLS long under(uint64_t fs, volatile char *fresh) {
  uint64_t old = _readfsbase_u64(), seen = 0;
  long lost = 0;
  _writefsbase_u64(fs);
  for (int i = 0; i < 200; i++) {
    call(SYS_getpid, 0, 0, 0);
    lost += _readfsbase_u64() != fs;
    call(SYS_sched_yield, 0, 0, 0);
    lost += _readfsbase_u64() != fs;
    call(499, 0, 0, 0); // the full-frame path
    lost += _readfsbase_u64() != fs;
    fresh[i * 4096] = 1;
    lost += _readfsbase_u64() != fs;
    call(SYS_tgkill, call(SYS_getpid, 0, 0, 0), call(SYS_gettid, 0, 0, 0), SIGUSR1);
    lost += _readfsbase_u64() != fs;
    for (volatile long n = 0; n < 30000; n++) // preemption
      ;
    lost += _readfsbase_u64() != fs;
  }
  lost += call(SYS_arch_prctl, ARCH_GET_FS, (long)&seen, 0) != 0 || seen != fs;
  _writefsbase_u64(old);
  return lost;
}

static void *work(void *arg) {
  char *fresh = mmap(0, 256 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return (void *)under((uint64_t)arg, fresh);
}

int main(void) {
  signal(SIGUSR1, handler);
  pthread_t threads[3];
  long lost = 0;
  const uint64_t pointers[3] = {0x1230, 0x7f1234567000, 0};
  for (int i = 0; i < 3; i++)
    pthread_create(&threads[i], 0, work, (void *)pointers[i]);
  for (int i = 0; i < 3; i++) {
    void *one;
    pthread_join(threads[i], &one);
    lost += (long)one;
  }
  // CHECK: lost: 0, signals: 600
  printf("lost: %ld, signals: %ld\n", lost, (long)signals);
  return 0;
}

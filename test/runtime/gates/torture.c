// SPDX-License-Identifier: BSD-3-Clause
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, runtime-fs, glibc-static
// RUN: gcc -O2 -static -pthread %s -o %t
// RUN: %t 1 | FileCheck %s
// RUN: %osv-rewrite --tls=gs %t -o %t-gs.img
// RUN: %osv-rewrite --tls=fs %t -o %t-fs.img
// RUN: %osv-run %t-gs.img --append osv.hz=10000 --timeout 300 -- 4 | FileCheck %s
// RUN: %osv-run %t-fs.img --append osv.hz=10000 --timeout 300 -- 4 | FileCheck %s
// RUN: %osv-run %t-gs.img --smp 2 --append osv.hz=10000 --timeout 300 -- 4 | FileCheck %s
// RUN: %osv-run %t-fs.img --smp 2 --append osv.hz=10000 --timeout 300 -- 4 | FileCheck %s
// RUN: %osv-run %t-gs.img --smp 2 --cpu qemu64 --append osv.hz=10000 --timeout 300 -- 2 | FileCheck %s
// CHECK: 4 threads, errors: 0
//
// Four threads that each keep a pattern of their own in every vector register (AVX when there is), the red zone, callee-saved registers
// and thread-local variables, and look at them in a loop, while 10 kHz of preemption, page faults, signals with handlers that use the same
// registers, and system calls try to mix them up. The argument is the duration in seconds.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { kThreads = 4 };
static atomic_long errors, rounds, signals;
static atomic_int stop;
static pthread_t threads[kThreads];
static __thread uint64_t mine[8];
static __thread uint64_t id;

static uint64_t fsSelf(void) {
  uint64_t v;
  __asm__("movq %%fs:0, %0" : "=r"(v));
  return v;
}

// Fills vector registers, callee-saved registers and red zone from `seed`, spins a little, compares. Returns the number of differences.
long hold(uint64_t seed, long spins, uint64_t *scratch);
__asm__(".text\n.globl hold\nhold:\n"
        "  pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
        "  movq %rdi, %rbx; leaq 1(%rdi), %rbp; leaq 2(%rdi), %r12; leaq 3(%rdi), %r13; leaq 4(%rdi), %r14; leaq "
        "5(%rdi), %r15\n"
        "  .set i, 0\n  .rept 16\n  leaq 100+i(%rdi), %rax\n  movq %rax, -8-8*i(%rsp)\n  .set i, i+1\n  .endr\n"
        "  .set i, 0\n .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n  leaq 200+\\n(%rdi), %rax\n  movq %rax, "
        "%xmm\\n\n  punpcklqdq %xmm\\n, %xmm\\n\n .endr\n"
        "1: decq %rsi\n  jnz 1b\n"
        "  xorl %eax, %eax\n"
        "  .macro differs a, b\n  leaq \\b(%rdi), %rcx\n  cmpq %rcx, \\a\n  je 2f\n  incq %rax\n 2:\n  .endm\n"
        "  differs %rbx,0\n  differs %rbp,1\n  differs %r12,2\n  differs %r13,3\n  differs %r14,4\n  differs %r15,5\n"
        "  .set i, 0\n  .rept 16\n  leaq 100+i(%rdi), %rcx\n  cmpq %rcx, -8-8*i(%rsp)\n  je 3f\n  incq %rax\n 3:\n  "
        ".set i, i+1\n  .endr\n"
        "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n  movups %xmm\\n, (%rdx)\n  leaq 200+\\n(%rdi), %rcx\n  cmpq "
        "%rcx, (%rdx)\n  jne 4f\n"
        "  cmpq %rcx, 8(%rdx)\n  je 5f\n 4: incq %rax\n 5:\n  .endr\n"
        "  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n  ret\n");

__attribute__((target("avx"))) static long holdAvx(uint64_t seed, long spins) {
  typedef uint64_t v4 __attribute__((vector_size(32)));
  v4 a = {seed, seed + 1, seed + 2, seed + 3}, b = a + 7, c = a * 3, d = a ^ 0x55;
  __asm__ volatile("1: decq %0\n jnz 1b" : "+r"(spins), "+x"(a), "+x"(b), "+x"(c), "+x"(d));
  v4 bad = (a != (v4){seed, seed + 1, seed + 2, seed + 3}) | (b != a + 7) | (c != a * 3) | (d != (a ^ 0x55));
  return (bad[0] | bad[1] | bad[2] | bad[3]) != 0;
}

static void handler(int signo) {
  (void)signo;
  uint64_t scratch[2];
  if (mine[1] && (mine[0] != id * 1000 || fsSelf() == 0))
    atomic_fetch_add(&errors, 1);
  atomic_fetch_add(&errors, hold(id * 77 + 13, 50, scratch));
  atomic_fetch_add(&signals, 1);
}

static void *work(void *arg) {
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &usr1, 0);
  id = (uint64_t)(uintptr_t)arg;
  for (int i = 0; i < 8; i++)
    mine[i] = id * 1000 + (uint64_t)i;
  pthread_sigmask(SIG_UNBLOCK, &usr1, 0);
  uint64_t self = fsSelf(), scratch[2], n = 0;
  int avx = __builtin_cpu_supports("avx");
  char *pages = mmap(0, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  while (!atomic_load(&stop)) {
    long bad = hold(id * 1000003 + n, 2000 + (long)(n * 37 % 5000), scratch);
    if (avx)
      bad += holdAvx(id * 999 + n, 3000);
    for (int i = 0; i < 8; i++)
      bad += mine[i] != id * 1000 + (uint64_t)i;
    bad += fsSelf() != self;
    pages[(n % 64) * 4096] = 1;
    if (n % 64 == 63)
      madvise(pages, 64 * 4096, MADV_DONTNEED);
    if (n % 5 == 0)
      sched_yield();
    if (n % 16 == 0)
      pthread_kill(threads[(id + n / 16) % kThreads], SIGUSR1);
    if (bad)
      atomic_fetch_add(&errors, bad);
    n++;
    atomic_fetch_add(&rounds, 1);
  }
  return 0;
}

int main(int argc, char **argv) {
  struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &sa, 0);
  // Signals sent before a slot is written go to this thread, whose id is 0 and whose `mine` holds that.
  for (uintptr_t i = 0; i < kThreads; i++)
    threads[i] = pthread_self();
  for (uintptr_t i = 0; i < kThreads; i++)
    if (pthread_create(&threads[i], 0, work, (void *)i))
      return 2;
  sleep(argc > 1 ? (unsigned)atoi(argv[1]) : 60);
  atomic_store(&stop, 1);
  for (int i = 0; i < kThreads; i++)
    pthread_join(threads[i], 0);
  fprintf(stderr, "%ld rounds, %ld signals\n", (long)rounds, (long)signals);
  printf("%d threads, errors: %ld\n", kThreads, (long)errors);
  return errors != 0;
}

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
// Four threads that each keep a pattern of their own in every vector register (AVX when there is; QEMU's TCG has no AVX-512), the red zone,
// the general registers and thread-local variables, and look at them in a loop, while 10 kHz of preemption, page faults, signals with handlers that use the same
// registers, and system calls try to mix them up. The argument is the duration in seconds; torture-long.test is the same for a minute.
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

// Fill the red zone, the general registers (rdx and rsi are busy) and the vector registers from `seed`, spin a little, compare. They return
// the number of differences. `scratch`: 32 bytes. holdAvx has the YMM registers, whose halves differ.
long hold(uint64_t seed, long spins, uint64_t *scratch);
long holdAvx(uint64_t seed, long spins, uint64_t *scratch);
#define COUNT_UNLESS_EQUAL "  je 2f\n  incq %rsi\n2:\n" // the spin leaves 0 in rsi
#define HOLD(NAME, FILL, COMPARE)                                                                                      \
  ".globl " NAME "\n.type " NAME ", @function\n" NAME ":\n"                                                            \
  "  pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15; pushq %rdx\n" FILL "  .set i, 0\n"        \
  "  .rept 16\n"                                                                                                       \
  "  leaq 100+i(%rdi), %rax\n"                                                                                         \
  "  movq %rax, -8-8*i(%rsp)\n"                                                                                        \
  "  .set i, i+1\n"                                                                                                    \
  "  .endr\n"                                                                                                          \
  "  .set i, 0\n"                                                                                                      \
  "  .irp r,rax,rbx,rcx,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n"                                                           \
  "  leaq i(%rdi), %\\r\n"                                                                                             \
  "  .set i, i+1\n"                                                                                                    \
  "  .endr\n"                                                                                                          \
  "1: decq %rsi\n"                                                                                                     \
  "  jnz 1b\n"                                                                                                         \
  "  .set i, 0\n"                                                                                                      \
  "  .irp r,rax,rbx,rcx,rbp,r8,r9,r10,r11,r12,r13,r14,r15\n"                                                           \
  "  leaq i(%rdi), %rdx\n"                                                                                             \
  "  cmpq %rdx, %\\r\n" COUNT_UNLESS_EQUAL "  .set i, i+1\n"                                                           \
  "  .endr\n"                                                                                                          \
  "  .set i, 0\n"                                                                                                      \
  "  .rept 16\n"                                                                                                       \
  "  leaq 100+i(%rdi), %rcx\n"                                                                                         \
  "  cmpq %rcx, -8-8*i(%rsp)\n" COUNT_UNLESS_EQUAL "  .set i, i+1\n"                                                   \
  "  .endr\n"                                                                                                          \
  "  movq (%rsp), %rdx\n" COMPARE "  movq %rsi, %rax\n"                                                                \
  "  popq %rdx; popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"                                    \
  "  ret\n.size " NAME ", . - " NAME "\n"
#define EACH_VECTOR(TEXT) "  .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" TEXT "  .endr\n"
#define SAME_WORD(OFFSET, VALUE) "  leaq " VALUE "+\\n(%rdi), %rcx\n  cmpq %rcx, " OFFSET "(%rdx)\n" COUNT_UNLESS_EQUAL
__asm__(".text\n" //
        HOLD("hold",
             EACH_VECTOR("  leaq 200+\\n(%rdi), %rax\n"
                         "  movq %rax, %xmm\\n\n"
                         "  leaq 300+\\n(%rdi), %rax\n"
                         "  movq %rax, (%rdx)\n"
                         "  movhps (%rdx), %xmm\\n\n"),
             EACH_VECTOR("  movups %xmm\\n, (%rdx)\n" SAME_WORD("", "200") SAME_WORD("8", "300"))) //
        HOLD("holdAvx",
             EACH_VECTOR("  .set i, 0\n"
                         "  .rept 4\n"
                         "  leaq 200+100*i+\\n(%rdi), %rax\n"
                         "  movq %rax, 8*i(%rdx)\n"
                         "  .set i, i+1\n"
                         "  .endr\n"
                         "  vmovups (%rdx), %ymm\\n\n"),
             EACH_VECTOR("  vmovups %ymm\\n, (%rdx)\n" SAME_WORD("", "200") SAME_WORD("8", "300") SAME_WORD("16", "400")
                             SAME_WORD("24", "500")) "  vzeroupper\n"));

static void handler(int signo) {
  (void)signo;
  uint64_t scratch[4];
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
  uint64_t self = fsSelf(), scratch[4], n = 0;
  int avx = __builtin_cpu_supports("avx");
  char *pages = mmap(0, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  while (!atomic_load(&stop)) {
    long bad = hold(id * 1000003 + n, 2000 + (long)(n * 37 % 5000), scratch);
    if (avx)
      bad += holdAvx(id * 999 + n, 3000, scratch);
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

// SPDX-License-Identifier: BSD-3-Clause
//
// What the gates cost, in guest instructions. Runs in an image under `osv-run --icount`, where the time-stamp counter
// counts exactly the instructions that the guest executes (shift=0: one instruction is one nanosecond is one tick);
// natively it prints cycles, which mean nothing here.
//
// Each figure is the difference of two loops, with and without what is measured, over kRounds rounds; so loop and
// counter cost nothing.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { kRounds = 2000 };

static inline uint64_t ticks(void) {
  uint32_t lo, hi;
  __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi)::"memory");
  return ((uint64_t)hi << 32) | lo;
}

static void report(const char *what, double n) { printf("%-44s %8.1f\n", what, n); }

// The loop body is `mov; syscall` against `mov; nop`: the syscall instruction itself counts.
static void nullCall(void) {
  uint64_t t0 = ticks();
  for (int i = 0; i < kRounds; i++) {
    long r = SYS_getppid;
    __asm__ volatile("nop" : "+a"(r)::"rcx", "r11", "memory");
  }
  uint64_t t1 = ticks();
  for (int i = 0; i < kRounds; i++) {
    long r = SYS_getppid;
    __asm__ volatile("nop; nop; nop; nop; nop; syscall" : "+a"(r)::"rcx", "r11", "memory");
  }
  uint64_t t2 = ticks();
  report("null system call (getppid)", ((double)(t2 - t1) - (double)(t1 - t0)) / kRounds - 4);
}

static void clockCall(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  uint64_t t0 = ticks();
  for (int i = 0; i < kRounds; i++)
    __asm__ volatile("" ::: "memory");
  uint64_t t1 = ticks();
  for (int i = 0; i < kRounds; i++)
    clock_gettime(CLOCK_MONOTONIC, &ts);
  uint64_t t2 = ticks();
  report("clock_gettime (vDSO, with libc's call)", ((double)(t2 - t1) - (double)(t1 - t0)) / kRounds);
}

static void pageFault(void) {
  enum { kPages = 256 };
  char *p = mmap(0, (kPages + 512) * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    exit(1);
  madvise(p, (kPages + 512) * 4096, MADV_NOHUGEPAGE);
  p[0] = 1;
  uint64_t t0 = ticks();
  for (int i = 1; i < kPages; i++)
    *(volatile char *)(p + (size_t)i * 4096) = 1;
  uint64_t t1 = ticks();
  report("anonymous page fault, 4 KiB (clear: 512)", (double)(t1 - t0) / (kPages - 1));
}

static void *spinner(void *stop) {
  while (!*(volatile int *)stop)
    sched_yield();
  return 0;
}

static void contextSwitch(void) {
  volatile int stop = 0;
  pthread_t t;
  if (pthread_create(&t, 0, spinner, (void *)&stop))
    exit(1);
  sched_yield();
  uint64_t t0 = ticks();
  for (int i = 0; i < kRounds; i++)
    sched_yield();
  uint64_t t1 = ticks();
  stop = 1;
  pthread_join(t, 0);
  report("sched_yield to another thread, one way", (double)(t1 - t0) / kRounds / 2);
}

// A timer that notifies nobody: what its interrupt costs shows as a gap between two reads of the counter.
static void timerInterrupt(void) {
  timer_t timer;
  struct sigevent ev = {.sigev_notify = SIGEV_NONE};
  if (timer_create(CLOCK_MONOTONIC, &ev, &timer))
    exit(1);
  uint64_t best = ~0ull, sum = 0;
  int hits = 0;
  for (int i = 0; i < 50; i++) {
    struct itimerspec at = {.it_value.tv_nsec = 20000};
    timer_settime(timer, 0, &at, 0);
    uint64_t last = ticks(), usual = ~0ull, gap = 0;
    for (int n = 0; n < 20000; n++) {
      uint64_t now = ticks(), d = now - last;
      last = now;
      if (d < usual)
        usual = d;
      if (d > gap)
        gap = d;
    }
    if (gap > 2 * usual) {
      gap -= usual;
      best = gap < best ? gap : best;
      sum += gap;
      hits++;
    }
  }
  timer_delete(timer);
  if (hits)
    report("timer interrupt over program code (least)", (double)best);
}

int main(void) {
  nullCall();
  clockCall();
  pageFault();
  contextSwitch();
  timerInterrupt();
  return 0;
}

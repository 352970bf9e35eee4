// A thread that never calls the kernel does not stop the others, nor itself from being signalled; each keeps its registers.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, runtime-fs, qemu, glibc-static
// RUN: gcc -O2 -static -pthread %s -o %t && %python %tools/same.py --build %build %t
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { kSpinners = 4 };
static volatile int stop;
static _Atomic long turns[kSpinners];
static __thread uint64_t mine;

/// Floating point and integers that must survive every preemption.
static void *spin(void *arg) {
  long me = (long)arg;
  mine = 0x1111 * (uint64_t)(me + 1);
  double x = (double)me + 1;
  uint64_t n = 0;
  while (!stop) {
    for (int i = 0; i < 1000; i++) {
      x = x * 1.0000001 / 1.0000001;
      n = n * 6364136223846793005ull + mine;
    }
    turns[me]++;
    if (mine != 0x1111 * (uint64_t)(me + 1) || x < (double)me + 0.5 || x > (double)me + 1.5) {
      printf("thread %ld has lost its state\n", me);
      exit(1);
    }
  }
  return (void *)(uintptr_t)(n != 0);
}

int main(void) {
  pthread_t t[kSpinners];
  for (long i = 0; i < kSpinners; i++)
    pthread_create(&t[i], NULL, spin, (void *)i);
  // Until every one of them has had its share, more than once.
  for (long i = 0; i < kSpinners; i++)
    for (int k = 0; k < 3; k++) {
      long before = turns[i];
      while (turns[i] < before + 10)
        usleep(100);
    }
  stop = 1;
  for (long i = 0; i < kSpinners; i++) {
    void *r;
    pthread_join(t[i], &r);
    printf("thread %ld ran: %d\n", i, turns[i] > 0);
  }
  pthread_t last;
  stop = 0;
  pthread_create(&last, NULL, spin, (void *)0);
  usleep(1000);
  puts("exit with a thread that spins");
  fflush(stdout);
  _exit(7);
}

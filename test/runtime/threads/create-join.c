// Threads made and joined one after another, in rings, detached, and a thousand at once; stacks and thread-local variables are each
// thread's own.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, runtime-fs, qemu, glibc-static
// RUN: gcc -O2 -static -pthread %s -o %t && %python %tools/same.py --build %build %t
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(e) ((e) ? (void)0 : (printf("line %d: %s\n", __LINE__, #e), exit(1)))

static __thread uint64_t mine = 0x5eed;
static __thread char pattern[256];

static void *addOne(void *arg) {
  CHECK(mine == 0x5eed);
  mine = (uintptr_t)arg;
  for (int i = 0; i < 256; i++)
    CHECK(pattern[i] == 0);
  for (int i = 0; i < 256; i++)
    pattern[i] = (char)(uintptr_t)arg;
  CHECK(mine == (uintptr_t)arg);
  return (void *)((uintptr_t)arg + 1);
}

static pthread_barrier_t gate;
static _Atomic int inside;
static void *meet(void *arg) {
  char stack[2000];
  for (unsigned i = 0; i < sizeof stack; i++)
    ((volatile char *)stack)[i] = (char)(uintptr_t)arg;
  mine = (uintptr_t)arg;
  inside++;
  pthread_barrier_wait(&gate);
  CHECK(mine == (uintptr_t)arg);
  for (unsigned i = 0; i < sizeof stack; i++)
    CHECK(((volatile char *)stack)[i] == (char)(uintptr_t)arg);
  return arg;
}

static sem_t done;
static void *detached(void *arg) {
  sem_post(&done);
  return arg;
}

/// Each thread makes the next and joins it.
static void *chain(void *arg) {
  uintptr_t n = (uintptr_t)arg;
  if (n == 0)
    return NULL;
  pthread_t t;
  void *r;
  CHECK(pthread_create(&t, NULL, chain, (void *)(n - 1)) == 0);
  CHECK(pthread_join(t, &r) == 0);
  return (void *)((uintptr_t)r + 1);
}

int main(void) {
  uint64_t sum = 0;
  for (uintptr_t i = 0; i < 10000; i++) {
    pthread_t t;
    void *r;
    CHECK(pthread_create(&t, NULL, addOne, (void *)i) == 0);
    CHECK(pthread_join(t, &r) == 0);
    sum += (uintptr_t)r;
  }
  printf("10000 one after another: %lu\n", (unsigned long)sum);

  enum { kAlive = 1000 };
  static pthread_t all[kAlive];
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  CHECK(pthread_attr_setstacksize(&attr, 32768) == 0);
  pthread_barrier_init(&gate, NULL, kAlive + 1);
  for (uintptr_t i = 0; i < kAlive; i++)
    CHECK(pthread_create(&all[i], &attr, meet, (void *)i) == 0);
  pthread_barrier_wait(&gate);
  printf("alive at once: %d\n", inside);
  for (uintptr_t i = 0; i < kAlive; i++) {
    void *r;
    CHECK(pthread_join(all[i], &r) == 0 && r == (void *)i);
  }

  sem_init(&done, 0, 0);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  for (int i = 0; i < 500; i++) {
    pthread_t t;
    CHECK(pthread_create(&t, &attr, detached, NULL) == 0);
    sem_wait(&done);
  }
  printf("detached: 500\n");
  printf("chain: %lu\n", (unsigned long)(uintptr_t)chain((void *)200));
  return 0;
}

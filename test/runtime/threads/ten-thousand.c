// SPDX-License-Identifier: BSD-3-Clause
//
// Ten thousand threads alive at once in 512 MiB: each has its stack and its thread-local variables, all wait for one condition, and all are
// woken, scheduled, and joined.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, runtime-fs, qemu, glibc-static, musl
// RUN: gcc -O2 -static -pthread %s -o %t && %python %tools/same.py --build %build -m 512M --only gs:1:10000,fs:2:1000 %t
// RUN: musl-gcc -O2 -static -pthread %s -o %t.musl && %python %tools/same.py --build %build -m 512M --only gs:2:10000,fs:1:1000 %t.musl
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { kThreads = 10000 };
#define CHECK(e) ((e) ? (void)0 : (printf("line %d: %s\n", __LINE__, #e), exit(1)))

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all = PTHREAD_COND_INITIALIZER, go = PTHREAD_COND_INITIALIZER;
static int alive, most, open;
static __thread uintptr_t mine;

static void *run(void *arg) {
  volatile uintptr_t here = (uintptr_t)arg;
  mine = (uintptr_t)arg * 3;
  pthread_mutex_lock(&mutex);
  if (++alive > most)
    most = alive;
  if (alive == kThreads)
    pthread_cond_signal(&all);
  while (!open)
    pthread_cond_wait(&go, &mutex);
  pthread_mutex_unlock(&mutex);
  CHECK(here == (uintptr_t)arg && mine == here * 3);
  pthread_mutex_lock(&mutex);
  alive--;
  pthread_mutex_unlock(&mutex);
  return (void *)(here + 1);
}

int main(void) {
  static pthread_t threads[kThreads];
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  CHECK(pthread_attr_setstacksize(&attr, 16384) == 0);
  for (uintptr_t i = 0; i < kThreads; i++) {
    int error = pthread_create(&threads[i], &attr, run, (void *)i);
    if (error) {
      printf("thread %lu: error %d\n", (unsigned long)i, error);
      return 1;
    }
  }
  pthread_mutex_lock(&mutex);
  while (alive < kThreads)
    pthread_cond_wait(&all, &mutex);
  open = 1;
  pthread_cond_broadcast(&go);
  pthread_mutex_unlock(&mutex);
  uintptr_t sum = 0;
  for (int i = 0; i < kThreads; i++) {
    void *result;
    CHECK(pthread_join(threads[i], &result) == 0);
    sum += (uintptr_t)result;
  }
  printf("alive at once: %d, sum %lu, left %d\n", most, (unsigned long)sum, alive);
  return 0;
}

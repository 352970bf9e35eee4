// Condition variables, read-write locks, barriers, semaphores, once: hand-over, broadcast, time-outs on both clocks.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, runtime-fs, qemu, glibc-static
// RUN: gcc -O2 -static -pthread %s -o %t && %python %tools/same.py --build %build %t
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(e) ((e) ? (void)0 : (printf("line %d: %s\n", __LINE__, #e), exit(1)))
enum { kThreads = 8 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_t threads[64];

static void start(int n, void *(*f)(void *)) {
  for (int i = 0; i < n; i++)
    CHECK(pthread_create(&threads[i], NULL, f, (void *)(uintptr_t)i) == 0);
}
static void join(int n) {
  for (int i = 0; i < n; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
}

// A token goes round: each thread waits for its turn.
static int turn, passes;
static void *pass(void *arg) {
  int me = (int)(uintptr_t)arg;
  for (int i = 0; i < 500; i++) {
    pthread_mutex_lock(&mutex);
    while (turn != me)
      pthread_cond_wait(&cond, &mutex);
    turn = (me + 1) % kThreads;
    passes++;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

// Producers and consumers over a small ring, with signal.
static int ring[4], head, count;
static pthread_cond_t notFull = PTHREAD_COND_INITIALIZER, notEmpty = PTHREAD_COND_INITIALIZER;
static long eaten;
static void *produceOrEat(void *arg) {
  int producer = (uintptr_t)arg % 2 == 0;
  for (int i = 1; i <= 2000; i++) {
    pthread_mutex_lock(&mutex);
    if (producer) {
      while (count == 4)
        pthread_cond_wait(&notFull, &mutex);
      ring[(head + count++) % 4] = i;
      pthread_cond_signal(&notEmpty);
    } else {
      while (count == 0)
        pthread_cond_wait(&notEmpty, &mutex);
      eaten += ring[head];
      head = (head + 1) % 4, count--;
      pthread_cond_signal(&notFull);
    }
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static long left, right, reads;
static void *readOrWrite(void *arg) {
  int me = (int)(uintptr_t)arg;
  for (int i = 0; i < 2000; i++) {
    if ((i + me) % 8 == 0) {
      CHECK(pthread_rwlock_wrlock(&rw) == 0);
      left++;
      if (i % 32 == 0)
        sched_yield();
      right++;
    } else {
      CHECK(pthread_rwlock_rdlock(&rw) == 0);
      CHECK(left == right);
      __atomic_fetch_add(&reads, 1, __ATOMIC_RELAXED);
    }
    CHECK(pthread_rwlock_unlock(&rw) == 0);
  }
  return NULL;
}

static pthread_barrier_t barrier;
static int leaders;
static int rounds[kThreads];
static void *rendezvous(void *arg) {
  int me = (int)(uintptr_t)arg;
  for (int i = 0; i < 300; i++) {
    rounds[me] = i;
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
      __atomic_fetch_add(&leaders, 1, __ATOMIC_RELAXED);
    for (int k = 0; k < kThreads; k++)
      CHECK(__atomic_load_n(&rounds[k], __ATOMIC_RELAXED) >= i);
    pthread_barrier_wait(&barrier);
  }
  return NULL;
}

static sem_t ping, pong;
static void *answer(void *arg) {
  for (int i = 0; i < 5000; i++) {
    sem_wait(&ping);
    sem_post(&pong);
  }
  return arg;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int initialised;
static void initialise(void) {
  sched_yield();
  initialised++;
}
static void *callOnce(void *arg) {
  pthread_once(&once, initialise);
  CHECK(initialised == 1);
  return arg;
}

static long long nanos(clockid_t c) {
  struct timespec t;
  clock_gettime(c, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}
static struct timespec at(long long n) { return (struct timespec){n / 1000000000, n % 1000000000}; }

/// A wait that nobody answers ends with ETIMEDOUT, and not before its time.
static void timeouts(clockid_t clock, const char *name) {
  pthread_condattr_t a;
  pthread_condattr_init(&a);
  pthread_condattr_setclock(&a, clock);
  pthread_cond_t c;
  pthread_cond_init(&c, &a);
  pthread_mutex_lock(&mutex);
  for (long long wait = 50000; wait <= 5000000; wait *= 10) {
    long long begin = nanos(clock);
    struct timespec t = at(begin + wait);
    int r = pthread_cond_timedwait(&c, &mutex, &t);
    CHECK(r == ETIMEDOUT);
    CHECK(nanos(clock) >= begin + wait);
  }
  struct timespec past = at(nanos(clock) / 2); // not "a second ago": a machine may be younger than that
  CHECK(pthread_cond_timedwait(&c, &mutex, &past) == ETIMEDOUT);
  struct timespec bad = {0, 1000000000};
  CHECK(pthread_cond_timedwait(&c, &mutex, &bad) == EINVAL);
  pthread_mutex_unlock(&mutex);
  printf("time-outs on %s\n", name);
}

int main(void) {
  start(kThreads, pass), join(kThreads);
  printf("passes: %d\n", passes);
  start(kThreads, produceOrEat), join(kThreads);
  printf("eaten: %ld, left over: %d\n", eaten, count);
  start(kThreads, readOrWrite), join(kThreads);
  printf("writes: %ld %ld, reads: %ld\n", left, right, reads);
  pthread_barrier_init(&barrier, NULL, kThreads);
  start(kThreads, rendezvous), join(kThreads);
  printf("barrier leaders: %d\n", leaders);
  sem_init(&ping, 0, 0), sem_init(&pong, 0, 0);
  start(1, answer);
  for (int i = 0; i < 5000; i++) {
    sem_post(&ping);
    sem_wait(&pong);
  }
  join(1);
  printf("semaphores: 5000 round trips\n");
  start(kThreads, callOnce), join(kThreads);
  printf("once: %d\n", initialised);
  timeouts(CLOCK_REALTIME, "realtime");
  timeouts(CLOCK_MONOTONIC, "monotonic");
  struct timespec soon = at(nanos(CLOCK_REALTIME) + 1000000);
  CHECK(sem_timedwait(&ping, &soon) == -1 && errno == ETIMEDOUT);
  soon = at(nanos(CLOCK_REALTIME) + 1000000);
  CHECK(pthread_rwlock_wrlock(&rw) == 0);
  CHECK(pthread_rwlock_timedrdlock(&rw, &soon) != 0);
  return 0;
}

// Mutexes of every type, uncontended for their errors and contended for exclusion; robust ones whose owner dies; priority inheritance.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, runtime-fs, qemu, glibc-static
// RUN: gcc -O2 -static -pthread %s -o %t && %python %tools/same.py --build %build %t
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(e) ((e) ? (void)0 : (printf("line %d: %s\n", __LINE__, #e), exit(1)))
#define SHOW(e) show(#e, e)
static void show(const char *what, int error) { printf("%s = %s\n", what, strerrorname_np(error)); }

static void make(pthread_mutex_t *m, int type, int protocol, int robust, int shared) {
  pthread_mutexattr_t a;
  pthread_mutexattr_init(&a);
  CHECK(pthread_mutexattr_settype(&a, type) == 0);
  CHECK(pthread_mutexattr_setprotocol(&a, protocol) == 0);
  CHECK(pthread_mutexattr_setrobust(&a, robust) == 0);
  CHECK(pthread_mutexattr_setpshared(&a, shared) == 0);
  CHECK(pthread_mutex_init(m, &a) == 0);
}

enum { kThreads = 8, kRounds = 3000 };
struct Contention {
  pthread_mutex_t mutex;
  long a, b;
};
static void *contend(void *arg) {
  struct Contention *c = arg;
  for (int i = 0; i < kRounds; i++) {
    CHECK(pthread_mutex_lock(&c->mutex) == 0);
    long v = c->a;
    c->b++;
    if (i % 64 == 0)
      sched_yield(); // give the others a chance to see the lock taken
    CHECK(c->a == v);
    c->a = v + 1;
    CHECK(pthread_mutex_unlock(&c->mutex) == 0);
  }
  return NULL;
}
static void contention(const char *name, int type, int protocol, int robust, int shared) {
  struct Contention c = {.a = 0};
  make(&c.mutex, type, protocol, robust, shared);
  pthread_t t[kThreads];
  for (int i = 0; i < kThreads; i++)
    CHECK(pthread_create(&t[i], NULL, contend, &c) == 0);
  for (int i = 0; i < kThreads; i++)
    pthread_join(t[i], NULL);
  printf("%s: %ld %ld\n", name, c.a, c.b);
  CHECK(pthread_mutex_destroy(&c.mutex) == 0);
}

static struct timespec in(long ns) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  t.tv_nsec += ns;
  t.tv_sec += t.tv_nsec / 1000000000;
  t.tv_nsec %= 1000000000;
  return t;
}

static void *tryIt(void *m) { return (void *)(intptr_t)pthread_mutex_trylock(m); }
static void *unlockIt(void *m) { return (void *)(intptr_t)pthread_mutex_unlock(m); }
static void *timedIt(void *m) {
  struct timespec t = in(2000000);
  return (void *)(intptr_t)pthread_mutex_timedlock(m, &t);
}
static void *lockAndDie(void *m) {
  CHECK(pthread_mutex_lock(m) == 0);
  return NULL;
}
static void *waitAndRepair(void *m) {
  int r = pthread_mutex_lock(m);
  if (r == EOWNERDEAD)
    CHECK(pthread_mutex_consistent(m) == 0);
  CHECK(pthread_mutex_unlock(m) == 0);
  return (void *)(intptr_t)r;
}
static int inThread(void *(*f)(void *), void *arg) {
  pthread_t t;
  void *r;
  CHECK(pthread_create(&t, NULL, f, arg) == 0);
  CHECK(pthread_join(t, &r) == 0);
  return (int)(intptr_t)r;
}

static pthread_barrier_t ready;
static void *lockMeetDie(void *m) {
  CHECK(pthread_mutex_lock(m) == 0);
  pthread_barrier_wait(&ready);
  for (int i = 0; i < 50; i++)
    sched_yield();
  return NULL;
}

static void errors(const char *name, int type, int protocol, int robust) {
  pthread_mutex_t m;
  make(&m, type, protocol, robust, PTHREAD_PROCESS_PRIVATE);
  printf("-- %s\n", name);
  SHOW(pthread_mutex_lock(&m));
  SHOW(inThread(tryIt, &m));
  SHOW(inThread(timedIt, &m));
  if (type != PTHREAD_MUTEX_NORMAL) {
    SHOW(pthread_mutex_lock(&m));
    SHOW(inThread(unlockIt, &m));
  }
  if (type == PTHREAD_MUTEX_RECURSIVE)
    SHOW(pthread_mutex_unlock(&m));
  SHOW(pthread_mutex_unlock(&m));
  SHOW(inThread(tryIt, &m) == 0 ? 0 : 1); // that thread ends owning it
  if (robust == PTHREAD_MUTEX_ROBUST) {
    SHOW(pthread_mutex_lock(&m));
    SHOW(pthread_mutex_consistent(&m));
    SHOW(pthread_mutex_unlock(&m));
    SHOW(inThread(lockAndDie, &m));
    SHOW(pthread_mutex_lock(&m));
    SHOW(pthread_mutex_unlock(&m)); // without making it consistent
    SHOW(pthread_mutex_lock(&m));
  }
}

static void ownerDiesUnderWaiters(const char *name, int protocol) {
  pthread_mutex_t m;
  make(&m, PTHREAD_MUTEX_NORMAL, protocol, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_PRIVATE);
  pthread_barrier_init(&ready, NULL, 2);
  pthread_t owner, waiter[4];
  CHECK(pthread_create(&owner, NULL, lockMeetDie, &m) == 0);
  pthread_barrier_wait(&ready);
  int dead = 0;
  for (int i = 0; i < 4; i++)
    CHECK(pthread_create(&waiter[i], NULL, waitAndRepair, &m) == 0);
  for (int i = 0; i < 4; i++) {
    void *r;
    pthread_join(waiter[i], &r);
    dead += (intptr_t)r == EOWNERDEAD;
  }
  pthread_join(owner, NULL);
  printf("%s: owner found dead %d time(s)\n", name, dead);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  const int N = PTHREAD_MUTEX_NORMAL, E = PTHREAD_MUTEX_ERRORCHECK, R = PTHREAD_MUTEX_RECURSIVE;
  const int none = PTHREAD_PRIO_NONE, inherit = PTHREAD_PRIO_INHERIT;
  const int stalled = PTHREAD_MUTEX_STALLED, robust = PTHREAD_MUTEX_ROBUST;
  errors("normal", N, none, stalled);
  errors("errorcheck", E, none, stalled);
  errors("recursive", R, none, stalled);
  errors("robust", N, none, robust);
  errors("robust errorcheck", E, none, robust);
  errors("inherit errorcheck", E, inherit, stalled);
  errors("inherit recursive", R, inherit, stalled);
  errors("inherit robust", N, inherit, robust);
  contention("normal", N, none, stalled, 0);
  contention("errorcheck", E, none, stalled, 0);
  contention("recursive", R, none, stalled, 0);
  contention("shared", N, none, stalled, 1);
  contention("robust", N, none, robust, 0);
  contention("inherit", N, inherit, stalled, 0);
  contention("inherit shared", N, inherit, stalled, 1);
  contention("inherit robust", N, inherit, robust, 0);
  ownerDiesUnderWaiters("robust", none);
  ownerDiesUnderWaiters("inherit robust", inherit);
  return 0;
}

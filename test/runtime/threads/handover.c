// Threads that wake each other in turns, in every way that has its own path in the kernel: no hand-over may be lost, whether the one
// that wakes blocks at once, is preempted before it does, or has its wake-up meet a time-out on another CPU. A lost one hangs.
// REQUIRES: osv-rewrite, osv-run, qemu, glibc-static
// RUN: gcc -O2 -static -pthread %s -o %t && %t > %t.native
// RUN: %osv-rewrite %t -o %t.img && %osv-run --timeout 120 %t.img > %t.1 && diff %t.native %t.1
// RUN: %osv-run --timeout 120 --smp 2 %t.img > %t.2 && diff %t.native %t.2
// RUN: %osv-run --timeout 120 --smp 2 --append osv.hz=10000 %t.img > %t.3 && diff %t.native %t.3
// RUN: %osv-run --timeout 120 --icount --append osv.hz=10000 %t.img > %t.4 && diff %t.native %t.4
// RUN: %osv-rewrite --tls=fs %t -o %t.fs.img && %osv-run --timeout 120 --append osv.hz=10000 %t.fs.img > %t.5 && diff %t.native %t.5
// RUN: %osv-run --timeout 120 --smp 2 --append osv.hz=10000 %t.fs.img > %t.6 && diff %t.native %t.6
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CHECK(e) ((e) ? (void)0 : (printf("line %d: %s\n", __LINE__, #e), exit(1)))

static __thread unsigned mine; // each thread's own, and so a check of its thread pointer
static double fpMine(double x) { return x * 1.5 + 0.25; }

static long futex(uint32_t *word, int op, uint32_t value, const struct timespec *timeout) {
  return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

static pthread_t start(void *(*fn)(void *), uintptr_t arg) {
  pthread_t t;
  CHECK(pthread_create(&t, NULL, fn, (void *)arg) == 0);
  return t;
}

// ---- Pairs that take turns on a word.

enum { kPairs = 3, kTurns = 4000 };
static uint32_t turn[kPairs];

static void *takeTurns(void *arg) {
  unsigned pair = (uintptr_t)arg / 2, me = (uintptr_t)arg % 2;
  double sum = 0, expected = 0;
  mine = 0;
  for (int i = 0; i < kTurns; i++) {
    uint32_t now;
    while ((now = __atomic_load_n(&turn[pair], __ATOMIC_SEQ_CST)) != me)
      if (futex(&turn[pair], FUTEX_WAIT, now, NULL) < 0)
        CHECK(errno == EAGAIN || errno == EINTR);
    sum = fpMine(sum + (double)me);
    mine++;
    __atomic_store_n(&turn[pair], !me, __ATOMIC_SEQ_CST);
    CHECK(futex(&turn[pair], FUTEX_WAKE, 1, NULL) <= 1);
    if (sum > 1e9)
      sum = 0;
  }
  for (int i = 0; i < kTurns; i++)
    if ((expected = fpMine(expected + (double)me)) > 1e9)
      expected = 0;
  CHECK(sum == expected);
  CHECK(mine == kTurns);
  return NULL;
}

// ---- A ring of pipes; every second thread waits in poll.

enum { kRing = 5, kRounds = 1500 };
static int ring[kRing][2];

static void *passOn(void *arg) {
  unsigned me = (uintptr_t)arg;
  for (uint32_t i = 0; i < kRounds; i++) {
    uint32_t token;
    if (me % 2) {
      struct pollfd p = {ring[me][0], POLLIN, 0};
      CHECK(poll(&p, 1, -1) == 1 && p.revents == POLLIN);
    }
    CHECK(read(ring[me][0], &token, sizeof token) == sizeof token);
    CHECK(token == i * kRing + me);
    token++;
    if (token < kRounds * kRing)
      CHECK(write(ring[(me + 1) % kRing][1], &token, sizeof token) == sizeof token);
  }
  return NULL;
}

// ---- Tokens for waiters that give up all the time.

enum { kTokens = 6000, kConsumers = 3 };
static uint32_t tokens, consumed;

static void *consume(void *arg) {
  struct timespec patience = {0, 1000 + 7000 * (long)(uintptr_t)arg};
  while (__atomic_load_n(&consumed, __ATOMIC_SEQ_CST) < kTokens) {
    uint32_t n = __atomic_load_n(&tokens, __ATOMIC_SEQ_CST);
    if (n == 0) {
      if (futex(&tokens, FUTEX_WAIT, 0, &patience) < 0)
        CHECK(errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT);
    } else if (__atomic_compare_exchange_n(&tokens, &n, n - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
      __atomic_fetch_add(&consumed, 1, __ATOMIC_SEQ_CST);
    }
  }
  return NULL;
}

// ---- A mutex and a condition, more threads than CPUs.

enum { kWorkers = 4, kSteps = 1500 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned step;

static void *work(void *arg) {
  unsigned me = (uintptr_t)arg;
  pthread_mutex_lock(&mutex);
  while (step < kSteps) {
    if (step % kWorkers == me) {
      step++;
      pthread_cond_broadcast(&changed);
    } else {
      pthread_cond_wait(&changed, &mutex);
    }
  }
  pthread_mutex_unlock(&mutex);
  return NULL;
}

int main(void) {
  pthread_t t[16];
  for (unsigned i = 0; i < 2 * kPairs; i++)
    t[i] = start(takeTurns, i);
  for (unsigned i = 0; i < 2 * kPairs; i++)
    pthread_join(t[i], NULL);
  printf("%d pairs took %d turns each\n", kPairs, kTurns);

  for (unsigned i = 0; i < kRing; i++)
    CHECK(pipe(ring[i]) == 0);
  for (unsigned i = 0; i < kRing; i++)
    t[i] = start(passOn, i);
  uint32_t first = 0;
  CHECK(write(ring[0][1], &first, sizeof first) == sizeof first);
  for (unsigned i = 0; i < kRing; i++)
    pthread_join(t[i], NULL);
  printf("%d rounds of %d pipes\n", kRounds, kRing);

  for (unsigned i = 0; i < kConsumers; i++)
    t[i] = start(consume, i);
  for (unsigned i = 0; i < kTokens; i++) {
    __atomic_fetch_add(&tokens, 1, __ATOMIC_SEQ_CST);
    futex(&tokens, FUTEX_WAKE, 1, NULL);
    if (i % 64 == 0)
      sched_yield();
  }
  for (unsigned i = 0; i < kConsumers; i++)
    pthread_join(t[i], NULL);
  printf("%u of %d tokens\n", consumed, kTokens);

  for (unsigned i = 0; i < kWorkers; i++)
    t[i] = start(work, i);
  for (unsigned i = 0; i < kWorkers; i++)
    pthread_join(t[i], NULL);
  printf("step %u\n", step);
  return 0;
}

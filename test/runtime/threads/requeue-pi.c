// SPDX-License-Identifier: BSD-3-Clause
//
// FUTEX_WAIT_REQUEUE_PI and FUTEX_CMP_REQUEUE_PI: their errors, and a condition variable made of them whose waiters get a priority-inheritance
// lock one after another.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, runtime-fs, qemu, glibc-static
// RUN: gcc -O2 -static -pthread %s -o %t && %python %tools/same.py --build %build %t
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CHECK(e) ((e) ? (void)0 : (printf("line %d: %s (%s)\n", __LINE__, #e, strerrorname_np(errno)), exit(1)))
static void show(const char *what, long r) {
  if (r < 0)
    printf("%s = %s\n", what, strerrorname_np(errno));
  else
    printf("%s = %ld\n", what, r);
}
#define SHOW(e) show(#e, e)

enum { P = FUTEX_PRIVATE_FLAG, kThreads = 8, kRounds = 300 };
static uint32_t cond, lock, other;
static __thread uint32_t tid;

static long futex(void *word, int op, uint32_t val, const void *timeout, void *word2, uint32_t val3) {
  return syscall(SYS_futex, word, op | P, val, timeout, word2, val3);
}
static void acquire(void) {
  uint32_t free = 0;
  if (!__atomic_compare_exchange_n(&lock, &free, tid, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    CHECK(futex(&lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0) == 0);
}
static void release(void) {
  uint32_t mine = tid;
  if (!__atomic_compare_exchange_n(&lock, &mine, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    CHECK(futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0);
}

/// Like pthread_cond_wait: lock held before and after.
static long waitFor(const struct timespec *until) {
  uint32_t now = __atomic_load_n(&cond, __ATOMIC_SEQ_CST);
  release();
  long r = futex(&cond, FUTEX_WAIT_REQUEUE_PI, now, until, &lock, 0);
  int error = errno;
  if (r < 0)
    acquire();
  CHECK((lock & FUTEX_TID_MASK) == tid);
  errno = error;
  return r;
}
static void signalAll(int n) {
  uint32_t now = __atomic_add_fetch(&cond, 1, __ATOMIC_SEQ_CST);
  while (futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)(intptr_t)n, &lock, now) < 0)
    CHECK(errno == EAGAIN);
}

static int turn, done;
static long inside;
static void *passing(void *arg) {
  int me = (int)(intptr_t)arg;
  tid = (uint32_t)syscall(SYS_gettid);
  for (int i = 0; i < kRounds; i++) {
    acquire();
    while (turn != me)
      CHECK(waitFor(NULL) == 0 || errno == EAGAIN);
    inside++;
    turn = (turn + 1) % kThreads;
    signalAll(kThreads); // with the lock held: all of them are moved
    release();
  }
  return NULL;
}

static int waiting;
static void *waiter(void *arg) {
  tid = (uint32_t)syscall(SYS_gettid);
  acquire();
  waiting++;
  long r = waitFor(NULL);
  waiting--;
  done++;
  release();
  return (void *)(intptr_t)(r == 0 ? 0 : errno);
}
static void startWaiters(pthread_t *t, int n) {
  for (int i = 0; i < n; i++)
    CHECK(pthread_create(&t[i], NULL, waiter, NULL) == 0);
}
/// Returns when n waiters have been past the lock, and one sleeps: a plain wake-up is EINVAL then.
static void untilAsleep(int n) {
  for (int there = 0; there < n; sched_yield()) {
    acquire();
    there = waiting;
    release();
  }
  while (futex(&cond, FUTEX_WAKE, 1, NULL, NULL, 0) == 0)
    sched_yield();
  CHECK(errno == EINVAL);
}

static void ignore(int signo) {}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  tid = (uint32_t)syscall(SYS_gettid);
  printf("-- errors\n");
  SHOW(futex(&cond, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &cond, 0));
  SHOW(futex(&cond, FUTEX_WAIT_REQUEUE_PI, 1, NULL, &lock, 0));
  SHOW(futex((char *)&cond + 1, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &lock, 0));
  SHOW(futex(&cond, FUTEX_WAIT_REQUEUE_PI, 0, NULL, (char *)&lock + 2, 0));
  struct timespec bad = {0, 1000000000}, past = {0, 1};
  SHOW(futex(&cond, FUTEX_WAIT_REQUEUE_PI, 0, &bad, &lock, 0));
  SHOW(futex(&cond, FUTEX_WAIT_REQUEUE_PI, 0, &past, &lock, 0));
  SHOW(futex(&cond, FUTEX_WAIT_REQUEUE_PI | FUTEX_CLOCK_REALTIME, 0, &past, &lock, 0));
  SHOW(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &cond, 0));
  SHOW(futex(&cond, FUTEX_CMP_REQUEUE_PI, 2, (void *)1, &lock, 0));
  SHOW(futex(&cond, FUTEX_CMP_REQUEUE_PI, 0, (void *)1, &lock, 0));
  SHOW(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)-1ul, &lock, 0));
  SHOW(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &lock, 7));
  SHOW(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &lock, 0));
  SHOW(futex(&cond, FUTEX_CMP_REQUEUE_PI | FUTEX_CLOCK_REALTIME, 1, (void *)1, &lock, 0));

  printf("-- one waiter, lock free\n");
  pthread_t t[kThreads];
  void *r;
  startWaiters(t, 1);
  untilAsleep(1);
  SHOW(futex(&cond, FUTEX_REQUEUE, 1, (void *)1, &other, 0));
  SHOW(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &other, 0));
  SHOW(futex(&cond, FUTEX_WAKE, 1, NULL, NULL, 0));
  SHOW(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)0, &lock, 0));
  pthread_join(t[0], &r);
  printf("result %ld, lock %u\n", (long)(intptr_t)r, lock);

  printf("-- four waiters, lock held\n");
  startWaiters(t, 4);
  untilAsleep(4);
  acquire();
  for (long moved = 0, n; moved < 4; moved += n) { // as they fall asleep
    n = futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &lock, 0);
    CHECK(n >= 0 && n <= 2);
    CHECK(moved + n == 0 || lock == (tid | FUTEX_WAITERS));
    sched_yield();
  }
  SHOW(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)INT32_MAX, &lock, 0));
  done = 0;
  release();
  for (int i = 0; i < 4; i++) {
    pthread_join(t[i], &r);
    printf("result %ld\n", (long)(intptr_t)r);
  }
  printf("lock %u, done %d\n", lock, done);

  printf("-- nobody owns it\n");
  startWaiters(t, 1);
  untilAsleep(1);
  lock = 0x3fffffff; // no such thread
  SHOW(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &lock, 0));
  lock = 0;
  SHOW(futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &lock, 0));
  pthread_join(t[0], &r);

  printf("-- signals and time-outs\n");
  sigaction(SIGUSR1, &(struct sigaction){.sa_handler = ignore}, NULL);
  startWaiters(t, 1);
  untilAsleep(1);
  for (int i = 0; i < 20; i++)
    pthread_kill(t[0], SIGUSR1); // before it is moved: goes on waiting
  acquire();
  long moved;
  while ((moved = futex(&cond, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &lock, 0)) == 0)
    sched_yield(); // it was in a handler
  SHOW(moved);
  pthread_kill(t[0], SIGUSR1); // afterwards: EAGAIN, and then it takes the lock as everybody does
  for (int i = 0; i < 1000; i++)
    sched_yield();
  release();
  pthread_join(t[0], &r);
  printf("result %s\n", (intptr_t)r == EAGAIN || r == NULL ? "0 or EAGAIN" : "wrong");
  acquire();
  struct timespec soon;
  clock_gettime(CLOCK_MONOTONIC, &soon);
  soon.tv_nsec += 2000000;
  if (soon.tv_nsec >= 1000000000)
    soon.tv_nsec -= 1000000000, soon.tv_sec++;
  SHOW(waitFor(&soon));
  release();

  printf("-- round and round\n");
  for (intptr_t i = 0; i < kThreads; i++)
    CHECK(pthread_create(&t[i], NULL, passing, (void *)i) == 0);
  for (int i = 0; i < kThreads; i++)
    pthread_join(t[i], NULL);
  printf("inside %ld, lock %u\n", inside, lock);
  return 0;
}

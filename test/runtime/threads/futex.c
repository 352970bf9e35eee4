// futex(2) and futex_waitv(2) without a library between: results and errors of every operation, and the wake-ups they make.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, runtime-fs, qemu, glibc-static
// RUN: gcc -O2 -static -pthread %s -o %t && %python %tools/same.py --build %build %t
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CHECK(e) ((e) ? (void)0 : (printf("line %d: %s\n", __LINE__, #e), exit(1)))
static void show(const char *what, long r) {
  if (r < 0)
    printf("%s = %s\n", what, strerrorname_np(errno));
  else
    printf("%s = %ld\n", what, r);
}
#define SHOW(e) show(#e, e)

static long futex(void *word, int op, uint32_t val, const void *timeout, void *word2, uint32_t val3) {
  return syscall(SYS_futex, word, op, val, timeout, word2, val3);
}

static uint32_t a, b;
static uint32_t waiting; ///< threads that are about to wait
static int op_;
static uint32_t bits_;

static void *waitOnA(void *arg) {
  __atomic_fetch_add(&waiting, 1, __ATOMIC_SEQ_CST);
  long r;
  do
    r = futex(&a, op_, 0, NULL, NULL, bits_);
  while (r < 0 && errno == EINTR);
  return (void *)(r < 0 ? (long)-errno : r);
}

/// Starts `n` waiters and returns when all of them sleep: moving them to `b` and back counts them.
static pthread_t threads[16];
static void startWaiters(int n, int op, uint32_t bits) {
  a = b = 0, waiting = 0, op_ = op, bits_ = bits;
  for (int i = 0; i < n; i++)
    CHECK(pthread_create(&threads[i], NULL, waitOnA, NULL) == 0);
  int private = op & FUTEX_PRIVATE_FLAG;
  for (int there = 0; there < n;) {
    sched_yield();
    there = (int)futex(&a, FUTEX_REQUEUE | private, 0, (void *)(intptr_t)100, &b, 0);
    CHECK(futex(&b, FUTEX_REQUEUE | private, 0, (void *)(intptr_t)100, &a, 0) == there);
  }
}
static int joinWaiters(int n) {
  int ok = 0;
  for (int i = 0; i < n; i++) {
    void *r;
    pthread_join(threads[i], &r);
    ok += r == NULL;
  }
  return ok;
}

static long long now(clockid_t c) {
  struct timespec t;
  clock_gettime(c, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}
static struct timespec span(long long n) { return (struct timespec){n / 1000000000, n % 1000000000}; }

static void errors(void) {
  printf("-- errors\n");
  uint32_t *readOnly = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page + 4096, 4096);
  struct timespec bad = {0, 1000000000}, negative = {-1, 0}, zero = {0, 0};
  a = 7;
  SHOW(futex(&a, FUTEX_WAIT, 6, NULL, NULL, 0));
  SHOW(futex(&a, FUTEX_WAIT_PRIVATE, 7, &zero, NULL, 0));
  SHOW(futex(&a, FUTEX_WAIT, 7, &bad, NULL, 0));
  SHOW(futex(&a, FUTEX_WAIT, 7, &negative, NULL, 0));
  SHOW(futex(&a, FUTEX_WAIT, 7, (void *)8, NULL, 0));
  SHOW(futex(&a, FUTEX_WAIT_BITSET, 7, NULL, NULL, 0));
  SHOW(futex(&a, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
  SHOW(futex((char *)&a + 1, FUTEX_WAIT, 7, NULL, NULL, 0));
  SHOW(futex((char *)&a + 2, FUTEX_WAKE, 1, NULL, NULL, 0));
  SHOW(futex(NULL, FUTEX_WAIT, 0, NULL, NULL, 0));
  SHOW(futex(NULL, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
  SHOW(futex(page + 4096, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
  SHOW(futex(page + 4096, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
  SHOW(futex((void *)0xffffffffffff0000, FUTEX_WAIT, 0, NULL, NULL, 0));
  SHOW(futex((void *)0xffff800000000000, FUTEX_WAKE, 1, NULL, NULL, 0));
  SHOW(futex((void *)0x800000000000, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
  SHOW(futex(readOnly, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0));
  SHOW(futex(readOnly, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  SHOW(futex(&a, FUTEX_WAKE_OP, 1, (void *)1, readOnly, FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0)));
  SHOW(futex(&a, FUTEX_WAKE_OP, 1, (void *)1, &b, 6u << 28));
  SHOW(futex(&a, FUTEX_CMP_REQUEUE, 1, (void *)1, &b, 8));
  SHOW(futex(&a, FUTEX_CMP_REQUEUE, 1, (void *)1, &b, 7));
  SHOW(futex(&a, FUTEX_CMP_REQUEUE, -1, (void *)1, &b, 7));
  SHOW(futex(&a, FUTEX_REQUEUE, 1, (void *)-1l, &b, 7));
  SHOW(futex(&a, FUTEX_FD, 1, NULL, NULL, 0));
  SHOW(futex(&a, 99, 1, NULL, NULL, 0));
  SHOW(futex(&a, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));
  SHOW(futex(&a, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 7, NULL, NULL, 0));
  munmap(page, 4096);
  munmap(readOnly, 4096);
}

static void wakes(int flag) {
  printf("-- wake, %s\n", flag ? "private" : "shared");
  startWaiters(4, FUTEX_WAIT_BITSET | flag, ~0u);
  SHOW(futex(&a, FUTEX_WAKE | flag, 1, NULL, NULL, 0));
  SHOW(futex(&a, FUTEX_WAKE | flag, 2, NULL, NULL, 0));
  SHOW(futex(&a, FUTEX_WAKE | flag, INT32_MAX, NULL, NULL, 0));
  SHOW(futex(&a, FUTEX_WAKE | flag, INT32_MAX, NULL, NULL, 0));
  SHOW(joinWaiters(4));
  startWaiters(4, FUTEX_WAIT_BITSET | flag, 6);
  SHOW(futex(&a, FUTEX_WAKE_BITSET | flag, 9, NULL, NULL, 1));
  SHOW(futex(&a, FUTEX_WAKE_BITSET | flag, 1, NULL, NULL, 2));
  SHOW(futex(&a, FUTEX_WAKE_BITSET | flag, 9, NULL, NULL, 12));
  SHOW(joinWaiters(4));
  startWaiters(5, FUTEX_WAIT | flag, 0);
  SHOW(futex(&a, FUTEX_CMP_REQUEUE | flag, 1, (void *)2, &b, 0));
  SHOW(futex(&a, FUTEX_WAKE | flag, 9, NULL, NULL, 0));
  SHOW(futex(&b, FUTEX_WAKE | flag, 9, NULL, NULL, 0));
  SHOW(joinWaiters(5));
  startWaiters(3, FUTEX_WAIT | flag, 0);
  b = 5;
  SHOW(futex(&b, FUTEX_WAKE_OP | flag, 1, (void *)2, &a, FUTEX_OP(FUTEX_OP_OR, 8, FUTEX_OP_CMP_EQ, 1)));
  SHOW((long)a);
  SHOW(futex(&b, FUTEX_WAKE_OP | flag, 1, (void *)2, &a, FUTEX_OP(FUTEX_OP_ADD, -1, FUTEX_OP_CMP_GE, 8)));
  SHOW((long)a);
  SHOW(futex(&a, FUTEX_WAKE_OP | flag, 1, (void *)2, &b, FUTEX_OP(FUTEX_OP_SET, 3, FUTEX_OP_CMP_NE, 5)));
  SHOW((long)b);
  SHOW(joinWaiters(3));
}

static void timeouts(void) {
  printf("-- time-outs\n");
  a = 0;
  struct timespec t = span(2000000);
  long long begin = now(CLOCK_MONOTONIC);
  SHOW(futex(&a, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0));
  CHECK(now(CLOCK_MONOTONIC) >= begin + 2000000);
  begin = now(CLOCK_MONOTONIC) + 3000000;
  t = span(begin);
  SHOW(futex(&a, FUTEX_WAIT_BITSET_PRIVATE, 0, &t, NULL, 1));
  CHECK(now(CLOCK_MONOTONIC) >= begin);
  begin = now(CLOCK_REALTIME) + 3000000;
  t = span(begin);
  SHOW(futex(&a, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &t, NULL, 1));
  CHECK(now(CLOCK_REALTIME) >= begin);
  t = span(1);
  SHOW(futex(&a, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &t, NULL, 1));
}

static void priorityInheritance(void) {
  printf("-- priority inheritance\n");
  uint32_t me = (uint32_t)syscall(SYS_gettid);
  a = 0;
  SHOW(futex(&a, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
  CHECK((a & FUTEX_TID_MASK) == me);
  SHOW(futex(&a, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
  SHOW(futex(&a, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
  SHOW(futex(&a, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
  SHOW((long)a);
  SHOW(futex(&a, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
  a = 0x3fffff00; // nobody's
  SHOW(futex(&a, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
  a = FUTEX_OWNER_DIED;
  SHOW(futex(&a, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
  CHECK(a == (me | FUTEX_OWNER_DIED));
}

struct Shared {
  uint32_t word;
} *one, *two;
static void *waitShared(void *arg) { return (void *)futex(&one->word, FUTEX_WAIT, 0, NULL, NULL, 0); }

/// One page mapped twice is one futex.
static void aliases(void) {
  printf("-- two mappings of one page\n");
  int fd = memfd_create("futex", 0);
  CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
  one = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  two = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(one != MAP_FAILED && two != MAP_FAILED);
  pthread_t t;
  CHECK(pthread_create(&t, NULL, waitShared, NULL) == 0);
  while (futex(&two->word, FUTEX_WAKE, 1, NULL, NULL, 0) == 0)
    sched_yield();
  void *r;
  pthread_join(t, &r);
  printf("woken: %ld\n", (long)r);
}

static struct futex_waitv vec[3];
static uint32_t words[3];
static void *waitVector(void *arg) { return (void *)syscall(SYS_futex_waitv, vec, 3, 0, NULL, CLOCK_MONOTONIC); }
static void vectors(void) {
  printf("-- futex_waitv\n");
  for (int i = 0; i < 3; i++)
    vec[i] = (struct futex_waitv){.uaddr = (uintptr_t)&words[i], .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG};
  for (int i = 0; i < 3; i++) {
    pthread_t t;
    CHECK(pthread_create(&t, NULL, waitVector, NULL) == 0);
    while (futex(&words[i], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0)
      sched_yield();
    void *r;
    pthread_join(t, &r);
    printf("woken at %ld\n", (long)r);
  }
  words[1] = 1;
  SHOW(syscall(SYS_futex_waitv, vec, 3, 0, NULL, CLOCK_MONOTONIC));
  words[1] = 0;
  struct timespec t = span(now(CLOCK_MONOTONIC) + 1000000);
  SHOW(syscall(SYS_futex_waitv, vec, 3, 0, &t, CLOCK_MONOTONIC));
  SHOW(syscall(SYS_futex_waitv, vec, 3, 0, &t, CLOCK_BOOTTIME));
  SHOW(syscall(SYS_futex_waitv, vec, 3, 1, &t, CLOCK_MONOTONIC));
  SHOW(syscall(SYS_futex_waitv, vec, 0, 0, &t, CLOCK_MONOTONIC));
  SHOW(syscall(SYS_futex_waitv, vec, 129, 0, &t, CLOCK_MONOTONIC));
  SHOW(syscall(SYS_futex_waitv, NULL, 3, 0, &t, CLOCK_MONOTONIC));
  SHOW(syscall(SYS_futex_waitv, (void *)8, 3, 0, &t, CLOCK_MONOTONIC));
  vec[2].__reserved = 1;
  SHOW(syscall(SYS_futex_waitv, vec, 3, 0, &t, CLOCK_MONOTONIC));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  errors();
  wakes(0);
  wakes(FUTEX_PRIVATE_FLAG);
  timeouts();
  priorityInheritance();
  aliases();
  vectors();
  return 0;
}

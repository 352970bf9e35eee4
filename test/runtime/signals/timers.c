// SPDX-License-Identifier: BSD-3-Clause
//
// Clocks and timers: POSIX, interval, timerfd, CPU time, the vDSO against the system call; natively and in the image.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, qemu, glibc-static
// RUN: gcc -static -O1 -w -pthread -o %t %s && %t > %t.native
// RUN: %osv-rewrite %t -o %t.img && %osv-run %t.img > %t.gs && diff %t.native %t.gs
// RUN: %osv-rewrite --tls=fs %t -o %t.fs.img && %osv-run --smp 2 %t.fs.img > %t.fs && diff %t.native %t.fs
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static volatile int count, lastValue;
static void onSignal(int signo, siginfo_t *info, void *uc) {
  count++;
  lastValue = info->si_value.sival_int;
}
static void handle(int signo) {
  struct sigaction a = {.sa_sigaction = onSignal, .sa_flags = SA_SIGINFO};
  sigaction(signo, &a, 0);
}
static int64_t nanos(struct timespec t) { return t.tv_sec * 1000000000ll + t.tv_nsec; }
static int64_t read_(clockid_t c) {
  struct timespec t = {};
  clock_gettime(c, &t);
  return nanos(t);
}
static int64_t ask(clockid_t c) {
  struct timespec t = {};
  syscall(SYS_clock_gettime, c, &t);
  return nanos(t);
}

static void clocks(void) {
  printf("vDSO: %d\n", getauxval(AT_SYSINFO_EHDR) != 0);
  for (int c = 0; c < 12; c++) {
    if (c == CLOCK_REALTIME_ALARM || c == CLOCK_BOOTTIME_ALARM)
      continue; // Linux has them only where there is a wake-up clock
    struct timespec t, r;
    int got = clock_gettime(c, &t), res = clock_getres(c, &r);
    printf("clock %d: %d %d resolution %ld\n", c, got, res, res ? 0 : r.tv_nsec);
  }
  int wrong = 0;
  for (int i = 0; i < 10000; i++) { // the two ways to ask are one clock
    int64_t a = read_(CLOCK_MONOTONIC), b = ask(CLOCK_MONOTONIC), c = read_(CLOCK_MONOTONIC);
    int64_t d = read_(CLOCK_REALTIME), e = ask(CLOCK_REALTIME), f = read_(CLOCK_REALTIME);
    wrong += a > b || b > c || d > e || e > f;
  }
  printf("out of order: %d\n", wrong);
  struct timespec t;
  errno = 0;
  int r = clock_gettime(77, &t);
  printf("bad clocks: %d %d", r, errno);
  r = clock_gettime(~(99999 << 3) | 6, &t);
  printf(" %d %d\n", r, errno);
  clockid_t mine;
  pthread_getcpuclockid(pthread_self(), &mine);
  int64_t thread = read_(mine), process = read_(CLOCK_PROCESS_CPUTIME_ID);
  printf("CPU clocks: %d\n", thread > 0 && process >= thread);
  struct timeval tv;
  gettimeofday(&tv, 0);
  printf("time: %d\n", time(0) - tv.tv_sec <= 1);
}

/// What a timer that is set to nothing, with an interval, says.
static void intervals(void) {
  int which[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
  for (int i = 0; i < 3; i++) {
    struct itimerval it = {{10, 20}, {0, 0}}, old;
    setitimer(which[i], &it, 0);
    setitimer(which[i], &(struct itimerval){}, &old);
    printf("itimer %d: %ld.%06ld\n", i, old.it_interval.tv_sec, old.it_interval.tv_usec);
  }
  clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME}; // for CPU time it depends on Linux's version
  for (int i = 0; i < 2; i++) {
    timer_t id;
    timer_create(clocks[i], 0, &id);
    struct itimerspec it = {{10, 20}, {0, 0}}, old;
    timer_settime(id, 0, &it, 0);
    timer_settime(id, 0, &(struct itimerspec){}, &old);
    printf("timer %d: %ld.%09ld\n", i, old.it_interval.tv_sec, old.it_interval.tv_nsec);
    timer_delete(id);
  }
}

static void sleeps(void) {
  int64_t before = read_(CLOCK_MONOTONIC);
  usleep(20000);
  int64_t slept = read_(CLOCK_MONOTONIC) - before;
  printf("slept: %d\n", slept >= 20000000);
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  t.tv_nsec += 10000000;
  t.tv_sec += t.tv_nsec / 1000000000;
  t.tv_nsec %= 1000000000;
  printf("until a time of day: %d", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, 0));
  printf(" %d\n", read_(CLOCK_REALTIME) >= nanos(t));
  struct timespec bad = {0, 1000000000}, past = {0, 1};
  printf("bad: %d, past: %d, own CPU time: %d\n", clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, 0),
         clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, 0),
         clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &past, 0));
}

static void posixTimers(void) {
  timer_t id;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 42};
  struct itimerspec its = {{0, 5000000}, {0, 5000000}}, now;
  handle(SIGRTMIN);
  count = 0;
  timer_create(CLOCK_MONOTONIC, &event, &id);
  timer_settime(id, 0, &its, 0);
  while (count < 3)
    pause();
  timer_gettime(id, &now);
  printf("timer: value %d interval %ld left %d\n", lastValue, now.it_interval.tv_nsec,
         nanos(now.it_value) > 0 && nanos(now.it_value) <= 5000000);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, 0);
  usleep(60000);
  siginfo_t info;
  sigwaitinfo(&set, &info);
  printf("overrun: %d, same %d, code %d\n", info.si_overrun >= 8, timer_getoverrun(id) == info.si_overrun,
         info.si_code);
  timer_delete(id);
  struct timespec zero = {};
  while (sigtimedwait(&set, 0, &zero) > 0)
    ;
  sigprocmask(SIG_UNBLOCK, &set, 0);
  errno = 0;
  printf("deleted: %d", timer_gettime(id, &now));
  printf(" %d\n", errno);
}

static void intervalTimers(void) {
  struct itimerval every10ms = {{0, 10000}, {0, 10000}}, off = {}, was;
  handle(SIGALRM);
  handle(SIGPROF);
  count = 0;
  setitimer(ITIMER_REAL, &every10ms, 0);
  while (count < 5)
    pause();
  setitimer(ITIMER_REAL, &off, &was);
  printf("interval: %ld\n", (long)was.it_interval.tv_usec);
  count = 0;
  setitimer(ITIMER_PROF, &every10ms, 0);
  while (count < 3)
    ;
  setitimer(ITIMER_PROF, &off, 0);
  alarm(100);
  int left = alarm(0), none = alarm(0);
  printf("alarm: %d %d\n", left, none);
}

static void descriptors(void) {
  int fd = timerfd_create(CLOCK_MONOTONIC, 0);
  struct itimerspec its = {{0, 10000000}, {0, 10000000}}, now;
  uint64_t ticks = 0;
  timerfd_settime(fd, 0, &its, 0);
  usleep(55000);
  int r = read(fd, &ticks, 8);
  printf("timerfd: %d %d", r, ticks >= 5);
  r = read(fd, &ticks, 8);
  printf(", next %d %d", r, ticks >= 1);
  timerfd_gettime(fd, &now);
  printf(", left %d\n", nanos(now.it_value) > 0 && nanos(now.it_value) <= 10000000);
  errno = 0;
  printf("short read: %zd", read(fd, &ticks, 7));
  printf(" %d\n", errno);
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  clocks();
  intervals();
  sleeps();
  posixTimers();
  intervalTimers();
  descriptors();
  puts("done");
}

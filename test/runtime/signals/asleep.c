// SPDX-License-Identifier: BSD-3-Clause
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, runtime-fs, glibc-static
// RUN: gcc -O2 -static -pthread %s -o %t
// RUN: %t 20 | FileCheck %s
// RUN: %osv-rewrite --tls=gs %t -o %t-gs.img
// RUN: %osv-rewrite --tls=fs %t -o %t-fs.img
// RUN: %osv-run %t-gs.img --icount --timeout 120 -- 2500 | FileCheck %s
// RUN: %osv-run %t-fs.img --icount --timeout 120 -- 2500 | FileCheck %s
// RUN: %osv-run %t-gs.img --smp 2 --timeout 120 -- 300 | FileCheck %s
// CHECK:      sigsuspend: [[N:[0-9]+]] signals
// CHECK-NEXT: ppoll: [[N]] signals
// CHECK-NEXT: pselect: [[N]] signals
// CHECK-NEXT: epoll_pwait: [[N]] signals
// CHECK-NEXT: sigwaitinfo: [[N]] signals
// CHECK-NEXT: signalfd: [[N]] signals
// CHECK-NEXT: read: [[N]] signals
// CHECK-NEXT: timerfd: [[N]] ends
//
// A thread that goes to sleep never misses what comes meanwhile: a one-shot timer is armed to go off n nanoseconds later, for every n of a
// range that covers the call that waits, and under `osv-run --icount` one nanosecond is one instruction. Whatever it is that is
// missed, the thread sleeps for ever.
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static volatile int signals;
static timer_t timer;
static sigset_t none, alarmSet;
static int epollFd, signalFd, timerFd, pipeFds[2];

static void onAlarm(int signo) {
  signals++;
  write(pipeFds[1], "x", 1);
}

static void arm(long nanos) {
  struct itimerspec when = {.it_value = {0, nanos}};
  if (timer_settime(timer, 0, &when, NULL))
    abort();
}

static void inSigsuspend(void) { sigsuspend(&none); }
static void inPpoll(void) { ppoll(NULL, 0, NULL, &none); }
static void inPselect(void) { pselect(0, NULL, NULL, NULL, NULL, &none); }
static void inEpoll(void) {
  struct epoll_event event;
  epoll_pwait(epollFd, &event, 1, -1, &none);
}
static void inSigwaitinfo(void) {
  siginfo_t info;
  signals += sigwaitinfo(&alarmSet, &info) == SIGALRM;
}
static void inSignalfd(void) {
  struct signalfd_siginfo info;
  signals += read(signalFd, &info, sizeof info) == sizeof info;
}
// The handler makes the pipe readable, whether it runs before the read or interrupts it.
static void inRead(void) {
  char c;
  sigprocmask(SIG_UNBLOCK, &alarmSet, NULL);
  read(pipeFds[0], &c, 1);
  sigprocmask(SIG_BLOCK, &alarmSet, NULL);
}

int main(int argc, char **argv) {
  long most = argc > 1 ? atol(argv[1]) : 100;
  static const struct {
    const char *name;
    void (*wait)(void);
  } kWays[] = {
      {"sigsuspend", inSigsuspend},   {"ppoll", inPpoll},       {"pselect", inPselect}, {"epoll_pwait", inEpoll},
      {"sigwaitinfo", inSigwaitinfo}, {"signalfd", inSignalfd}, {"read", inRead}};
  setvbuf(stdout, NULL, _IOLBF, 0);
  sigemptyset(&none);
  sigemptyset(&alarmSet);
  sigaddset(&alarmSet, SIGALRM);
  sigprocmask(SIG_BLOCK, &alarmSet, NULL);
  struct sigaction action = {.sa_handler = onAlarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  epollFd = epoll_create1(0);
  signalFd = signalfd(-1, &alarmSet, 0);
  timerFd = timerfd_create(CLOCK_MONOTONIC, 0);
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) || epollFd < 0 || signalFd < 0 || timerFd < 0 || pipe(pipeFds))
    abort();
  for (int w = 0; w < (int)(sizeof kWays / sizeof kWays[0]); w++) {
    signals = 0;
    for (long n = 1; n <= most; n++) {
      arm(n);
      kWays[w].wait();
      if (signals != n) {
        printf("%s, %ld ns: %d signals\n", kWays[w].name, n, signals);
        return 1;
      }
      if (kWays[w].wait != inRead && kWays[w].wait != inSigwaitinfo &&
          kWays[w].wait != inSignalfd) { // the handler's byte
        char c;
        read(pipeFds[0], &c, 1);
      }
    }
    printf("%s: %d signals\n", kWays[w].name, signals);
  }
  long ends = 0;
  for (long n = 1; n <= most; n++) {
    struct itimerspec when = {.it_value = {0, n}};
    unsigned long count;
    timerfd_settime(timerFd, 0, &when, NULL);
    if (read(timerFd, &count, 8) == 8)
      ends += count;
  }
  printf("timerfd: %ld ends\n", ends);
  return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
//
// What a kernel costs its program, in guest instructions: for machines where the time-stamp counter counts instructions
// (`osv-run --icount`, QEMU's `-icount shift=0`: one instruction is one nanosecond is one tick). The same file runs in
// an image, on Linux in a virtual machine (where it is /init and switches the machine off), and natively, where the
// figures are cycles and mean nothing.
//
// Each figure is the least of kBatches batches, so that a timer tick or a refilled free list in one of them does not
// count; within a batch everything counts. Where an empty loop costs as much as one instruction in fifty, its cost is
// subtracted. One line a figure: value, target (0: none), name, with tabs between. utils/bench/kernel/run makes the
// table.
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { kBatches = 7, kRounds = 500, kPage = 4096, kStack = 8 << 20 };

static inline uint64_t ticks(void) {
  uint32_t lo, hi;
  __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi)::"memory");
  return ((uint64_t)hi << 32) | lo;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}
#define CHECK(condition) ((condition) ? (void)0 : fail(#condition))

/// The least time of a batch of kRounds calls of `body`, for one call.
#define LEAST(body)                                                                                                    \
  ({                                                                                                                   \
    uint64_t least = ~0ull;                                                                                            \
    for (int batch = 0; batch < kBatches; batch++) {                                                                   \
      uint64_t start = ticks();                                                                                        \
      for (int round = 0; round < kRounds; round++) {                                                                  \
        body;                                                                                                          \
      }                                                                                                                \
      uint64_t spent = ticks() - start;                                                                                \
      least = spent < least ? spent : least;                                                                           \
    }                                                                                                                  \
    (double)least / kRounds;                                                                                           \
  })

/// `target`: what the project has set itself (docs/performance.md), 0 for what is only watched.
static void report(int target, const char *what, double n) { printf("%.1f\t%d\t%s\n", n, target, what); }

// ---- One thread

static double nullCallCost;

/// The instruction that loads the number is in both loops: what is left is `syscall` and the kernel.
static void nullCall(void) {
  double empty = LEAST(__asm__ volatile("movl $110, %%eax" :: : "rax", "rcx", "r11", "memory"));
  double full = LEAST(__asm__ volatile("movl $110, %%eax; syscall" :: : "rax", "rcx", "r11", "memory"));
  nullCallCost = full - empty;
  report(24, "null system call (getppid)", nullCallCost);
}

static void clockCall(void) {
  struct timespec ts;
  double empty = LEAST(__asm__ volatile("" :: : "memory"));
  report(40, "clock_gettime through the vDSO, libc's call included",
         LEAST(clock_gettime(CLOCK_MONOTONIC, &ts)) - empty);
}

static char *anonymous(size_t size, int protection) {
  char *p = mmap(0, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED);
  return p;
}

/// No large pages: the cost of one page of 4 KiB is wanted.
static void pageFault(void) {
  size_t size = (size_t)kBatches * kRounds * kPage;
  char *p = anonymous(size + 2 * kPage, PROT_READ | PROT_WRITE);
  madvise(p, size + 2 * kPage, MADV_NOHUGEPAGE);
  *(volatile char *)p = 1;
  report(1000, "anonymous page fault, 4 KiB (clearing it is 512)", LEAST(*(volatile char *)(p += kPage) = 1));
}

static void mapUnmap(void) {
  report(1200, "mmap + munmap, one page, not touched", LEAST({
           char *p = anonymous(kPage, PROT_READ | PROT_WRITE);
           munmap(p, kPage);
         }));
  report(0, "mmap + write + munmap, one page", LEAST({
           char *p = anonymous(kPage, PROT_READ | PROT_WRITE);
           *(volatile char *)p = 1;
           munmap(p, kPage);
         }));
  report(0, "a thread's stack: mmap 8 MiB, mprotect, munmap", LEAST({
           char *p = anonymous(kStack + kPage, PROT_NONE);
           mprotect(p + kPage, kStack, PROT_READ | PROT_WRITE);
           munmap(p, kStack + kPage);
         }));
}

static volatile int handled;
static void onSignal(int signo) { handled += signo == SIGUSR1; }
static void onSignalInfo(int signo, siginfo_t *info, void *context) {
  handled += signo == SIGUSR1 && info->si_signo == signo && context;
}

static void signals(void) {
  long pid = getpid(), tid = syscall(SYS_gettid);
  struct sigaction action = {.sa_handler = onSignal};
  CHECK(sigaction(SIGUSR1, &action, 0) == 0);
  double cost = LEAST(syscall(SYS_tgkill, pid, tid, SIGUSR1)) - nullCallCost;
  CHECK(handled == kBatches * kRounds);
  report(900, "tgkill to self, handler, rt_sigreturn; less a null call", cost);

  action.sa_sigaction = onSignalInfo;
  action.sa_flags = SA_SIGINFO;
  CHECK(sigaction(SIGUSR1, &action, 0) == 0);
  report(0, "libc's raise, handler with siginfo, return", LEAST(raise(SIGUSR1)));
  CHECK(handled == 2 * kBatches * kRounds);
}

static void pipeSelf(void) {
  int fds[2];
  char byte = 0;
  CHECK(pipe(fds) == 0);
  report(500, "pipe write + read, 1 byte, same thread", LEAST({
           CHECK(write(fds[1], &byte, 1) == 1);
           CHECK(read(fds[0], &byte, 1) == 1);
         }));
  close(fds[0]), close(fds[1]);
}

static void epollSelf(void) {
  int event = eventfd(0, EFD_NONBLOCK), poll = epoll_create1(0);
  struct epoll_event interest = {.events = EPOLLIN}, got;
  CHECK(event >= 0 && poll >= 0 && epoll_ctl(poll, EPOLL_CTL_ADD, event, &interest) == 0);
  uint64_t value = 1;
  report(0, "eventfd write + epoll_wait + read, same thread", LEAST({
           CHECK(write(event, &value, 8) == 8);
           CHECK(epoll_wait(poll, &got, 1, -1) == 1);
           CHECK(read(event, &value, 8) == 8);
         }));
  close(event), close(poll);
}

/// What a sleep takes beyond the time that was asked for: going to idle, the interrupt, waking.
static void sleepOverhead(void) {
  const struct timespec time = {.tv_nsec = 100000};
  prctl(PR_SET_TIMERSLACK, 1);
  report(0, "nanosleep of 100 us, beyond the 100 us", LEAST(CHECK(nanosleep(&time, 0) == 0)) - 100000);
}

// ---- Two threads

static pthread_t spawn(void *(*body)(void *), void *argument) {
  pthread_t thread;
  CHECK(pthread_create(&thread, 0, body, argument) == 0);
  return thread;
}

static void *returns(void *argument) { return argument; }
static void createJoin(void) {
  report(8000, "thread create + join (pthread, cached stack)", LEAST(pthread_join(spawn(returns, 0), 0)));
}

static volatile bool stop;
static volatile int running, switches; ///< who ran last, and how often that changed
static void yieldAs(int me) {
  sched_yield();
  if (running != me) {
    running = me;
    switches++;
  }
}
static void *yields(void *unused) {
  while (!stop)
    yieldAs(1);
  return unused;
}
/// Linux's fair scheduler does not switch at each call: only those that did are counted, with the time of all.
static void yieldSwitch(void) {
  stop = false;
  pthread_t other = spawn(yields, 0);
  double calls = LEAST(yieldAs(0));
  report(0, "sched_yield, for each switch to another thread", calls * kBatches * kRounds / switches);
  stop = true;
  pthread_join(other, 0);
}

/// One word a direction; a side sets the other's word and wakes it, then waits for its own.
static uint32_t turns[2];
static void await(int side) {
  while (!__atomic_load_n(&turns[side], __ATOMIC_ACQUIRE))
    syscall(SYS_futex, &turns[side], FUTEX_WAIT_PRIVATE, 0, 0);
  __atomic_store_n(&turns[side], 0, __ATOMIC_RELAXED);
}
static void handOver(int side) {
  __atomic_store_n(&turns[side], 1, __ATOMIC_RELEASE);
  syscall(SYS_futex, &turns[side], FUTEX_WAKE_PRIVATE, 1);
}
static void *answers(void *unused) {
  for (int i = 0; i < kBatches * kRounds; i++) {
    await(1);
    handOver(0);
  }
  return unused;
}
static void futexHandOver(void) {
  pthread_t other = spawn(answers, 0);
  report(500, "futex hand-over between two threads, one way", LEAST({
                                                                handOver(1);
                                                                await(0);
                                                              }) / 2);
  pthread_join(other, 0);
}

static int there[2], back[2];
static void *echoes(void *unused) {
  char byte;
  while (read(there[0], &byte, 1) == 1)
    CHECK(write(back[1], &byte, 1) == 1);
  return unused;
}
static void pipePingPong(void) {
  char byte = 0;
  CHECK(pipe(there) == 0 && pipe(back) == 0);
  pthread_t other = spawn(echoes, 0);
  report(1500, "pipe ping-pong between two threads, round trip", LEAST({
           CHECK(write(there[1], &byte, 1) == 1);
           CHECK(read(back[0], &byte, 1) == 1);
         }));
  close(there[1]);
  pthread_join(other, 0);
}

static uint64_t await64(int fd) {
  uint64_t value;
  CHECK(read(fd, &value, 8) == 8);
  return value;
}
static int asks, replies;
static void *epollAnswers(void *unused) {
  const uint64_t one = 1;
  while (await64(asks) == 1)
    CHECK(write(replies, &one, 8) == 8);
  return unused;
}
/// As a server waits: epoll_wait sleeps until the other thread has answered.
static void epollRoundTrip(void) {
  asks = eventfd(0, 0), replies = eventfd(0, 0);
  int poll = epoll_create1(0);
  struct epoll_event interest = {.events = EPOLLIN}, got;
  CHECK(asks >= 0 && replies >= 0 && poll >= 0 && epoll_ctl(poll, EPOLL_CTL_ADD, replies, &interest) == 0);
  pthread_t other = spawn(epollAnswers, 0);
  const uint64_t one = 1, end = 2;
  report(0, "eventfd and epoll_wait to another thread and back", LEAST({
           CHECK(write(asks, &one, 8) == 8);
           CHECK(epoll_wait(poll, &got, 1, -1) == 1);
           await64(replies);
         }));
  CHECK(write(asks, &end, 8) == 8);
  pthread_join(other, 0);
}

int main(int argc, char **argv) {
  setvbuf(stdout, 0, _IOLBF, 0);
  nullCall();
  clockCall();
  pageFault();
  mapUnmap();
  signals();
  pipeSelf();
  epollSelf();
  sleepOverhead();
  yieldSwitch();
  futexHandOver();
  pipePingPong();
  epollRoundTrip();
  createJoin();
  if (argc > 1 && strcmp(argv[1], "poweroff") == 0) { // as /init there is nothing to return to
    fflush(stdout);
    reboot(RB_AUTOBOOT);
  }
  return 0;
}

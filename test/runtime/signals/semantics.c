// SPDX-License-Identifier: BSD-3-Clause
//
// Queues, masks, stacks, restarts, register and FP state across handlers, signalfd, and the errors of the calls, natively and in
// the image.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, qemu, glibc-static
// RUN: gcc -static -O1 -w -pthread -o %t %s && %t > %t.native
// RUN: %osv-rewrite %t -o %t.img && %osv-run %t.img > %t.gs && diff %t.native %t.gs
// RUN: %osv-rewrite --tls=fs %t -o %t.fs.img && %osv-run --smp 2 %t.fs.img > %t.fs && diff %t.native %t.fs
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static void handle(int signo, void *handler, int flags) {
  struct sigaction a = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
  sigaction(signo, &a, 0);
}
static sigset_t setOf(int a, int b) {
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, a);
  if (b)
    sigaddset(&s, b);
  return s;
}

static volatile int count;
static int order[64], values[64];
static void record(int signo, siginfo_t *info, void *uc) {
  order[count] = signo;
  values[count++] = info->si_value.sival_int;
}
static void nop(int signo, siginfo_t *info, void *uc) { count++; }

static void queues(void) {
  sigset_t all, old, pending, one = setOf(SIGRTMIN + 1, 0);
  sigemptyset(&all);
  for (int s = SIGRTMIN; s < SIGRTMIN + 4; s++) {
    sigaddset(&all, s);
    handle(s, record, 0);
  }
  sigaddset(&all, SIGUSR1);
  handle(SIGUSR1, record, 0);
  sigprocmask(SIG_BLOCK, &all, &old);
  for (int k = 0; k < 3; k++)
    for (int s = SIGRTMIN + 3; s >= SIGRTMIN; s--)
      sigqueue(getpid(), s, (union sigval){.sival_int = k});
  for (int k = 0; k < 3; k++)
    kill(getpid(), SIGUSR1);
  sigpending(&pending);
  printf("pending: USR1 %d RT %d USR2 %d\n", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGRTMIN),
         sigismember(&pending, SIGUSR2));
  siginfo_t info;
  struct timespec zero = {}, ms20 = {0, 20000000};
  int r = sigtimedwait(&one, &info, &zero);
  printf("taken: RT+%d value %d code %d\n", r - SIGRTMIN, info.si_value.sival_int, info.si_code);
  sigprocmask(SIG_SETMASK, &old, 0);
  for (int i = 0; i < count; i++)
    printf("(%d %d) ", order[i], values[i]);
  sigset_t usr2 = setOf(SIGUSR2, 0);
  r = sigtimedwait(&usr2, &info, &ms20);
  printf("\n%d delivered; time-out: %d %s\n", count, r, strerror(errno));
}

static void onAltStack(int signo, siginfo_t *info, void *uc) {
  stack_t now;
  sigaltstack(0, &now);
  int again = sigaltstack(&now, 0), error = errno;
  printf("in the handler: flags %d size %zu, set again %d %s, ucontext's flags %d\n", now.ss_flags, now.ss_size, again,
         strerror(error), ((ucontext_t *)uc)->uc_stack.ss_flags);
}
static void stacks(void) {
  stack_t s = {.ss_sp = malloc(65536), .ss_size = 65536}, now;
  sigaltstack(&s, 0);
  handle(SIGUSR2, onAltStack, SA_ONSTACK);
  raise(SIGUSR2);
  sigaltstack(0, &now);
  printf("after: flags %d\n", now.ss_flags);
  s.ss_size = 100;
  int r = sigaltstack(&s, 0);
  printf("too small: %d %s\n", r, strerror(errno));
  s.ss_flags = 77;
  r = sigaltstack(&s, 0);
  printf("bad flags: %d %s\n", r, strerror(errno));
}

static void clobber(int signo, siginfo_t *info, void *uc) {
  unsigned short control;
  unsigned long flags;
  asm volatile("fnstcw %0; pushfq; popq %1" : "=m"(control), "=r"(flags));
  printf("handler starts with control word %x, DF %d\n", control, !!(flags & 0x400));
  asm volatile("pxor %%xmm5, %%xmm5; pxor %%xmm15, %%xmm15; fninit; fldz" ::: "xmm5", "xmm15");
}
static void registers(void) {
  handle(SIGUSR1, clobber, 0);
  double in[2] = {1.5, -2.25}, out[2], x87;
  unsigned long flags, r15;
  asm volatile(
      "movupd %4, %%xmm5; movupd %4, %%xmm15; fldl %4; mov $0x1234567, %%r15d\n"
      "mov $39, %%eax; syscall; mov %%eax, %%ebx; mov $186, %%eax; syscall; mov %%eax, %%esi; mov %%ebx, %%edi\n"
      "mov $10, %%edx; std; stc; mov $234, %%eax; syscall\n" // tgkill(self, SIGUSR1) with DF and CF set
      "pushfq; cld; popq %2; movupd %%xmm15, %0; fstpl %1; mov %%r15, %3"
      : "=m"(out), "=m"(x87), "=&r"(flags), "=&r"(r15)
      : "m"(in)
      : "rax", "rbx", "rcx", "r11", "rdi", "rsi", "rdx", "r15", "xmm5", "xmm15", "memory");
  printf("after: %g %g %g flags %lx r15 %lx\n", out[0], out[1], x87, flags & 0x401, r15);
}

static int fds[2];
static pthread_t mainThread;
static volatile int stop;
/// Sends signals, one a millisecond, until told to stop: one of them comes while the other thread sleeps.
static void *disturb(void *unused) {
  while (!stop) {
    pthread_kill(mainThread, SIGUSR2);
    usleep(1000);
  }
  return 0;
}
/// The same, 50 times; then ends the sleep by something to read.
static void *disturbAndWrite(void *unused) {
  for (int i = 0; i < 50; i++) {
    pthread_kill(mainThread, SIGUSR2);
    usleep(1000);
  }
  write(fds[1], "hello", 5);
  return 0;
}
static void restarts(void) {
  char buf[8];
  pthread_t t;
  int r, error;
  mainThread = pthread_self();
  pipe(fds);
  count = stop = 0;
  handle(SIGUSR2, nop, 0);
  pthread_create(&t, 0, disturb, 0);
  r = read(fds[0], buf, 8);
  error = errno;
  printf("read: %d %s, handled %d\n", r, strerror(error), count > 0);
  struct timespec request = {100, 0}, left = {0, 0};
  r = nanosleep(&request, &left);
  error = errno;
  printf("nanosleep: %d %s, left %d\n", r, strerror(error), left.tv_sec > 0 && left.tv_sec <= 100);
  stop = 1;
  pthread_join(t, 0);
  handle(SIGUSR2, nop, SA_RESTART);
  count = 0;
  pthread_create(&t, 0, disturbAndWrite, 0);
  r = read(fds[0], buf, 8);
  printf("read restarted: %d, handled %d\n", r, count > 0);
  pthread_join(t, 0);
  signal(SIGUSR2, SIG_IGN);
  pthread_create(&t, 0, disturbAndWrite, 0);
  r = read(fds[0], buf, 8);
  printf("read past an ignored signal: %d\n", r);
  pthread_join(t, 0);
}

static void suspend(void) {
  sigset_t none, alarm = setOf(SIGALRM, 0), now;
  sigemptyset(&none);
  handle(SIGALRM, nop, 0);
  count = 0;
  sigprocmask(SIG_BLOCK, &alarm, 0);
  setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, 30000}}, 0);
  int r = sigsuspend(&none);
  printf("sigsuspend: %d %s, %d handled", r, strerror(errno), count);
  sigprocmask(SIG_SETMASK, 0, &now);
  printf(", blocked again %d\n", sigismember(&now, SIGALRM));
  sigprocmask(SIG_UNBLOCK, &alarm, 0);
}

static void descriptors(void) {
  sigset_t set = setOf(SIGUSR1, SIGRTMIN + 2);
  struct signalfd_siginfo s;
  sigprocmask(SIG_BLOCK, &set, 0);
  int fd = signalfd(-1, &set, SFD_NONBLOCK);
  int r = read(fd, &s, sizeof s);
  printf("signalfd empty: %d %s\n", r, strerror(errno));
  kill(getpid(), SIGUSR1);
  sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 9});
  r = read(fd, &s, sizeof s);
  printf("signalfd: %d signal %u code %d from me %d\n", r, s.ssi_signo, s.ssi_code, s.ssi_pid == getpid());
  r = read(fd, &s, sizeof s);
  printf("signalfd: %d RT+%d value %d\n", r, s.ssi_signo - SIGRTMIN, s.ssi_int);
  sigprocmask(SIG_UNBLOCK, &set, 0);
}

/// Of a siginfo that a program makes up, Linux keeps 48 bytes; what follows must be zero when it does not know the code.
static void madeUp(void) {
  sigset_t s = setOf(SIGUSR2, SIGRTMIN + 3);
  sigprocmask(SIG_BLOCK, &s, 0);
  const int codes[] = {SI_QUEUE, SI_TKILL, SI_ASYNCNL, -8, -100, 1, 6, 7, SI_KERNEL, 0x81};
  const int signals[] = {SIGUSR2, SIGRTMIN + 3, SIGSYS, SIGILL};
  for (unsigned c = 0; c < sizeof codes / sizeof *codes; c++)
    for (unsigned n = 0; n < sizeof signals / sizeof *signals; n++)
      for (int offset = 40; offset <= 120; offset += 8) {
        union {
          siginfo_t info;
          unsigned char bytes[128];
        } u = {}, got = {};
        sigset_t one = setOf(signals[n], 0), old;
        sigprocmask(SIG_BLOCK, &one, &old);
        u.info.si_code = codes[c];
        memset(u.bytes + offset, 0xa5, 8);
        errno = 0;
        long r = syscall(SYS_rt_sigqueueinfo, getpid(), signals[n], &u);
        int e = errno;
        if (r == 0)
          sigwaitinfo(&one, &got.info);
        int kept = 0;
        for (int i = 0; i < 128; i++)
          kept += got.bytes[i] == 0xa5;
        printf("siginfo code %d of %d, byte %d: %ld %d, kept %d\n", codes[c], signals[n], offset, r, r ? e : 0, kept);
        sigprocmask(SIG_SETMASK, &old, 0);
      }
  sigprocmask(SIG_UNBLOCK, &s, 0);
}

static void *killById(void *arg) {
  printf("kill by the id of a thread: %d, of a group that is a thread's: %d\n", kill(gettid(), 0), kill(-gettid(), 0));
  return 0;
}

static void errors(void) {
  pthread_t thread;
  pthread_create(&thread, 0, killById, 0);
  pthread_join(thread, 0);

  long ignore[4] = {1};
#define SAY(call)                                                                                                      \
  do {                                                                                                                 \
    errno = 0;                                                                                                         \
    long r = (call);                                                                                                   \
    printf("%s: %ld %d\n", #call, r, errno);                                                                           \
  } while (0)
  SAY(kill(getpid(), 0));
  SAY(kill(getpid(), 65));
  SAY(kill(INT_MAX - 1, 0));
  SAY(syscall(SYS_tgkill, getpid(), INT_MAX - 1, 0));
  SAY(syscall(SYS_tgkill, getpid(), 0, 0));
  SAY(syscall(SYS_tkill, -1, 0));
  SAY(syscall(SYS_rt_sigaction, SIGKILL, ignore, 0, 8));
  SAY(syscall(SYS_rt_sigaction, SIGUSR1, ignore, 0, 4));
  SAY(syscall(SYS_rt_sigaction, 65, 0, ignore, 8));
  SAY(syscall(SYS_rt_sigaction, SIGUSR1, 8, 0, 8));
  SAY(syscall(SYS_rt_sigprocmask, 77, ignore, 0, 8));
  SAY(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, 8, 8));
  SAY(syscall(SYS_rt_sigpending, ignore, 16));
  SAY(syscall(SYS_rt_sigtimedwait, 0, 0, 0, 8));
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  queues();
  madeUp();
  stacks();
  registers();
  restarts();
  suspend();
  descriptors();
  errors();
  puts("done");
}

// SPDX-License-Identifier: BSD-3-Clause
// RLIMIT_AS and RLIMIT_STACK: what no longer fits, and what still does, natively and in the image.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, qemu, glibc-static
// RUN: gcc -static -O1 -w -o %t %s && %t > %t.native
// RUN: %osv-rewrite %t -o %t.img && %osv-run -m 256M %t.img > %t.guest
// RUN: diff %t.native %t.guest
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define SAY(call)                                                                                                      \
  do {                                                                                                                 \
    errno = 0;                                                                                                         \
    long r_ = (long)(call);                                                                                            \
    printf("%s: %s\n", #call, r_ == -1 ? strerrorname_np(errno) : "done");                                             \
  } while (0)

enum { kMega = 1 << 20 };

static size_t mapped(void) {
  size_t pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  fscanf(f, "%zu", &pages);
  fclose(f);
  return pages * 4096;
}
static void setLimit(int which, size_t bytes) {
  struct rlimit l = {bytes, RLIM_INFINITY};
  if (setrlimit(which, &l) != 0)
    perror("setrlimit");
}
static void *map(size_t n, int prot) { return mmap(0, n, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

static sigjmp_buf out;
static char alternate[65536];
static void onFault(int signo) { siglongjmp(out, signo); }

static int __attribute__((noinline)) deep(size_t left) {
  volatile char frame[4096];
  frame[0] = (char)left;
  return left <= sizeof frame ? frame[0] : deep(left - sizeof frame) + frame[0];
}
static void dive(size_t bytes) {
  int signo = sigsetjmp(out, 1);
  if (signo == 0)
    deep(bytes);
  printf("%zu MiB of stack: %s\n", bytes / kMega, signo ? strsignal(signo) : "there");
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  mapped(); // stdio's buffers
  struct rlimit before;
  getrlimit(RLIMIT_AS, &before);
  setLimit(RLIMIT_AS, mapped() + 10 * kMega);
  void *blocks[20];
  int n = 0;
  while (n < 20 && (blocks[n] = map(kMega, n % 2 ? PROT_NONE : PROT_READ | PROT_WRITE)) != MAP_FAILED)
    n++;
  printf("%d of 20 blocks: %s\n", n, strerrorname_np(errno));
  SAY(mremap(blocks[0], kMega, 2 * kMega, MREMAP_MAYMOVE));
  SAY(mmap(blocks[1], kMega, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
           0)); // in the place of the same size
  SAY(sbrk(2 * kMega));
  munmap(blocks[2], kMega);
  SAY(map(kMega, PROT_READ));
  SAY(map(4096 * 16, PROT_READ));
  munmap(blocks[3], kMega);
  SAY(sbrk(kMega / 2));
  setLimit(RLIMIT_AS, before.rlim_cur);
  SAY(map(20 * kMega, PROT_READ));

  stack_t s = {.ss_sp = alternate, .ss_size = sizeof alternate};
  sigaltstack(&s, 0);
  sigaction(SIGSEGV, &(struct sigaction){.sa_handler = onFault, .sa_flags = SA_ONSTACK}, 0);
  setLimit(RLIMIT_STACK, kMega);
  dive(2 * kMega);
  setLimit(RLIMIT_STACK, 8 * kMega);
  dive(6 * kMega);
  dive(12 * kMega);
  setLimit(RLIMIT_STACK, 64 * kMega);
  dive(40 * kMega);
  return 0;
}

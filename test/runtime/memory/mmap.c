// SPDX-License-Identifier: BSD-3-Clause
//
// The mmap family as the program sees it: errors, what faults say, shared and private memory, growing stacks, brk,
// EFAULT from system calls; natively and in the image.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, qemu, glibc-static
// RUN: gcc -static -O1 -w -o %t %s && %t > %t.native
// RUN: %osv-rewrite %t -o %t.img && %osv-run %t.img > %t.gs && diff %t.native %t.gs
// RUN: %osv-rewrite --tls=fs %t -o %t.fs.img && %osv-run %t.fs.img > %t.fs && diff %t.native %t.fs
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static sigjmp_buf jb;
static volatile int sig, code;
static void *volatile where;
static void handler(int s, siginfo_t *i, void *c) {
  sig = s;
  code = i->si_code;
  where = i->si_addr;
  siglongjmp(jb, 1);
}
static const char *try_write(volatile char *p) {
  static char out[64];
  sig = 0;
  if (!sigsetjmp(jb, 1)) {
    *p = 1;
    return "ok";
  }
  snprintf(out, sizeof out, "sig %d code %d %s", sig, code, where == (void *)p ? "here" : "elsewhere");
  return out;
}
static const char *try_read(volatile char *p) {
  static char out[64];
  sig = 0;
  if (!sigsetjmp(jb, 1)) {
    snprintf(out, sizeof out, "%d", *p);
    return out;
  }
  snprintf(out, sizeof out, "sig %d code %d", sig, code);
  return out;
}
#define E(x)                                                                                                           \
  do {                                                                                                                 \
    errno = 0;                                                                                                         \
    long r = (long)(x);                                                                                                \
    printf("%-60s %s %s\n", #x, r == -1 ? "-1" : "ok", r == -1 ? strerrorname_np(errno) : "");                         \
  } while (0)
int main() {
  struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &sa, 0);
  sigaction(SIGBUS, &sa, 0);
  setvbuf(stdout, 0, _IOFBF, 65536);
  char *p = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  printf("%s %s\n", try_read(p + 5), try_write(p + 5));
  E(mprotect(p, 4096, PROT_READ));
  printf("%s\n", try_write(p));
  printf("%s\n", try_read(p + 5));
  E(mprotect(p, 4096, PROT_NONE));
  printf("%s\n", try_read(p));
  E(mprotect(p, 4096, PROT_READ | PROT_WRITE));
  printf("%s\n", try_read(p + 5));
  E(munmap(p + 8192, 4096));
  printf("%s\n", try_read(p + 8192));
  printf("null %s\n", try_write(0));
  printf("low %s\n", try_write((char *)0x1000));
  E(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  E(mmap(0, 4096, PROT_READ, MAP_PRIVATE, 99, 0));
  E(mmap((void *)0x12345, 4096, 3, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  E(mmap(p, 4096, 3, MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  E(munmap(p + 1, 1));
  E(munmap(p, 0));
  E(mprotect(p, 1 << 20, PROT_READ));
  E(mremap(p, 4096, 0, 0));
  E(madvise(p, 4096, 77));
  E(madvise(p + 1, 4096, MADV_DONTNEED));
  E(mlock(p, 4096));
  E(madvise(p, 4096, MADV_DONTNEED));
  E(munlock(p, 4096));
  E(madvise(p, 4096, MADV_DONTNEED));
  unsigned char v[4];
  E(mincore(p, 8192, v));
  printf("%d %d\n", v[0] & 1, v[1] & 1);
  E(mincore(p, 1 << 20, (void *)1));
  E(msync(p, 4096, 99));
  char *s = mmap(0, 8192, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  s[0] = 42;
  char *s2 = mremap(s, 0, 8192, MREMAP_MAYMOVE);
  printf("dup %d\n", s2[0]);
  char *q = mmap(0, 65536, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(q, 7, 65536);
  q = mremap(q, 65536, 1 << 22, MREMAP_MAYMOVE);
  printf("moved %d %d\n", q[65535], q[65536]);
  int z = open("/dev/null", O_RDWR);
  E(write(z, (void *)8, 4));
  int pf[2];
  pipe(pf);
  E(write(pf[1], p + 8192, 16));
  E(read(pf[0], p, 0));
  E(write(pf[1], (void *)-1, 1));
  char *g = mmap((void *)0x200000000, 16384, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
  printf("grow %s\n", try_write(g - 100));
  printf("%s\n", try_write(g - (64 << 20)));
  void *b = sbrk(0);
  E(brk((char *)b + 100000));
  memset(b, 1, 100000);
  E(brk(b));
  printf("after %s\n", try_read((char *)b + 90000));
  char path[] = "/tmp/osv-mmap-XXXXXX";
  int fd = mkstemp(path);
  unlink(path);
  E(fd < 0 ? -1 : 0);
  E(ftruncate(fd, 5000));
  char *f = mmap(0, 16384, 3, MAP_SHARED, fd, 0);
  E(f == MAP_FAILED ? -1 : 0);
  if (f != MAP_FAILED) {
    f[10] = 'x';
    char c;
    pread(fd, &c, 1, 10);
    printf("file %c\n", c);
    pwrite(fd, "y", 1, 11);
    printf("%c %s\n", f[11], try_read(f + 8192));
    char *pr = mmap(0, 4096, 3, MAP_PRIVATE, fd, 0);
    pr[10] = 'z';
    pread(fd, &c, 1, 10);
    printf("%c\n", c);
    E(ftruncate(fd, 100));
    printf("%s\n", try_read(f + 4096));
  }
  char *big = mmap(0, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  E(big == MAP_FAILED ? -1 : 0);
  E(mprotect(big, 1 << 20, 3));
  big[100] = 1;
  E(munmap(big, 64 << 20));
  E(mmap(0, 1ul << 45, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  E(mmap(0, 1ul << 47, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  char *x = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(x, "\xb8\x2a\0\0\0\xc3", 6);
  printf("exec %d\n", ((int (*)(void))x)());
  E(mprotect(x, 4096, 3));
  if (!sigsetjmp(jb, 1))
    ((int (*)(void))x)();
  else
    printf("nx %d %d\n", sig, code);
  puts("done");
  return 0;
}

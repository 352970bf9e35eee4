// SPDX-License-Identifier: BSD-3-Clause
//
// Pipes, eventfd, epoll, poll, select, devices: what the calls give, natively and in the image.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, qemu, glibc-static
// RUN: gcc -static -O1 -w -o %t %s -pthread
// RUN: %t > %t.native
// RUN: %osv-rewrite %t -o %t.img
// RUN: %osv-run %t.img > %t.guest
// RUN: diff %t.native %t.guest
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define NUM(call)                                                                                                      \
  do {                                                                                                                 \
    errno = 0;                                                                                                         \
    long r_ = (long)(call);                                                                                            \
    printf("%s = %ld %s\n", #call, r_, r_ < 0 ? strerrorname_np(errno) : "");                                          \
  } while (0)

static char big[200000];
static int sigpipes;
static void onPipe(int s) { sigpipes++; }

static void *writer(void *arg) {
  int fd = *(int *)arg;
  for (int i = 0; i < 1000; i++) {
    char line[64];
    int n = snprintf(line, sizeof line, "line %d of the writer\n", i);
    if (write(fd, line, n) != n)
      abort();
  }
  close(fd);
  return 0;
}
static void *bigWriter(void *arg) {
  printf("big write %ld\n", (long)write(*(int *)arg, big, sizeof big));
  close(*(int *)arg);
  return 0;
}
static void *signaller(void *arg) {
  uint64_t one = 1;
  write(*(int *)arg, &one, 8);
  return 0;
}

static void showEvents(int ep, int timeout) {
  struct epoll_event e[8];
  int n = epoll_wait(ep, e, 8, timeout);
  printf("epoll %d:", n);
  for (int i = 0; i < n; i++)
    printf(" %lu:%x", (unsigned long)e[i].data.u64, e[i].events);
  printf("\n");
}
static int add(int ep, int op, int fd, uint32_t events, uint64_t data) {
  struct epoll_event e = {.events = events, .data.u64 = data};
  return epoll_ctl(ep, op, fd, &e);
}

int main(void) {
  setvbuf(stdout, 0, _IOFBF, 1 << 16);
  char buf[4096];
  int p[2];
  signal(SIGPIPE, onPipe);
  closefrom(3); // what the test's runner has left open

  // Pipes
  NUM(pipe2(p, O_NONBLOCK));
  NUM(read(p[0], buf, 10));
  NUM(write(p[1], big, sizeof big));
  NUM(write(p[1], "x", 1));
  int n = 0;
  ioctl(p[0], FIONREAD, &n);
  printf("FIONREAD %d\n", n);
  NUM(read(p[0], big, 100));
  NUM(write(p[1], big, 4096));
  NUM(read(p[0], big, 65536));
  NUM(write(p[1], big, 0));
  NUM(read(p[0], big, 0));
  NUM(read(p[1], buf, 1));
  NUM(write(p[0], buf, 1));
  NUM(lseek(p[0], 0, SEEK_CUR));
  NUM(pread(p[0], buf, 1, 0));
  NUM(ftruncate(p[1], 0));
  NUM(fsync(p[0]));
  NUM(fcntl(p[0], F_GETPIPE_SZ));
  NUM(fcntl(p[0], F_SETPIPE_SZ, 5000));
  NUM(fcntl(p[0], F_GETPIPE_SZ));
  printf("%o %o\n", fcntl(p[0], F_GETFL), fcntl(p[1], F_GETFL));
  NUM(write(p[1], (void *)8, 10));
  NUM(write(p[1], "abc", 3));
  NUM(read(p[0], (void *)8, 10));
  NUM(read(p[0], buf, 10));
  struct stat s;
  fstat(p[0], &s);
  printf("mode %o\n", s.st_mode);
  close(p[0]);
  NUM(write(p[1], "x", 1));
  printf("sigpipes %d\n", sigpipes);
  close(p[1]);
  NUM(pipe2(p, 0x40000000));
  NUM(pipe2((int *)8, 0));

  // Blocking, between threads
  pthread_t t;
  pipe(p);
  pthread_create(&t, 0, writer, &p[1]);
  long total = 0, sum = 0;
  while ((n = read(p[0], buf, 777)) > 0)
    for (int i = 0; i < n; i++, total++)
      sum = sum * 31 + buf[i];
  pthread_join(t, 0);
  close(p[0]);
  printf("%ld bytes, %lx\n", total, sum);
  for (int i = 0; i < sizeof big; i++)
    big[i] = i * 7;
  pipe(p);
  pthread_create(&t, 0, bigWriter, &p[1]);
  total = sum = 0;
  while ((n = read(p[0], buf, sizeof buf)) > 0)
    for (int i = 0; i < n; i++, total++)
      sum = sum * 31 + buf[i];
  pthread_join(t, 0);
  close(p[0]);
  printf("%ld bytes, %lx\n", total, sum);

  // eventfd
  int e = eventfd(3, EFD_NONBLOCK);
  uint64_t v;
  NUM(read(e, &v, 4));
  NUM(read(e, &v, 8));
  printf("%ld\n", (long)v);
  NUM(read(e, &v, 8));
  v = ~0ull;
  NUM(write(e, &v, 8));
  v--;
  NUM(write(e, &v, 8));
  v = 1;
  NUM(write(e, &v, 8));
  struct pollfd pf = {e, POLLIN | POLLOUT};
  NUM(poll(&pf, 1, 0));
  printf("%x\n", pf.revents);
  close(e);
  e = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  NUM(read(e, &v, 8));
  NUM(read(e, &v, 8));
  NUM(read(e, &v, 8));
  NUM(eventfd(0, 77));

  // poll and select
  pipe2(p, O_NONBLOCK);
  struct pollfd fds[5] = {{p[0], POLLIN}, {p[1], POLLOUT}, {-1, POLLIN}, {999, POLLIN}, {e, POLLIN}};
  NUM(poll(fds, 5, 1000));
  for (int i = 0; i < 5; i++)
    printf(" %x", fds[i].revents);
  printf("\n");
  NUM(poll(fds, 1, 10));
  NUM(poll(fds, 0, 1));
  NUM(poll((void *)8, 1, 1));
  write(p[1], "x", 1);
  NUM(poll(fds, 2, -1));
  printf("%x %x\n", fds[0].revents, fds[1].revents);
  fd_set in, out;
  FD_ZERO(&in);
  FD_ZERO(&out);
  FD_SET(p[0], &in);
  FD_SET(p[1], &out);
  FD_SET(e, &in);
  struct timeval tv = {5, 0};
  NUM(select(FD_SETSIZE, &in, &out, 0, &tv));
  printf("%d %d %d\n", !!FD_ISSET(p[0], &in), !!FD_ISSET(p[1], &out), !!FD_ISSET(e, &in));
  // A descriptor that was open: Linux looks no further than its table goes, whose size depends on what was ever open.
  int closed = dup(p[0]);
  close(closed);
  FD_SET(closed, &in);
  NUM(select(FD_SETSIZE, &in, 0, 0, &tv));
  tv.tv_sec = 0, tv.tv_usec = 1000;
  NUM(select(0, 0, 0, 0, &tv));
  tv.tv_sec = -1;
  NUM(select(0, 0, 0, 0, &tv));
  struct timespec ts = {0, 1000000};
  NUM(ppoll(fds, 0, &ts, 0));
  ts.tv_nsec = -1;
  NUM(ppoll(fds, 0, &ts, 0));
  close(p[0]);
  fds[1].revents = 0;
  NUM(poll(&fds[1], 1, 0));
  printf("%x\n", fds[1].revents);
  close(p[1]);
  pipe2(p, O_NONBLOCK);
  close(p[1]);
  fds[0].fd = p[0];
  NUM(poll(fds, 1, 0));
  printf("%x\n", fds[0].revents);
  close(p[0]);
  pthread_create(&t, 0, signaller, &e);
  fds[4].revents = 0;
  NUM(poll(&fds[4], 1, -1));
  pthread_join(t, 0);
  NUM(read(e, &v, 8));

  // epoll
  int ep = epoll_create1(EPOLL_CLOEXEC);
  NUM(epoll_create1(77));
  NUM(epoll_create(0));
  pipe2(p, O_NONBLOCK);
  NUM(add(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
  NUM(add(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
  NUM(add(ep, EPOLL_CTL_MOD, e, EPOLLIN, 1));
  NUM(add(ep, EPOLL_CTL_DEL, e, 0, 0));
  NUM(add(ep, EPOLL_CTL_ADD, ep, EPOLLIN, 1));
  NUM(add(ep, EPOLL_CTL_ADD, 999, EPOLLIN, 1));
  NUM(add(e, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
  NUM(epoll_ctl(ep, EPOLL_CTL_ADD, e, (void *)8));
  int f = open("/tmp", O_RDONLY);
  NUM(add(ep, EPOLL_CTL_ADD, f, EPOLLIN, 1));
  close(f);
  showEvents(ep, 0);
  write(p[1], "ab", 2);
  showEvents(ep, -1);
  showEvents(ep, 0);
  read(p[0], buf, 2);
  showEvents(ep, 5);
  NUM(add(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 2));
  write(p[1], "a", 1);
  showEvents(ep, 0);
  showEvents(ep, 0);
  write(p[1], "b", 1);
  showEvents(ep, 0);
  NUM(add(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 3));
  showEvents(ep, 0);
  write(p[1], "c", 1);
  showEvents(ep, 0);
  NUM(add(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 4));
  showEvents(ep, 0);
  NUM(add(ep, EPOLL_CTL_ADD, p[1], EPOLLOUT | EPOLLRDHUP, 5));
  showEvents(ep, 0);
  int outer = epoll_create1(0);
  NUM(add(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 6));
  showEvents(outer, 0);
  NUM(add(ep, EPOLL_CTL_ADD, outer, EPOLLIN, 7));
  NUM(epoll_wait(ep, (void *)8, 4, 0));
  NUM(epoll_wait(ep, (void *)buf, 0, 0));
  NUM(epoll_wait(e, (void *)buf, 1, 0));
  close(p[0]);
  showEvents(ep, 0);
  close(p[1]);
  showEvents(ep, 0);
  NUM(add(ep, EPOLL_CTL_ADD, e, EPOLLIN, 8));
  pthread_create(&t, 0, signaller, &e);
  showEvents(ep, -1);
  pthread_join(t, 0);

  // Devices
  f = open("/dev/null", O_RDWR);
  NUM(write(f, big, 1000));
  NUM(read(f, buf, 10));
  fstat(f, &s);
  printf("%o %lx\n", s.st_mode, (long)s.st_rdev);
  close(f);
  f = open("/dev/zero", O_RDWR);
  buf[5] = 1;
  NUM(read(f, buf, 10));
  printf("%d\n", buf[5]);
  NUM(write(f, buf, 10));
  close(f);
  f = open("/dev/full", O_RDWR);
  NUM(write(f, buf, 10));
  close(f);
  f = open("/dev/urandom", O_RDONLY);
  NUM(read(f, buf, 4096));
  close(f);
  NUM(open("/dev/none", O_RDONLY));
  f = open("/dev/stdout", O_WRONLY | O_APPEND);
  printf("/dev/stdout %d\n", f >= 0);
  NUM(ioctl(1, TCGETS, buf));
  NUM(ioctl(99, TCGETS, buf));

  // Fifos
  char fifo[] = "/tmp/osv-fifo-XXXXXX";
  close(mkstemp(fifo));
  unlink(fifo);
  NUM(mkfifo(fifo, 0600));
  NUM(open(fifo, O_WRONLY | O_NONBLOCK));
  int rf = open(fifo, O_RDONLY | O_NONBLOCK), wf = open(fifo, O_WRONLY);
  NUM(write(wf, "fifo", 4));
  NUM(read(rf, buf, 10));
  NUM(read(rf, buf, 10));
  close(wf);
  NUM(read(rf, buf, 10));
  unlink(fifo);
  return 0;
}

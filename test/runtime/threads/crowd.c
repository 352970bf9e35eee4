// SPDX-License-Identifier: BSD-3-Clause
// A crowd at one small pipe: writers and readers that find it full or empty, contend for its lock, are preempted in the midst and
// interrupted by signals. No message may be torn or lost, no wake-up either (that hangs), and the last writer's end is seen by all.
// REQUIRES: osv-rewrite, osv-run, qemu, glibc-static
// RUN: gcc -O2 -static -pthread %s -o %t && %t > %t.native
// RUN: %osv-rewrite %t -o %t.img && %osv-run --timeout 240 %t.img > %t.1 && diff %t.native %t.1
// RUN: %osv-run --timeout 240 --smp 2 --append osv.hz=10000 %t.img > %t.2 && diff %t.native %t.2
// RUN: %osv-run --timeout 240 --icount --append osv.hz=10000 %t.img > %t.3 && diff %t.native %t.3
// RUN: %osv-rewrite --tls=fs %t -o %t.fs.img && %osv-run --timeout 240 --smp 2 --append osv.hz=1000 %t.fs.img > %t.4 && diff %t.native %t.4
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define CHECK(e) ((e) ? (void)0 : (printf("line %d: %s (%s)\n", __LINE__, #e, strerror(errno)), exit(1)))

enum { kWriters = 4, kReaders = 4, kMessages = 3000, kMost = 1500 };

// A message: its length, who wrote it, its number, and bytes that all follow from these. One write, so one piece.
struct Head {
  uint16_t length, writer;
  uint32_t number;
};
static int ends[2];
static pthread_mutex_t oneReads = PTHREAD_MUTEX_INITIALIZER; // a message is two reads
static uint32_t last[kReaders][kWriters];
static volatile uint64_t interrupted;

static unsigned next(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(*state >> 33);
}
static uint8_t byteAt(struct Head h, unsigned i) { return (uint8_t)(h.number * 31 + h.writer * 7 + i * 3); }

static void onAlarm(int signo) { interrupted++; }

static void *writes(void *arg) {
  uint64_t random = (uintptr_t)arg + 1;
  for (uint32_t i = 1; i <= kMessages; i++) {
    uint8_t message[kMost];
    struct Head h = {(uint16_t)(sizeof h + next(&random) % (kMost - sizeof h)), (uint16_t)(uintptr_t)arg, i};
    memcpy(message, &h, sizeof h);
    for (unsigned j = sizeof h; j < h.length; j++)
      message[j] = byteAt(h, j);
    if (next(&random) % 4 == 0) {
      struct pollfd p = {ends[1], POLLOUT, 0};
      CHECK(poll(&p, 1, -1) == 1 || errno == EINTR);
    }
    ssize_t n;
    do
      n = write(ends[1], message, h.length);
    while (n < 0 && errno == EINTR);
    CHECK(n == h.length); // no more than PIPE_BUF: all or nothing
  }
  return NULL;
}

static bool readAll(void *to, size_t n) {
  for (size_t done = 0; done < n;) {
    ssize_t got = read(ends[0], (char *)to + done, n - done);
    if (got == 0 && done == 0)
      return false;
    CHECK(got > 0 || (got < 0 && errno == EINTR));
    done += got > 0 ? (size_t)got : 0;
  }
  return true;
}

static void *reads(void *arg) {
  uint64_t count = 0;
  uint32_t *mine = last[(uintptr_t)arg];
  for (;; count++) {
    uint8_t message[kMost];
    struct Head h;
    pthread_mutex_lock(&oneReads);
    bool more = readAll(&h, sizeof h);
    if (more) {
      CHECK(h.length > sizeof h - 1 && h.length <= kMost && h.writer < kWriters);
      CHECK(h.length == sizeof h || readAll(message, h.length - sizeof h));
    }
    pthread_mutex_unlock(&oneReads);
    if (!more)
      return (void *)(uintptr_t)count;
    CHECK(h.number > mine[h.writer]); // one writer's come in their order
    mine[h.writer] = h.number;
    for (unsigned j = sizeof h; j < h.length; j++)
      CHECK(message[j - sizeof h] == byteAt(h, j));
  }
}

int main(void) {
  CHECK(pipe(ends) == 0);
  CHECK(fcntl(ends[1], F_SETPIPE_SZ, 4096) == 4096);
  sigaction(SIGALRM, &(struct sigaction){.sa_handler = onAlarm}, NULL); // without SA_RESTART
  setitimer(ITIMER_REAL, &(struct itimerval){{0, 700}, {0, 700}}, NULL);
  pthread_t writers[kWriters], readers[kReaders];
  for (uintptr_t i = 0; i < kWriters; i++)
    CHECK(pthread_create(&writers[i], NULL, writes, (void *)i) == 0);
  for (uintptr_t i = 0; i < kReaders; i++)
    CHECK(pthread_create(&readers[i], NULL, reads, (void *)i) == 0);
  for (int i = 0; i < kWriters; i++)
    pthread_join(writers[i], NULL);
  close(ends[1]);
  uintptr_t total = 0;
  for (int i = 0; i < kReaders; i++) {
    void *count;
    pthread_join(readers[i], &count);
    total += (uintptr_t)count;
  }
  setitimer(ITIMER_REAL, &(struct itimerval){}, NULL);
  CHECK(interrupted > 0);
  printf("%lu messages, none torn\n", (unsigned long)total);
  return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
//
// Threads on two CPUs change and use the same address space: pages that one replaces, protects or discards are seen changed by the
// other at once (no stale translations), and areas that all of them map and unmap keep their contents.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, qemu, glibc-static
// RUN: gcc -static -O1 -pthread -o %t %s && %t > %t.native
// RUN: %osv-rewrite %t -o %t.img && %osv-run --smp 2 %t.img > %t.gs && diff %t.native %t.gs
// RUN: %osv-run --smp 1 -m 16M %t.img > %t.small && diff %t.native %t.small
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { kRounds = 40, kPages = 4, kPage = 4096 };
static volatile char *shared;
static pthread_barrier_t barrier;
static int wrong;

static void renew(int round) {
  int prot = PROT_READ | PROT_WRITE;
  switch (round % 3) {
  case 0:
    mmap((void *)shared, kPages * kPage, prot, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    break;
  case 1:
    madvise((void *)shared, kPages * kPage, MADV_DONTNEED);
    break;
  case 2:
    mprotect((void *)shared, kPages * kPage, PROT_READ);
    mprotect((void *)shared, kPages * kPage, prot);
    return;
  }
  for (int i = 0; i < kPages; i++)
    if (i != round % kPages)
      shared[i * kPage] = round;
}

static void *reader(void *unused) {
  char before[kPages] = {0};
  for (int round = 0; round < kRounds; round++) {
    for (int i = 0; i < kPages; i++)
      before[i] = shared[i * kPage];
    pthread_barrier_wait(&barrier); // the other thread renews
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < kPages; i++) {
      char expected = round % 3 == 2 ? before[i] : i == round % kPages ? 0 : (char)round;
      wrong += shared[i * kPage] != expected;
    }
  }
  return 0;
}

static void *mapper(void *number) {
  long bad = 0;
  for (int i = 0; i < kRounds; i++) {
    size_t size = (1 + i % 7) * kPage;
    char *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t at = 0; at < size; at += kPage)
      p[at] = (char)(long)number;
    char *q = mremap(p, size, 2 * size, MREMAP_MAYMOVE);
    for (size_t at = 0; at < 2 * size; at += kPage)
      bad += q[at] != (at < size ? (char)(long)number : 0);
    munmap(q, 2 * size);
  }
  return (void *)bad;
}

int main() {
  shared = mmap(0, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pthread_barrier_init(&barrier, 0, 2);
  pthread_t other, mappers[3];
  pthread_create(&other, 0, reader, 0);
  for (int round = 0; round < kRounds; round++) {
    pthread_barrier_wait(&barrier);
    renew(round);
    pthread_barrier_wait(&barrier);
  }
  pthread_join(other, 0);
  printf("stale pages: %d\n", wrong);
  long bad = 0;
  for (long i = 0; i < 3; i++)
    pthread_create(&mappers[i], 0, mapper, (void *)(i + 1));
  for (int i = 0; i < 3; i++) {
    void *result;
    pthread_join(mappers[i], &result);
    bad += (long)result;
  }
  printf("wrong bytes: %ld\n", bad);
  return 0;
}

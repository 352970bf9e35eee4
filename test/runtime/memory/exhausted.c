// SPDX-License-Identifier: BSD-3-Clause
// More than there is: what can never be had is ENOMEM; a program that touches more than the machine has, having got it on credit, is
// killed, and is told so. Its threads, other calls in progress and what it has written already do not matter to that.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, qemu, glibc-static
// RUN: gcc -static -O1 -w -pthread -o %t %s && %osv-rewrite %t -o %t.img
// RUN: sh -c "%osv-run -m 64M %t.img > %t.out 2> %t.err; test $? = 137"
// RUN: FileCheck %s < %t.out && FileCheck --check-prefix=ERR %s < %t.err
// RUN: sh -c "%osv-run -m 64M --smp 2 %t.img > %t.out 2> %t.err; test $? = 137"
// RUN: FileCheck %s < %t.out && FileCheck --check-prefix=ERR %s < %t.err
// CHECK: 1 TB: Cannot allocate memory
// CHECK-NEXT: 512 MB: there
// CHECK-NOT: all of it
// ERR-NOT: panic
// ERR: out of memory: the program is killed
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *get(size_t n) { return mmap(0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

static void *waits(void *arg) { return (void *)pause(); }

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  pthread_t t;
  for (int i = 0; i < 4; i++)
    pthread_create(&t, 0, waits, 0);
  printf("1 TB: %s\n", get(1ul << 40) == MAP_FAILED ? strerror(errno) : "there");
  char *p = get(512ul << 20);
  printf("512 MB: %s\n", p == MAP_FAILED ? strerror(errno) : "there");
  memset(p, 1, 512ul << 20);
  printf("all of it\n");
  return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
//
// Everything that would make a process fails with ENOSYS and leaves the program whole: the parent's atfork handlers have run, malloc's and
// stdio's locks are free, threads go on.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, runtime-fs, qemu, glibc-static, musl
// RUN: gcc -O1 -w -static -pthread %s -o %t && %python %tools/same.py --build %build --provided %t | FileCheck %s
// RUN: musl-gcc -O1 -w -static -pthread %s -o %t.musl && %python %tools/same.py --build %build --provided %t.musl | FileCheck %s
// CHECK: fork(): -1 ENOSYS
// CHECK-NEXT: vfork(): -1 ENOSYS
// CHECK: handlers agree: 1, in a child: 0
// CHECK-NEXT: a thread afterwards: 0
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int prepared, parents, children;
static void prepare(void) { prepared++; }
static void parent(void) { parents++; }
static void child(void) { children++; }

static void show(const char *what, long result, int error) {
  printf("%s: %ld %s\n", what, result,
         error == ENOSYS   ? "ENOSYS"
         : error == ECHILD ? "ECHILD"
         : error           ? "another error"
                           : "no error");
}
#define SHOW(e)                                                                                                        \
  do {                                                                                                                 \
    errno = 0;                                                                                                         \
    long r = (long)(e);                                                                                                \
    show(#e, r, errno);                                                                                                \
  } while (0)

static volatile int stop;
static void *allocate(void *arg) {
  long n = 0;
  while (!stop) {
    free(malloc(100 + n++ % 1000));
    sched_yield();
  }
  return 0;
}
static int run(void *arg) { return 0; }

int main(void) {
  char *arguments[] = {"/bin/true", 0};
  pthread_t t[3];
  pid_t pid;
  pthread_atfork(prepare, parent, child);
  for (int i = 0; i < 3; i++)
    pthread_create(&t[i], 0, allocate, 0);
  SHOW(fork());
  SHOW(vfork());
  SHOW(syscall(SYS_fork));
  SHOW(syscall(SYS_vfork));
  SHOW(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  static char stack[16384];
  SHOW(clone(run, stack + sizeof stack, CLONE_VM | SIGCHLD, 0));
  printf("posix_spawn: %s\n", posix_spawn(&pid, "/bin/true", 0, 0, arguments, 0) == ENOSYS ? "ENOSYS" : "?");
  SHOW(system("true"));
  SHOW(popen("true", "r"));
  SHOW(wait(0));
  stop = 1;
  for (int i = 0; i < 3; i++)
    pthread_join(t[i], 0);
  printf("handlers agree: %d, in a child: %d\n", prepared == parents && prepared > 0, children);
  stop = 1;
  printf("a thread afterwards: %d\n", pthread_create(t, 0, allocate, 0) || pthread_join(t[0], 0));
}

// SPDX-License-Identifier: BSD-3-Clause
// C++ unwinds through a call in a stub: an exception that a signal handler throws is caught by a caller of the function that made the call, and a
// thread that is cancelled in a call destroys its objects.
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, glibc-static
// RUN: g++ -O1 -fnon-call-exceptions -static %s -o %t && %t > %t.native && FileCheck %s < %t.native
// RUN: %osv-rewrite %t -o %t.elf --emit=elf --verify && %t.elf > %t.elf.out && diff %t.native %t.elf.out
// RUN: %osv-rewrite %t -o %t.img --verify && %osv-run %t.img > %t.img.out && diff %t.native %t.img.out
// CHECK:      caught 14
// CHECK-NEXT: destroyed
// CHECK-NEXT: cancelled 1
#include <csignal>
#include <cstdio>
#include <pthread.h>
#include <unistd.h>

static int ends[2];

static void handler(int signo) { throw signo; }

[[gnu::noinline]] static long call() {
  long result; // of kill, whose signal comes before it returns
  asm volatile("movl $62, %%eax\nsyscall" : "=a"(result) : "D"(getpid()), "S"(SIGALRM) : "rcx", "r11", "memory");
  return result;
}

[[gnu::noinline]] static int catches() {
  try {
    return int(call());
  } catch (int signo) {
    return signo;
  }
}

struct Object {
  ~Object() { std::puts("destroyed"); }
};

static void *thread(void *argument) {
  Object object;
  char c;
  (void)!read(ends[0], &c, 1);
  return argument;
}

int main() {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_NODEFER;
  sigaction(SIGALRM, &action, nullptr);
  std::printf("caught %d\n", catches());

  pthread_t id;
  void *result;
  if (pipe(ends) || pthread_create(&id, nullptr, thread, nullptr))
    return 1;
  pthread_cancel(id);
  pthread_join(id, &result);
  std::printf("cancelled %d\n", result == PTHREAD_CANCELED);
  return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
//
// backtrace() in a signal handler that interrupted a call in a stub finds the functions around it: with --emit=elf by the stubs' own FDEs, in an
// image because the signal frame shows the program's address.
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, glibc-static
// RUN: gcc -O1 -static %s -o %t && %t > %t.native && FileCheck %s < %t.native
// RUN: %osv-rewrite %t -o %t.elf --emit=elf --verify && %t.elf > %t.elf.out && diff %t.native %t.elf.out
// RUN: llvm-readelf -S -l %t.elf | FileCheck %s --check-prefix=TABLES
// RUN: %osv-rewrite %t -o %t.img --verify && %osv-run %t.img > %t.img.out && diff %t.native %t.img.out
// CHECK: inner 1 outer 1 main 1
// TABLES: .debug_frame
// TABLES: GNU_EH_FRAME
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void *frames[20];
static volatile int depth;

static void handler(int signo) {
  (void)signo;
  depth = backtrace(frames, 20);
}

__attribute__((noinline)) int inner(void) {
  int result = pause();
  __asm__ volatile("");
  return result;
}
__attribute__((noinline)) int outer(void) {
  int result = inner();
  __asm__ volatile("");
  return result + 1;
}

static int isIn(void *function, unsigned size) {
  for (int i = 0; i < depth; i++)
    if ((unsigned long)frames[i] - (unsigned long)function < size)
      return 1;
  return 0;
}

int main(void) {
  void *once[2];
  backtrace(once, 2);
  signal(SIGALRM, handler);
  ualarm(20000, 0);
  outer();
  printf("inner %d outer %d main %d\n", isIn(inner, 40), isIn(outer, 40), isIn(main, 400));
  return 0;
}

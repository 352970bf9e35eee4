// SPDX-License-Identifier: BSD-3-Clause
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, runtime-fs, glibc-static
// RUN: gcc -O2 -w -static %s -o %t
// RUN: %t > %t.native
// RUN: %osv-rewrite --tls=gs %t -o %t-gs.img
// RUN: %osv-rewrite --tls=fs %t -o %t-fs.img
// RUN: %osv-run %t-gs.img > %t.gs && diff %t.native %t.gs
// RUN: %osv-run %t-fs.img --smp 2 > %t.fs && diff %t.native %t.fs
// RUN: %osv-run -v %t-gs.img -- gs 2>&1 | FileCheck %s
// RUN: %osv-run -v %t-fs.img --cpu qemu64 -- gs 2>&1 | FileCheck %s
//
// arch_prctl as Linux has it, but for GS, which is the runtime's: EINVAL, and one line on the console.
// CHECK: the program asked for a GS base of its own; GS belongs to the runtime: EINVAL
// CHECK-NOT: the program asked for a GS base
// CHECK: ARCH_SET_GS: -1 22
// CHECK: ARCH_SET_GS: -1 22
// CHECK: ARCH_GET_GS: -1 22
// CHECK-NOT: the program asked for a GS base
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef ARCH_GET_XCOMP_SUPP
#define ARCH_GET_XCOMP_SUPP 0x1021
#define ARCH_GET_XCOMP_PERM 0x1022
#define ARCH_REQ_XCOMP_PERM 0x1023
#define ARCH_GET_XCOMP_GUEST_PERM 0x1024
#define ARCH_REQ_XCOMP_GUEST_PERM 0x1025
#endif
#define SHOW(name, arg)                                                                                                \
  do {                                                                                                                 \
    errno = 0;                                                                                                         \
    long r = syscall(SYS_arch_prctl, name, arg);                                                                       \
    printf("%s: %ld %d\n", #name, r, errno);                                                                           \
  } while (0)

int main(int argc, char **argv) {
  uint64_t word = 0, fs;
  void *bad = (void *)1, *kernel = (void *)0xffff800000000000;
  if (argc > 1) {
    SHOW(ARCH_SET_GS, &word);
    SHOW(ARCH_SET_GS, 0);
    SHOW(ARCH_GET_GS, &word);
    return 0;
  }
  __asm__("movq %%fs:0, %0" : "=r"(fs));
  SHOW(ARCH_GET_FS, &word);
  printf("%d\n", word == fs);
  SHOW(ARCH_GET_FS, bad);
  SHOW(ARCH_GET_FS, kernel);
  SHOW(ARCH_SET_FS, kernel);
  SHOW(ARCH_SET_FS, 0x800000000000); // the first non-canonical address
  SHOW(ARCH_SET_FS, 0x7ffffffff000); // the first that is not the program's
  SHOW(ARCH_SET_FS, 0x8000000000000000);
  SHOW(ARCH_SET_FS, fs);
  SHOW(ARCH_GET_CPUID, 0);
  enum { ARCH_CET_STATUS = 0x3001, UNKNOWN = 0x9999, TOO_BIG = -1 };
  SHOW(ARCH_CET_STATUS, &word);
  SHOW(UNKNOWN, 0);
  SHOW(TOO_BIG, 0);
  SHOW(ARCH_GET_XCOMP_SUPP, bad);
  word = 0;
  SHOW(ARCH_GET_XCOMP_SUPP, &word);
  printf("x87 and SSE: %d\n", (word & 3) == 3);
  word = 0;
  SHOW(ARCH_GET_XCOMP_PERM, &word);
  printf("x87 and SSE: %d\n", (word & 3) == 3);
  SHOW(ARCH_GET_XCOMP_PERM, kernel);
  SHOW(ARCH_GET_XCOMP_GUEST_PERM, bad);
  SHOW(ARCH_REQ_XCOMP_PERM, 2);  // AVX is not on request
  SHOW(ARCH_REQ_XCOMP_PERM, 77); // no such feature
  SHOW(ARCH_REQ_XCOMP_GUEST_PERM, 77);
  char descriptor[64] = {0};
  errno = 0;
  long r = syscall(SYS_set_thread_area, descriptor);
  printf("set_thread_area: %ld %d\n", r, errno);
  return 0;
}

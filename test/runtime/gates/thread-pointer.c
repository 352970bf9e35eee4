// SPDX-License-Identifier: BSD-3-Clause
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, runtime-fs, glibc-static
// RUN: gcc -O2 -static %s -o %t
// RUN: %t > %t.native
// RUN: %osv-rewrite --tls=gs %t -o %t-gs.img
// RUN: %osv-rewrite --tls=fs %t -o %t-fs.img
// RUN: %osv-run %t-gs.img --timeout 60 > %t.gs
// RUN: diff %t.native %t.gs
// RUN: %osv-run %t-fs.img --timeout 60 > %t.fs
// RUN: diff %t.native %t.fs
// RUN: %osv-run %t-fs.img --smp 2 --cpu qemu64 --timeout 60 > %t.fs
// RUN: diff %t.native %t.fs
// RUN: %osv-rewrite --tls=gs --patch=none %t -o %t-gs-native.img
// RUN: %osv-rewrite --tls=fs --patch=none %t -o %t-fs-native.img
// RUN: %osv-run %t-gs-native.img --smp 2 --timeout 60 > %t.gs
// RUN: diff %t.native %t.gs
// RUN: %osv-run %t-fs-native.img --smp 2 --timeout 60 > %t.fs
// RUN: diff %t.native %t.fs
// RUN: FileCheck %s < %t.native
//
// Thread pointers that no gate may believe in: unmapped, not resident, read-only, guard page, non-canonical, the kernel's. System calls, page
// faults and timer interrupts go on under each; arch_prctl gives Linux's errors.
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>

// No libc between the two ARCH_SET_FS: its errno and canary are at FS.
#define NO_TLS __attribute__((noinline, optimize("no-stack-protector")))
static long call(long nr, long a, long b, long c) {
  register long rax __asm__("rax") = nr;
  __asm__ volatile("syscall" : "+r"(rax) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return rax;
}

static NO_TLS long under(uint64_t fs, char *fresh) {
  uint64_t old = 0, seen = 1;
  call(SYS_arch_prctl, ARCH_GET_FS, (long)&old, 0);
  long r = call(SYS_arch_prctl, ARCH_SET_FS, (long)fs, 0);
  if (r == 0) {
    for (volatile long i = 0; i < 3000000; i++) // timer interrupts
      ;
    for (int i = 0; i < 64; i++)
      fresh[i * 4096] = 1; // page faults
    call(SYS_sched_yield, 0, 0, 0);
    call(SYS_arch_prctl, ARCH_GET_FS, (long)&seen, 0);
    call(SYS_arch_prctl, ARCH_SET_FS, (long)old, 0);
    if (seen != fs)
      r = 1000;
  }
  return r;
}

int main(void) {
  char *fresh = mmap(0, 64 * 4096 * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *pages = mmap(0, 4 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(pages + 4096, 4096, PROT_READ);              // never touched: not resident
  mprotect(pages + 8192, 4096, PROT_READ | PROT_WRITE); // not resident
  struct {
    const char *what;
    uint64_t fs;
  } cases[] = {{"null", 0},
               {"unmapped", 0x123456789000},
               {"guard page", (uint64_t)pages + 64},
               {"read-only", (uint64_t)pages + 4096},
               {"not resident", (uint64_t)pages + 8192},
               {"odd", (uint64_t)pages + 8195},
               {"end of user space", 0x7fffffffe000},
               {"non-canonical", 0x800000000000},
               {"kernel", 0xffff800000000000}};
  // CHECK: null: 0
  // CHECK: unmapped: 0
  // CHECK: guard page: 0
  // CHECK: read-only: 0
  // CHECK: not resident: 0
  // CHECK: odd: 0
  // CHECK: end of user space: 0
  // CHECK: non-canonical: -1
  // CHECK: kernel: -1
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    long r = under(cases[i].fs, fresh + (size_t)i * 64 * 4096 / 2);
    printf("%s: %ld\n", cases[i].what, r);
  }
  // CHECK: get to null: -14
  printf("get to null: %ld\n", call(SYS_arch_prctl, ARCH_GET_FS, 0, 0));
  // CHECK: get to read-only: -14
  printf("get to read-only: %ld\n", call(SYS_arch_prctl, ARCH_GET_FS, (long)pages + 4096, 0));
  // CHECK: unknown: -22
  printf("unknown: %ld\n", call(SYS_arch_prctl, 0x9999, 0, 0));
  // CHECK: cet: -22
  printf("cet: %ld\n", call(SYS_arch_prctl, 0x3001, (long)fresh, 0));
  return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
// Functions that the program calls run on another thread block when they need one, whatever the program's FS is, and give the
// same answers as without the pass; with the FSGSBASE instructions and with the calls that replace them.
// REQUIRES: plugin
// DEFINE: %{cc} = clang++ -std=c++20 -fno-pic -mno-red-zone -ffp-contract=off -pthread -ftls-model=local-exec
// DEFINE: %{fs} = -fplugin=%plugin -fpass-plugin=%plugin -mllvm=-osv-tls=fs -Rpass=tls-switch
// DEFINE: %{link} = -no-pie -fuse-ld=lld %t.o %t.driver.o -Wl,-T,%S/Inputs/ktls.ld
// RUN: %{cc} -O1 -c %S/Inputs/tls-switch-driver.cpp -o %t.driver.o
// RUN: %{cc} -O2 -c %s -o %t.o && %{cc} %{link} -o %t.exe && %t.exe > %t.expected
// RUN: FileCheck %s --check-prefix=WITHOUT < %t.expected
// RUN: %{cc} %{fs} -O0 -c %s -o %t.o 2> %t.remarks && %{cc} %{link} -o %t.exe && %t.exe switched > %t.out
// RUN: FileCheck %s --check-prefix=REMARK < %t.remarks
// RUN: diff %t.expected %t.out
// RUN: %{cc} %{fs} -O2 -c %s -o %t.o 2> %t.remarks && %{cc} %{link} -o %t.exe && %t.exe switched > %t.out
// RUN: FileCheck %s --check-prefix=REMARK < %t.remarks
// RUN: diff %t.expected %t.out
// RUN: %t.exe switched patched > %t.out
// RUN: diff %t.expected %t.out
// RUN: %{cc} %{fs} -O3 -g -fstack-protector-all -c %s -o %t.o && %{cc} %{link} -o %t.exe && %t.exe switched > %t.out
// RUN: diff %t.expected %t.out
// WITHOUT: calls 64 sum
// REMARK-DAG: remark: 'count(unsigned long)' switches FS: it uses thread-local 'calls'
// REMARK-DAG: remark: 'many(int, long, char, int, long, short, int, long, double)' switches FS
// REMARK-DAG: remark: 'pure(unsigned long)' needs no switch
#include "Inputs/tls-switch.h"

constinit thread_local uint64_t calls = 0;
constinit thread_local Wide history{};

__attribute__((noinline)) static void remember(Wide *where, uint64_t value) {
  for (auto &slot : where->values)
    slot = slot * 3 + value;
}

uint64_t count(uint64_t by) {
  if (by == 0)
    return 12345; // a return of its own
  calls += by;
  remember(&history, by);
  if (by % 2)
    return calls;
  return calls + history.values[3];
}

Wide many(int a, long b, char c, int d, long e, short f, int g, long h, double i) {
  Wide wide = history;
  ++calls;
  wide.values[0] += static_cast<uint64_t>(a + b + c + d + e + f + g + h);
  wide.values[1] += static_cast<uint64_t>(i * 4);
  remember(&wide, calls);
  return wide;
}

uint64_t pure(uint64_t value) { return value * 7 + 1; }

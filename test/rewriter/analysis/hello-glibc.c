// SPDX-License-Identifier: BSD-3-Clause
// Debian's static glibc hello: 101 system calls, one arch_prctl; stripped and as static-PIE too.
// REQUIRES: osv-rewrite, glibc-static
// RUN: gcc -O2 -static %s -o %t && gcc -O2 -static -s %s -o %t.s && gcc -O2 -static-pie %s -o %t.pie
// RUN: %python %S/Inputs/corpus.py %osv-rewrite hello-glibc %t hello-glibc %t.s hello-glibc %t.pie | FileCheck %s
// CHECK-COUNT-3: hello-glibc: ok: accept, 101 sites
// RUN: %osv-rewrite --check %t | FileCheck %s --check-prefix=TEXT
// TEXT: will run
// TEXT: program static, C, libc: glibc
// TEXT: made by GCC:
// TEXT: thread pointer arch_prctl(ARCH_SET_FS) in __libc_setup_tls at 0x
// TEXT: TLS accesses {{.*}} self, {{.*}} canary
// TEXT: errno (
// Two runs say the same, whatever the threads do; so does the section-less program, but for names.
// RUN: %osv-rewrite --check --report=json %t > %t.1 && %osv-rewrite --check --report=json %t > %t.2 && cmp %t.1 %t.2
// RUN: %python %S/Inputs/strip-sections.py %t %t.bare && %osv-rewrite --check --report=json %t.bare > %t.json
// RUN: %python -c "import json, sys; print(len(json.load(open(sys.argv[1]))['syscall_sites']))" %t.json | FileCheck %s --check-prefix=BARE
// BARE: 101
#include <stdio.h>
int main(void) {
  puts("hello");
  return 0;
}

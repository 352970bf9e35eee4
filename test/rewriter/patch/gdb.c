// SPDX-License-Identifier: BSD-3-Clause
// gdb in the stubs of an --emit=elf program: it names each after its function, finds the callers from every instruction of it (while the stack is
// not as the function found it, too), and from a signal handler that a call there runs.
// REQUIRES: osv-rewrite, gdb, glibc-static
// RUN: gcc -O1 -static %s -o %t && %osv-rewrite %t -o %t.elf --emit=elf --verify --explain-site=all | FileCheck %s --check-prefix=SITES
// SITES: 'plain'{{.*}}: S0
// SITES: 'pushed'{{.*}}: S1
// RUN: gdb -nx -batch %t.elf -ex "break *(char *)&'plain.stub'" -ex "break *(char *)&'pushed.stub'" -ex "break handler" \
// RUN:   -ex "handle SIGALRM nostop noprint pass" -ex run -ex bt -ex stepi -ex bt -ex stepi -ex bt -ex stepi -ex bt -ex stepi -ex bt -ex c \
// RUN:   -ex bt -ex stepi -ex bt -ex stepi -ex bt -ex stepi -ex bt -ex c -ex bt -ex c 2>&1 | FileCheck %s
// The instruction that moved, the call, lea, jmp, and back.
// CHECK:        Breakpoint 1, 0x{{[0-9a-f]+}} in plain[stub] ()
// CHECK-NEXT:    #0 {{.*}} plain[stub] ()
// CHECK-NEXT:    #1 {{.*}} outer ()
// CHECK-NEXT:    #2 {{.*}} main ()
// CHECK-NEXT:    0x{{[0-9a-f]+}} in plain[stub] ()
// CHECK-NEXT:    #0 {{.*}} plain[stub] ()
// CHECK-NEXT:    #1 {{.*}} outer ()
// CHECK-NEXT:    #2 {{.*}} main ()
// CHECK-NEXT:    0x{{[0-9a-f]+}} in plain[stub] ()
// CHECK-NEXT:    #0 {{.*}} plain[stub] ()
// CHECK-NEXT:    #1 {{.*}} outer ()
// CHECK-NEXT:    #2 {{.*}} main ()
// CHECK-NEXT:    0x{{[0-9a-f]+}} in plain[stub] ()
// CHECK-NEXT:    #0 {{.*}} plain[stub] ()
// CHECK-NEXT:    #1 {{.*}} outer ()
// CHECK-NEXT:    #2 {{.*}} main ()
// CHECK-NEXT:    0x{{[0-9a-f]+}} in plain ()
// CHECK-NEXT:    #0 {{.*}} plain ()
// CHECK-NEXT:    #1 {{.*}} outer ()
// CHECK-NEXT:    #2 {{.*}} main ()
// push, pop, xor, and the call.
// CHECK:        Breakpoint 2, 0x{{[0-9a-f]+}} in pushed[stub] ()
// CHECK-NEXT:    #0 {{.*}} pushed[stub] ()
// CHECK-NEXT:    #1 {{.*}} outer ()
// CHECK-NEXT:    #2 {{.*}} main ()
// CHECK-NEXT:    0x{{[0-9a-f]+}} in pushed[stub] ()
// CHECK-NEXT:    #0 {{.*}} pushed[stub] ()
// CHECK-NEXT:    #1 {{.*}} outer ()
// CHECK-NEXT:    #2 {{.*}} main ()
// CHECK-NEXT:    0x{{[0-9a-f]+}} in pushed[stub] ()
// CHECK-NEXT:    #0 {{.*}} pushed[stub] ()
// CHECK-NEXT:    #1 {{.*}} outer ()
// CHECK-NEXT:    #2 {{.*}} main ()
// CHECK-NEXT:    0x{{[0-9a-f]+}} in pushed[stub] ()
// CHECK-NEXT:    #0 {{.*}} pushed[stub] ()
// CHECK-NEXT:    #1 {{.*}} outer ()
// CHECK-NEXT:    #2 {{.*}} main ()
// CHECK:        Breakpoint 3, 0x{{[0-9a-f]+}} in handler ()
// CHECK-NEXT:    #0 {{.*}} handler ()
// CHECK-NEXT:    #1 <signal handler called>
// CHECK-NEXT:    #2 {{.*}} pushed[stub] ()
// CHECK-NEXT:    #3 {{.*}} outer ()
// CHECK-NEXT:    #4 {{.*}} main ()
// CHECK:         2 14
// CHECK:         exited normally
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static volatile int handled;
__attribute__((noinline)) void handler(int signo) { handled = signo; }
__attribute__((noinline)) long plain(long a) {
  long result;
  __asm__ volatile("movq $39, %%rax\nsyscall" : "=a"(result) : : "rcx", "r11", "memory");
  return result > a;
}
__attribute__((noinline)) long pushed(long pid) {
  long result; // of kill, whose signal comes before it returns
  __asm__ volatile("pushq $62\n"
                   ".cfi_adjust_cfa_offset 8\n"
                   "popq %%rax\n"
                   ".cfi_adjust_cfa_offset -8\n"
                   "xorl %%edx, %%edx\n"
                   "syscall"
                   : "=a"(result)
                   : "D"(pid), "S"(SIGALRM)
                   : "rcx", "rdx", "r11", "memory");
  return result;
}
__attribute__((noinline)) long outer(long a) {
  long result = plain(a) + pushed(getpid());
  __asm__ volatile("");
  return result + 1;
}
int main(void) {
  signal(SIGALRM, handler);
  long result = outer(1);
  printf("%ld %d\n", result, handled);
  return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, runtime-fs, glibc-static
// RUN: gcc -O2 -static -I%src/utils/bench/gates %s -o %t
// RUN: %osv-rewrite --tls=gs -Wno-error=gs-use -Wno-popf %t -o %t-gs.img
// RUN: %osv-rewrite --tls=fs -Wno-error=gs-use -Wno-popf %t -o %t-fs.img
// RUN: %osv-rewrite --tls=gs -Wno-error=gs-use -Wno-popf --patch=none %t -o %t-gs-native.img
// RUN: %osv-rewrite --tls=fs -Wno-error=gs-use -Wno-popf --patch=none %t -o %t-fs-native.img
// RUN: %python %S/Inputs/coverage.py %osv-run %t-gs.img nmi:osv_gate_direct | FileCheck %s
// RUN: %python %S/Inputs/coverage.py %osv-run %t-fs.img nmi:osv_gate_direct | FileCheck %s
// RUN: %python %S/Inputs/coverage.py %osv-run %t-gs-native.img nmi:osv_gate_syscall | FileCheck %s
// RUN: %python %S/Inputs/coverage.py %osv-run %t-fs-native.img nmi:osv_gate_syscall | FileCheck %s
// RUN: %python %S/Inputs/coverage.py %osv-run %t-fs.img nmi:osv_gate_direct --smp 2 | FileCheck %s
// RUN: %python %S/Inputs/coverage.py %osv-run %t-gs.img nmi:osv_gate_direct --smp 2 | FileCheck %s
// RUN: %python %S/Inputs/coverage.py %osv-run %t-fs.img - --cpu qemu64 | FileCheck %s
// CHECK: {{[1-9][0-9]*}} interrupts, 0 errors
//
// A non-maskable interrupt at every instruction boundary of every gate, those with interrupts off included: entry and exit of system calls, of
// interrupts (over the program, over kernel code on its stack and on the program's), of a page fault, of a signal and its return. The program
// is in ring 0 and takes the local APIC's timer for that: a timer entry may ask for an NMI, and under --icount each tick is one instruction.
// For each operation the delay grows until the NMI comes too late. Registers, flags, FS, thread-local variables and red zone are
// checked after each.
#include "Inputs/checked.h"
#include "made-up-interrupt.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct MadeUpInterrupt madeUp;
CHECKED(call, SYSTEM_CALL);
CHECKED(overProgram, MADE_UP_INTERRUPT("overProgram", MADE_UP_PROGRAM_RSP));
CHECKED(overKernel, MADE_UP_INTERRUPT("overKernel", MADE_UP_KERNEL_RSP));
CHECKED(touch, "  movq page(%rip), %r11\n  movb $1, (%r11)\n");
extern char overProgramReturn[], overKernelReturn[];

volatile char *page;
static volatile uint64_t *nmis;
static volatile uint32_t *apic;
static uint64_t self, programStack[512] __attribute__((aligned(16))), istStack[64] __attribute__((aligned(16)));
static long hits, errors, handled;

enum { kLvtTimer = 0x320 / 4, kTimerInitial = 0x380 / 4, kDeliverNmi = 0x400, kTimerVector = 0xf0 };

static void handler(int signo) {
  (void)signo;
  handled++;
  if (fsSelf() != self || canary != 0x5ca1ab1e5ca1ab1e)
    errors++;
}

/// Sweeps `operation(.., rax)`; `prepare` runs before each, with no NMI to come.
static void sweep(const char *name, void (*operation)(struct Registers *, struct Registers *, long), long rax,
                  long expected, void (*prepare)(void)) {
  long n = 1, late = 0;
  for (; late < 3 && n < 100000; n++) {
    if (prepare)
      prepare();
    fill(&in, n);
    if (rax == SYS_tgkill) {
      in.rdi = in.rsi = (uint64_t)getpid();
      in.rdx = SIGUSR1;
    }
    uint64_t before = *nmis;
    apic[kLvtTimer] = kDeliverNmi;
    apic[kTimerInitial] = (uint32_t)n;
    operation(&in, &out, rax);
    late += *nmis == before;
    while (*nmis == before)
      ;
    if (*nmis != before + 1)
      errors++;
    errors += check(n, expected, self);
    hits++;
    if (errors > 10)
      break;
  }
  if (n >= 100000)
    errors++;
  fprintf(stderr, "%s: %ld\n", name, n - 1);
}

static uint64_t kernelReturn, vectors;
static void setUp(uint64_t *stack) {
  madeUp = (struct MadeUpInterrupt){vectors + kVectorBytes * kSpuriousVector, (uint64_t)(istStack + 64), kernelReturn,
                                    (uint64_t)stack, 0};
  *stack = (uint64_t)overKernelReturn;
}
static uint64_t *kernelStack;
static void onKernelStack(void) { setUp(kernelStack); }
static void onProgramStack(void) { setUp(programStack + 500); }
static void overTheProgram(void) {
  setUp(programStack + 500);
  madeUp.rip = (uint64_t)overProgramReturn;
}
static void freshPage(void) { page += 4096; }

int main(int argc, char **argv) {
  (void)argc;
  self = fsSelf();
  nmis = (volatile uint64_t *)symbolArgument(argv, "osv_nmis");
  apic = *(volatile uint32_t **)symbolArgument(argv, "apic");
  vectors = symbolArgument(argv, "osv_vectors");
  kernelReturn = symbolArgument(argv, "osv_write_fs_base_r11_end") - 1;
  uint64_t top = kernelStackTop(symbolArgument(argv, "osv_gate_block"));
  if (*(unsigned char *)kernelReturn != 0xc3)
    return 2;
  page = mmap(0, 1 << 24, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  madvise((void *)page, 1 << 24, MADV_NOHUGEPAGE);
  struct sigaction sa = {.sa_handler = handler};
  sigaction(SIGUSR1, &sa, 0);
  long pid = getpid();

  sweep("getpid", call, SYS_getpid, pid, 0);
  sweep("gettid", call, SYS_gettid, pid, 0);
  sweep("no such call", call, 499, -38, 0);
  sweep("beyond the table", call, 1000, -38, 0);
  long before = handled, hitsBefore = hits;
  sweep("signal to itself", call, SYS_tgkill, 0, 0);
  errors += handled - before != hits - hitsBefore;
  sweep("interrupt over the program", overProgram, 77, 77, overTheProgram);
  kernelStack = (uint64_t *)(top - 1024); // aligned as at a call, and not
  sweep("interrupt over kernel code", overKernel, 77, 77, onKernelStack);
  kernelStack = (uint64_t *)(top - 1032);
  sweep("interrupt over kernel code, odd stack", overKernel, 77, 77, onKernelStack);
  sweep("interrupt over kernel code, program's stack", overKernel, 77, 77, onProgramStack);
  sweep("page fault", touch, 77, 77, freshPage);

  apic[kLvtTimer] = kTimerVector; // the kernel's again: it looks for what is due
  apic[kTimerInitial] = 1;
  usleep(1000);
  printf("%ld interrupts, %ld errors\n", hits, errors);
  return errors != 0;
}

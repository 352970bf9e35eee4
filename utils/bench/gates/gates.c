// SPDX-License-Identifier: BSD-3-Clause
//
// What the gates cost, in guest instructions. Runs in an image under `osv-run --icount`, where the time-stamp counter
// counts exactly the instructions that the guest executes (shift=0: one instruction is one nanosecond is one tick).
// utils/bench/gates/run gives the addresses of kernel symbols as arguments and makes a table of the lines printed here.
//
// Each figure is the difference of two loops, with and without what is measured, over kRounds rounds; so loop and
// counter cost nothing. With the argument `switch` the program only has two threads yield to each other.
#define _GNU_SOURCE
#include "made-up-interrupt.h"
#include <elf.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { kRounds = 2000 };

static inline uint64_t ticks(void) {
  uint32_t lo, hi;
  __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi)::"memory");
  return ((uint64_t)hi << 32) | lo;
}

static void report(const char *what, double n) { printf("%s: %.1f\n", what, n); }

// The loop body is `mov; syscall` against `mov; nop`: the syscall instruction itself counts.
static void nullCall(void) {
  uint64_t t0 = ticks();
  for (int i = 0; i < kRounds; i++) {
    long r = SYS_getppid;
    __asm__ volatile("nop" : "+a"(r)::"rcx", "r11", "memory");
  }
  uint64_t t1 = ticks();
  for (int i = 0; i < kRounds; i++) {
    long r = SYS_getppid;
    __asm__ volatile("nop; nop; nop; nop; nop; syscall" : "+a"(r)::"rcx", "r11", "memory");
  }
  uint64_t t2 = ticks();
  report("null system call", ((double)(t2 - t1) - (double)(t1 - t0)) / kRounds - 4);
}

static void clockCall(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  uint64_t t0 = ticks();
  for (int i = 0; i < kRounds; i++)
    __asm__ volatile("" ::: "memory");
  uint64_t t1 = ticks();
  for (int i = 0; i < kRounds; i++)
    clock_gettime(CLOCK_MONOTONIC, &ts);
  uint64_t t2 = ticks();
  report("clock_gettime, with libc's wrapper", ((double)(t2 - t1) - (double)(t1 - t0)) / kRounds);
}

// The vDSO's function alone: against a function that is one `ret`.
typedef int ClockFunction(clockid_t, struct timespec *);
int justReturn(clockid_t, struct timespec *);
__asm__(".text\njustReturn: ret\n");

static ClockFunction *findClock(void) {
  uint64_t base = getauxval(AT_SYSINFO_EHDR);
  const Elf64_Ehdr *header = (const Elf64_Ehdr *)base;
  const Elf64_Phdr *segments = (const Elf64_Phdr *)(base + header->e_phoff);
  const char *names = 0;
  const Elf64_Sym *symbol = 0;
  for (int i = 0; i < header->e_phnum; i++)
    if (segments[i].p_type == PT_DYNAMIC)
      for (const Elf64_Dyn *d = (const Elf64_Dyn *)(base + segments[i].p_vaddr); d->d_tag; d++) {
        names = d->d_tag == DT_STRTAB ? (const char *)(base + d->d_un.d_ptr) : names;
        symbol = d->d_tag == DT_SYMTAB ? (const Elf64_Sym *)(base + d->d_un.d_ptr) : symbol;
      }
  while (strcmp(names + symbol->st_name, "__vdso_clock_gettime"))
    symbol++;
  return (ClockFunction *)(base + symbol->st_value);
}

static uint64_t clockLoop(ClockFunction *volatile f) {
  struct timespec ts;
  uint64_t t0 = ticks();
  for (int i = 0; i < kRounds; i++)
    f(CLOCK_MONOTONIC, &ts);
  return ticks() - t0;
}

static void vdsoCall(void) {
  uint64_t empty = clockLoop(justReturn), full = clockLoop(findClock());
  report("clock_gettime, the vDSO's function", (double)(full - empty) / kRounds + 1);
}

// The interrupt gate around an empty handler. The empty loop goes to an `iretq` of its own, so that is added.
struct MadeUpInterrupt madeUp;
extern char programReturn[], kernelReturn[], onlyIret[];
void overProgram(void);
void overKernel(void);
__asm__(".text\n"
        "onlyIret: iretq\n"
        ".globl overProgram, overKernel\n"
        "overProgram:\n" MADE_UP_INTERRUPT("program", MADE_UP_PROGRAM_RSP) "  ret\n"
                                                                           "overKernel:\n" MADE_UP_INTERRUPT(
                                                                               "kernel", MADE_UP_KERNEL_RSP) "  ret\n");

static uint64_t interruptLoop(void (*interrupt)(void), uint64_t entry, uint64_t *slot) {
  madeUp.entry = entry;
  uint64_t t0 = ticks();
  for (int i = 0; i < kRounds; i++) {
    *slot = (uint64_t)kernelReturn; // what the kernel's `ret` finds; the interrupt has overwritten nothing above
    interrupt();
  }
  return ticks() - t0;
}

static void interruptGate(char **argv) {
  static uint64_t ist[64] __attribute__((aligned(16)));
  uint64_t entry = symbolArgument(argv, "osv_vectors") + kVectorBytes * kSpuriousVector, unused;
  uint64_t *stack = (uint64_t *)(kernelStackTop(symbolArgument(argv, "osv_gate_block")) - 1024);
  madeUp.stack = (uint64_t)(ist + 64);
  madeUp.rip = (uint64_t)programReturn;
  double full = (double)interruptLoop(overProgram, entry, &unused);
  report("interrupt, empty handler, over program code",
         (full - (double)interruptLoop(overProgram, (uint64_t)onlyIret, &unused)) / kRounds + 1);
  madeUp.rip = symbolArgument(argv, "osv_write_fs_base_r11_end") - 1; // a `ret`
  madeUp.rsp = (uint64_t)stack;
  full = (double)interruptLoop(overKernel, entry, stack);
  report("interrupt, empty handler, over kernel code",
         (full - (double)interruptLoop(overKernel, (uint64_t)onlyIret, stack)) / kRounds + 1);
}

static void pageFault(void) {
  enum { kPages = 256 };
  char *p = mmap(0, (kPages + 512) * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    exit(1);
  madvise(p, (kPages + 512) * 4096, MADV_NOHUGEPAGE);
  p[0] = 1;
  uint64_t t0 = ticks();
  for (int i = 1; i < kPages; i++)
    *(volatile char *)(p + (size_t)i * 4096) = 1;
  uint64_t t1 = ticks();
  report("anonymous page fault, 512 of them clearing the page", (double)(t1 - t0) / (kPages - 1));
}

static void *spinner(void *stop) {
  while (!*(volatile int *)stop)
    sched_yield();
  return 0;
}

static void contextSwitch(void) {
  volatile int stop = 0;
  pthread_t t;
  if (pthread_create(&t, 0, spinner, (void *)&stop))
    exit(1);
  sched_yield();
  uint64_t t0 = ticks();
  for (int i = 0; i < kRounds; i++)
    sched_yield();
  uint64_t t1 = ticks();
  stop = 1;
  pthread_join(t, 0);
  report("sched_yield to another thread, one way", (double)(t1 - t0) / kRounds / 2);
}

// A timer that notifies nobody: what its interrupt costs shows as a gap between two reads of the counter.
static void timerInterrupt(void) {
  timer_t timer;
  struct sigevent ev = {.sigev_notify = SIGEV_NONE};
  if (timer_create(CLOCK_MONOTONIC, &ev, &timer))
    exit(1);
  uint64_t best = ~0ull, sum = 0;
  int hits = 0;
  for (int i = 0; i < 50; i++) {
    struct itimerspec at = {.it_value.tv_nsec = 20000};
    timer_settime(timer, 0, &at, 0);
    uint64_t last = ticks(), usual = ~0ull, gap = 0;
    for (int n = 0; n < 20000; n++) {
      uint64_t now = ticks(), d = now - last;
      last = now;
      if (d < usual)
        usual = d;
      if (d > gap)
        gap = d;
    }
    if (gap > 2 * usual) {
      gap -= usual;
      best = gap < best ? gap : best;
      sum += gap;
      hits++;
    }
  }
  timer_delete(timer);
  if (hits)
    report("timer interrupt with an expired timer to handle", (double)best);
}

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "switch")) {
    contextSwitch();
    return 0;
  }
  nullCall();
  vdsoCall();
  clockCall();
  interruptGate(argv);
  pageFault();
  contextSwitch();
  timerInterrupt();
  return 0;
}

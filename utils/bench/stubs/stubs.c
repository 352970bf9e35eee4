// SPDX-License-Identifier: BSD-3-Clause
//
// What a null system call costs by each tactic: one function for each, whose site gets that tactic by what surrounds
// it. In an image under `osv-run --icount` the time-stamp counter counts guest instructions, in a process cycles.
// utils/bench/stubs/run makes the table.
//
// Each figure is the fastest batch with the call, less the fastest of the same instructions without it.
#include <stdint.h>
#include <stdio.h>

enum { kBatch = 200, kBatches = 2000, kGetppid = 110 };

static inline uint64_t ticks(void) {
  uint32_t lo, hi;
  __asm__ volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi)::"memory");
  return ((uint64_t)hi << 32) | lo;
}

// What stands before the call, and behind it. `jmp` makes its target one that B and mixed have to leave where it is.
#define S0_BEFORE "movl $110, %%eax\n" // five bytes
#define S0_AFTER ""
#define S1_BEFORE "movq %%rbx, %%rax\nxorl %%edi, %%edi\n" // three and two
#define S1_AFTER ""
#define B_BEFORE "movq %%rbx, %%rax\njmp 1f\n1:\n"
#define B_AFTER "movq %%rax, %%rdx\n" // three
#define MIXED_BEFORE "jmp 1f\n1: movq %%rbx, %%rax\n"
#define MIXED_AFTER ""

#define LOOP(name, text)                                                                                               \
  __attribute__((noinline)) static uint64_t name(void) {                                                               \
    uint64_t start = ticks();                                                                                          \
    for (unsigned i = 0; i < kBatch; i++)                                                                              \
      __asm__ volatile(text ::"b"((long)kGetppid) : "rax", "rcx", "rdx", "rdi", "r11", "memory");                      \
    return ticks() - start;                                                                                            \
  }
#define TACTIC(tactic)                                                                                                 \
  LOOP(call##tactic, tactic##_BEFORE "syscall\n" tactic##_AFTER)                                                       \
  LOOP(empty##tactic, tactic##_BEFORE tactic##_AFTER)
TACTIC(S0)
TACTIC(S1)
TACTIC(B)
TACTIC(MIXED)

static double fastest(uint64_t (*batch)(void)) {
  uint64_t best = ~0ull;
  for (unsigned i = 0; i < kBatches; i++) {
    uint64_t took = batch();
    best = took < best ? took : best;
  }
  return (double)best / kBatch;
}

int main(void) {
  printf("S0: %.1f\n", fastest(callS0) - fastest(emptyS0));
  printf("S1: %.1f\n", fastest(callS1) - fastest(emptyS1));
  printf("B: %.1f\n", fastest(callB) - fastest(emptyB));
  printf("mixed: %.1f\n", fastest(callMIXED) - fastest(emptyMIXED));
  return 0;
}

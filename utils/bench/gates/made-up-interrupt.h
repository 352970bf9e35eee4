// SPDX-License-Identifier: BSD-3-Clause
//
// An interrupt where and when one wants it. The program of an image runs in ring 0, so it can lay out the frame that
// the processor would push and jump to the vector; the gate cannot tell. What is "interrupted" is either this program,
// or a `ret` in the kernel's text that leads back here, on any stack.
//
// For tests and benchmarks of the gates, inside an image only. Addresses come from the image's symbol table, as
// arguments of the program (`symbolArgument`).
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kVectorBytes = 16, kSpuriousVector = 255 }; // the handler of that vector is empty

struct MadeUpInterrupt {
  uint64_t entry; ///< osv_vectors + kVectorBytes * vector
  uint64_t stack; ///< top of the stack that the processor would take from the TSS, 16-byte aligned
  uint64_t rip;   ///< the interrupted instruction: `name`Return of the user of MADE_UP_INTERRUPT, or a kernel `ret`
  uint64_t rsp;   ///< of kernel code: holds the address of `name`Return
  uint64_t programRsp;
};
extern struct MadeUpInterrupt madeUp;

/// Assembly that is interrupted as `madeUp` says, goes on at the label `name`Return and leaves all registers and flags
/// as they were. RSP: MADE_UP_PROGRAM_RSP or MADE_UP_KERNEL_RSP.
#define MADE_UP_PROGRAM_RSP "madeUp+32(%rip)"
#define MADE_UP_KERNEL_RSP "madeUp+24(%rip)"
#define MADE_UP_INTERRUPT(NAME, RSP)                                                                                   \
  "  movq %rsp, madeUp+32(%rip)\n"                                                                                     \
  "  movq madeUp+8(%rip), %rsp\n"                                                                                      \
  "  pushq $0x10\n"                                                                                                    \
  "  pushq " RSP "\n"                                                                                                  \
  "  pushfq\n"                                                                                                         \
  "  pushq $8\n"                                                                                                       \
  "  pushq madeUp+16(%rip)\n"                                                                                          \
  "  pushq $2\n" /* the processor turns interrupts off */                                                              \
  "  popfq\n"                                                                                                          \
  "  jmpq *madeUp(%rip)\n"                                                                                             \
  "  .globl " NAME "Return\n" NAME "Return:\n"                                                                         \
  "  movq madeUp+32(%rip), %rsp\n"

/// The value of the argument `name=0x...`, or 0.
static inline uint64_t symbolArgument(char **argv, const char *name) {
  size_t n = strlen(name);
  for (; *argv; argv++)
    if (!strncmp(*argv, name, n) && (*argv)[n] == '=')
      return strtoull(*argv + n + 1, 0, 16);
  return 0;
}

/// The top of this thread's kernel stack, empty as long as the program runs. `block`: osv_gate_block.
static inline uint64_t kernelStackTop(uint64_t block) {
  uint64_t top;
  __asm__ volatile("movq %%gs:8(%1), %0" : "=r"(top) : "r"(block));
  return top;
}

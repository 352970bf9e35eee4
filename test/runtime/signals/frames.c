// SPDX-License-Identifier: BSD-3-Clause
//
// FP state in signal frames that handlers have changed, spoilt or thrown away, and frames on pages that are not there yet
// or not writable, natively and in the image.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, qemu, glibc-static
// RUN: gcc -static -O1 -w -o %t %s && %t > %t.native
// RUN: %osv-rewrite %t -o %t.img && %osv-run %t.img > %t.gs && diff %t.native %t.gs
// RUN: %osv-run --cpu qemu64 %t.img > %t.old && diff %t.native %t.old
// RUN: %osv-rewrite --tls=fs %t -o %t.fs.img && %osv-run --smp 2 %t.fs.img > %t.fs && diff %t.native %t.fs
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { kMxcsr = 24, kXmm5 = 160 + 5 * 16, kXmm15 = 160 + 15 * 16, kMagic1 = 464, kHeader = 512 };

static void (*change)(ucontext_t *uc, char *fp);
static void onSignal(int signo, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  asm volatile("pcmpeqd %%xmm5, %%xmm5; pcmpeqd %%xmm15, %%xmm15; fninit; fldz" ::: "xmm5", "xmm15");
  if (change)
    change(uc, (char *)uc->uc_mcontext.fpregs);
}

static sigjmp_buf env;
static int faultCode;
static void onFault(int signo, siginfo_t *info, void *context) {
  faultCode = info->si_code;
  siglongjmp(env, 1);
}

/// One signal, handled; shows what FP registers hold after it.
static void show(const char *what, void (*how)(ucontext_t *, char *)) {
  change = how;
  uint64_t low = 0x1111222233334444, high = 0;
  double st = 0, two = 2;
  uint32_t mxcsr = 0x3f80, after = 0, usual = 0x1f80; // another rounding mode
  if (sigsetjmp(env, 1)) {
    asm volatile("ldmxcsr %0; fninit" ::"m"(usual));
    printf("%s: SIGSEGV code %d\n", what, faultCode);
    return;
  }
  long number = SYS_tgkill;
  asm volatile("movq %[low], %%xmm5; movq %[low], %%xmm15; fldl %[two]; ldmxcsr %[mxcsr]; syscall; stmxcsr %[after];"
               "movq %%xmm5, %[low]; movq %%xmm15, %[high]; fstpl %[st]; ldmxcsr %[usual]; fninit"
               : [low] "+r"(low), [high] "=r"(high), [after] "=m"(after), [st] "=m"(st), "+a"(number)
               : "D"((long)getpid()), "S"(syscall(SYS_gettid)),
                 "d"((long)SIGUSR1), [mxcsr] "m"(mxcsr), [two] "m"(two), [usual] "m"(usual)
               : "rcx", "r11", "xmm5", "xmm15", "memory");
  printf("%s: xmm5 %lx xmm15 %lx st %s mxcsr %x\n", what, low, high, st == 2 ? "2" : "gone", after);
}

static void setXmm(ucontext_t *uc, char *fp) { memset(fp + kXmm5, 0x55, 16); }
static void setMode(ucontext_t *uc, char *fp) { *(uint32_t *)(fp + kMxcsr) = 0x7f80; }
static void badMode(ucontext_t *uc, char *fp) { *(uint32_t *)(fp + kMxcsr) |= 1u << 30; }
static void noMagic(ucontext_t *uc, char *fp) { memset(fp + kMagic1, 0, 4); }
static int hasHeader(char *fp) { return *(uint32_t *)(fp + kMagic1) == 0x46505853; }
static void noEnd(ucontext_t *uc, char *fp) {
  if (hasHeader(fp))
    memset(fp + *(uint32_t *)(fp + kMagic1 + 16), 0, 4);
}
static void hugeSize(ucontext_t *uc, char *fp) {
  if (hasHeader(fp))
    *(uint32_t *)(fp + kMagic1 + 16) = 0x7ffffff0;
}
/// Without XSAVE there is no header to spoil: the mode does instead.
static void badFeature(ucontext_t *uc, char *fp) {
  hasHeader(fp) ? *(uint64_t *)(fp + kHeader) |= 1ull << 62 : badMode(uc, fp), 0;
}
static void compacted(ucontext_t *uc, char *fp) {
  hasHeader(fp) ? *(uint64_t *)(fp + kHeader + 8) = 1ull << 63 : badMode(uc, fp), 0;
}
static void reserved(ucontext_t *uc, char *fp) {
  hasHeader(fp) ? *(uint64_t *)(fp + kHeader + 16) = 1 : badMode(uc, fp), 0;
}
static void noState(ucontext_t *uc, char *fp) { uc->uc_mcontext.fpregs = 0; }
static void unmapped(ucontext_t *uc, char *fp) { uc->uc_mcontext.fpregs = (void *)0x12340; }
static void kernels(ucontext_t *uc, char *fp) { uc->uc_mcontext.fpregs = (void *)0xffff800000000000; }
static void wraps(ucontext_t *uc, char *fp) { uc->uc_mcontext.fpregs = (void *)0xffffffffffffff00; }
static void copied(ucontext_t *uc, char *fp) {
  static char copy[16384] __attribute__((aligned(64)));
  memcpy(copy, fp, hasHeader(fp) ? *(uint32_t *)(fp + kMagic1 + 4) : 512);
  memset(copy + kXmm15, 0x77, 16);
  uc->uc_mcontext.fpregs = (void *)copy;
}

static void onStack(void *stack, size_t size, const char *what) {
  stack_t alternate = {.ss_sp = stack, .ss_size = size}, off = {.ss_flags = SS_DISABLE};
  sigaltstack(&alternate, 0);
  show(what, 0);
  sigaltstack(&off, 0);
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  struct sigaction a = {.sa_sigaction = onSignal, .sa_flags = SA_SIGINFO | SA_ONSTACK},
                   f = {.sa_sigaction = onFault, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &a, 0);
  sigaction(SIGSEGV, &f, 0);
  show("unchanged", 0);
  show("xmm5 changed", setXmm);
  show("mode changed", setMode);
  show("mode with a reserved bit", badMode);
  show("no first mark", noMagic);
  show("no second mark", noEnd);
  show("size out of range", hugeSize);
  show("unknown feature", badFeature);
  show("compacted", compacted);
  show("reserved word of the header", reserved);
  show("no state", noState);
  show("state not mapped", unmapped);
  show("state in the kernel's half", kernels);
  show("state that wraps around", wraps);
  show("state elsewhere", copied);

  size_t size = 16 * 4096;
  char *stack = mmap(0, 3 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  for (int i = 0; i < 32; i++) // each time pages that were never touched, with the parts at another offset
    onStack(stack, 2 * size + i * 136, "fresh stack"), madvise(stack, 3 * size, MADV_DONTNEED);
  for (int pages = 1; pages < 4; pages++) { // the frame runs into what may not be written
    mprotect(stack, 3 * size, PROT_READ | PROT_WRITE);
    mprotect(stack + size - 4096 * pages, 4096, PROT_READ);
    onStack(stack, size, pages == 1 ? "read-only top" : "read-only below"), madvise(stack, 3 * size, MADV_DONTNEED);
  }
  munmap(stack + size - 4096, 4096);
  onStack(stack, size, "unmapped top");
  puts("done");
}

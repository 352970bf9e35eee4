// SPDX-License-Identifier: BSD-3-Clause
//
// Runs the cases that utils/fuzz-stubs generates. Each is code between `jmp *osv_case` and `jmp osv_done`; it starts with registers, flags, stack
// and data that depend only on its number, and all of them are hashed when it is done.
//
//     harness RESULTS     runs all; writes a 64-bit hash for each run to the file
//     harness image       the same for a kernel: prints one hash for all runs, without r11 (where Linux leaves flags)
//     harness show CASE   prints the final states of one case
//     harness hash CASE   prints its hashes
//
// A case may crash or hang (when its stub is broken): the signal is what is hashed then, and the next one goes on.
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { kRuns = 2, kStackWords = 256, kDataWords = 32, kXmm = 4 };

struct State {
  uint64_t gpr[16]; // in the order of their encoding: rax rcx rdx rbx rsp rbp rsi rdi r8..r15
  uint64_t flags;
  uint64_t xmm[kXmm][2];
};
struct State osv_in, osv_out;
uint64_t osv_case; // where to jump
uint64_t osv_stack[kStackWords] __attribute__((aligned(64)));
uint64_t osv_data[kDataWords] __attribute__((aligned(64)));
uint64_t osv_kernel_stack[512] __attribute__((aligned(64))); // for the harness's own few pushes
extern const uint64_t osv_cases[], osv_case_count;
extern char osv_done[];

void osv_run_case(void);
__asm__(".text\n"
        ".macro each op\n"
        "  \\op rax,0; \\op rcx,1; \\op rdx,2; \\op rbx,3; \\op rsp,4; \\op rbp,5; \\op rsi,6; \\op rdi,7; \\op r8,8; "
        "\\op r9,9; \\op r10,10; \\op r11,11\n"
        "  \\op r12,12; \\op r13,13; \\op r14,14; \\op r15,15\n"
        ".endm\n"
        ".macro load r,n\n movq osv_in+8*\\n(%rip), %\\r\n.endm\n"
        ".macro store r,n\n movq %\\r, osv_out+8*\\n(%rip)\n.endm\n"
        ".globl osv_run_case, osv_done\n"
        ".type osv_run_case, @function\n"
        "osv_run_case:\n"
        "  pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
        "  movq %rsp, osv_saved(%rip)\n"
        ".irp n,0,1,2,3\n movups osv_in+136+16*\\n(%rip), %xmm\\n\n.endr\n"
        "  leaq osv_kernel_stack+2048(%rip), %rsp\n"
        "  pushq osv_in+128(%rip)\n"
        "  popfq\n"
        "  each load\n"
        "  jmpq *osv_case(%rip)\n"
        ".size osv_run_case, . - osv_run_case\n"
        ".type osv_done, @function\n"
        "osv_done:\n"
        "  each store\n"
        "  leaq osv_kernel_stack+2048(%rip), %rsp\n"
        "  pushfq\n"
        "  popq osv_out+128(%rip)\n"
        "  cld\n"
        ".irp n,0,1,2,3\n movups %xmm\\n, osv_out+136+16*\\n(%rip)\n.endr\n"
        "  movq osv_saved(%rip), %rsp\n"
        "  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
        "  retq\n"
        ".size osv_done, . - osv_done\n"
        ".local osv_saved\n"
        ".comm osv_saved,8,8\n");

static uint64_t next(uint64_t *state) { // splitmix64
  uint64_t z = *state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static void prepare(uint64_t number, unsigned run) {
  uint64_t seed = number * kRuns + run;
  for (unsigned i = 0; i < 16; i++) {
    uint64_t value = next(&seed);
    osv_in.gpr[i] = value >> 60 < 4 ? value & 1 : value >> 60 < 6 ? -(value & 1) : value;
  }
  osv_in.gpr[0] = 0x20000000 | (next(&seed) & 0xffffff); // no system call has such a number
  osv_in.gpr[3] = (uint64_t)osv_data;
  osv_in.gpr[4] = (uint64_t)(osv_stack + kStackWords / 2);
  osv_in.gpr[15] = 3;                           // how often a loop runs
  osv_in.flags = 0x202 | (next(&seed) & 0xcd5); // CF PF AF ZF SF DF OF
  for (unsigned i = 0; i < kXmm; i++)
    for (unsigned j = 0; j < 2; j++)
      osv_in.xmm[i][j] = next(&seed);
  for (unsigned i = 0; i < kStackWords; i++)
    osv_stack[i] = (uint64_t)osv_done; // a `ret` ends the case
  for (unsigned i = 0; i < kDataWords; i++)
    osv_data[i] = next(&seed);
  osv_data[kDataWords - 1] = 0x20000000 | (seed & 0xffffff); // what `mov osv_number(%rip), %eax` loads
}

static sigjmp_buf recover;
static volatile sig_atomic_t running, ticks;

static void onFault(int signo) { siglongjmp(recover, signo); }
static void onTick(int signo) {
  if (running && ++ticks == 5)
    siglongjmp(recover, signo);
}

static int hideR11;

/// The signal that ended it, or 0.
static int runOnce(uint64_t number, unsigned run) {
  prepare(number, run);
  osv_case = osv_cases[number];
  int signo = sigsetjmp(recover, 0);
  if (!signo) {
    ticks = 0;
    running = 1;
    osv_run_case();
  } else {
    __asm__ volatile("cld");
    memset(&osv_out, 0, sizeof osv_out);
  }
  running = 0;
  if (hideR11)
    osv_out.gpr[11] = 0;
  return signo;
}

static uint64_t hashWords(uint64_t hash, const void *words, size_t bytes) {
  for (size_t i = 0; i < bytes / 8; i++) {
    hash = (hash ^ ((const uint64_t *)words)[i]) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 32;
  }
  return hash;
}

static uint64_t hashRun(uint64_t number, unsigned run) {
  int signo = runOnce(number, run);
  if (signo)
    return (uint64_t)signo; // how far it came is not compared
  uint64_t hash = hashWords(1, &osv_out, sizeof osv_out);
  hash = hashWords(hash, osv_stack, sizeof osv_stack);
  return hashWords(hash, osv_data, sizeof osv_data);
}

static void show(uint64_t number) {
  static const char *const kNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                       "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
  for (unsigned run = 0; run < kRuns; run++) {
    int signo = runOnce(number, run);
    printf("run %u, signal %d, flags %lx\n", run, signo, osv_out.flags);
    for (unsigned i = 0; i < 16; i++)
      printf("%u %s %lx\n", run, kNames[i], osv_out.gpr[i]);
    for (unsigned i = 0; i < kXmm; i++)
      printf("%u xmm%u %lx %lx\n", run, i, osv_out.xmm[i][1], osv_out.xmm[i][0]);
    for (unsigned i = 0; i < kStackWords; i++)
      if (osv_stack[i] != (uint64_t)osv_done)
        printf("%u stack%+d %lx\n", run, (int)(i - kStackWords / 2) * 8, osv_stack[i]);
    printf("%u data %lx\n", run, hashWords(1, osv_data, sizeof osv_data));
  }
}

int main(int argc, char **argv) {
  static char signalStack[65536];
  stack_t alternate = {.ss_sp = signalStack, .ss_size = sizeof signalStack};
  sigaltstack(&alternate, NULL);
  static const int kFaults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
  struct sigaction action = {.sa_handler = onFault, .sa_flags = SA_ONSTACK | SA_NODEFER};
  for (unsigned i = 0; i < sizeof kFaults / sizeof *kFaults; i++)
    sigaction(kFaults[i], &action, NULL);
  action.sa_handler = onTick;
  sigaction(SIGVTALRM, &action, NULL);
  struct itimerval tick = {{0, 20000}, {0, 20000}};
  setitimer(ITIMER_VIRTUAL, &tick, NULL);

  hideR11 = !strcmp(argv[argc - 1], "image");
  if (argc == 3 && !strcmp(argv[1], "show")) {
    show(strtoul(argv[2], NULL, 10));
    return 0;
  }
  if (argc == 3 && !strcmp(argv[1], "hash")) {
    for (unsigned run = 0; run < kRuns; run++)
      printf("%lx\n", hashRun(strtoul(argv[2], NULL, 10), run));
    return 0;
  }
  if (argc == 2 && hideR11) {
    uint64_t all = 1;
    for (uint64_t i = 0; i < osv_case_count; i++)
      for (unsigned run = 0; run < kRuns; run++) {
        uint64_t hash = hashRun(i, run);
        all = hashWords(all, &hash, sizeof hash);
        if (run == 0 && i % 50 == 49)
          printf("up to case %lu: %lx\n", i, all);
      }
    printf("%lu cases: %lx\n", osv_case_count, all);
    return 0;
  }
  if (argc != 2)
    return 2;
  uint64_t *results = malloc(osv_case_count * kRuns * sizeof *results);
  for (uint64_t i = 0; i < osv_case_count; i++)
    for (unsigned run = 0; run < kRuns; run++)
      results[i * kRuns + run] = hashRun(i, run);
  FILE *file = fopen(argv[1], "wb");
  return !file || fwrite(results, sizeof *results, osv_case_count * kRuns, file) != osv_case_count * kRuns ||
         fclose(file);
}

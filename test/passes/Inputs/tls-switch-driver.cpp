// SPDX-License-Identifier: BSD-3-Clause
//
// Plays program and kernel for tls-switch_exec.cpp. A second, parked thread lends its thread pointer as the kernel's
// (GateBlock::kernelFs); the program calls with its own FS, and with one that points to nothing. Prints the answers,
// which must not depend on the pass; aborts when FS or the wrong thread's variables changed.
//
// Arguments: `switched` when the pass ran; `patched` to replace every recorded instruction by a call first, as the
// kernel does on a CPU without FSGSBASE.
#include "../../../runtime/abi/Gate.h"
#include "tls-switch.h"
#include <asm/prctl.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#define MUST(condition) ((condition) ? (void)0 : (fprintf(stderr, "failed: %s\n", #condition), abort()))

struct Site {
  uint64_t address, routine;
};
extern "C" Site fsgsbase_start[], fsgsbase_end[];
extern "C" void osv_read_fs_base_r11(), osv_write_fs_base_r11();
extern "C" int64_t routineCalls;
__attribute__((section(".ktls"))) extern "C" constinit osv::GateBlock osv_gate_block;
constinit osv::GateBlock osv_gate_block{};

asm(R"(
        .text
        .globl osv_read_fs_base_r11, osv_write_fs_base_r11
osv_read_fs_base_r11:
        incq routineCalls(%rip)
        rdfsbase %r11
        retq
osv_write_fs_base_r11:
        incq routineCalls(%rip)
        wrfsbase %r11
        retq
        .bss
        .balign 8
        .globl routineCalls
routineCalls: .quad 0
        .text
)");

static uint64_t readFs() {
  uint64_t base;
  asm volatile("rdfsbase %0" : "=r"(base));
  return base;
}

static void patch() {
  auto page = reinterpret_cast<uintptr_t>(&count) & ~uintptr_t{4095};
  MUST(mprotect(reinterpret_cast<void *>(page - 8 * 4096), 16 * 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0 ||
       mprotect(reinterpret_cast<void *>(page), 2 * 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
  for (Site *site = fsgsbase_start; site != fsgsbase_end; ++site) {
    auto *code = reinterpret_cast<uint8_t *>(site->address);
    auto displacement = static_cast<int32_t>(site->routine - (site->address + 5));
    code[0] = 0xe8;
    memcpy(code + 1, &displacement, 4);
  }
}

/// One call with FS at `base`; what the program has there is as it was afterwards.
__attribute__((noinline)) static uint64_t callWithFs(uint64_t base, uint64_t by) {
  uint64_t own = readFs(), after, result;
  asm volatile("wrfsbase %0" ::"r"(base) : "memory");
  result = count(by) + pure(by);
  asm volatile("rdfsbase %0; wrfsbase %1" : "=&r"(after) : "r"(own) : "memory");
  MUST(after == base);
  return result;
}

int main(int argc, char **argv) {
  bool switched = argc > 1 && !strcmp(argv[1], "switched");
  static int go[2], done[2];
  static uint64_t kernelFs, kernelCalls;
  MUST(pipe(go) == 0 && pipe(done) == 0);
  std::thread kernel([] {
    kernelFs = readFs();
    char byte = 0;
    MUST(write(done[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 1);
    kernelCalls = calls;
  });
  char byte;
  MUST(read(done[0], &byte, 1) == 1);
  static osv::GateBlock block;
  block.kernelFs = kernelFs;
  MUST(syscall(SYS_arch_prctl, ARCH_SET_GS,
               reinterpret_cast<uint64_t>(&block) - reinterpret_cast<uint64_t>(&osv_gate_block)) == 0);
  MUST((fsgsbase_end - fsgsbase_start != 0) == switched);
  for (Site *site = fsgsbase_start; site != fsgsbase_end; ++site) {
    auto *code = reinterpret_cast<const uint8_t *>(site->address);
    MUST(code[0] == 0xf3 && code[1] == 0x49 && code[2] == 0x0f && code[3] == 0xae &&
         (code[4] == 0xd3 || code[4] == 0xc3));
    MUST(site->routine == reinterpret_cast<uint64_t>(code[4] == 0xd3 ? &osv_write_fs_base_r11 : &osv_read_fs_base_r11));
  }
  if (argc > 2)
    patch();

  uint64_t own = readFs(), sum = 0;
  for (uint64_t i = 0; i < 10; ++i) {
    sum = sum * 31 + count(i);
    MUST(readFs() == own);
    // Without the pass the function would read the program's own, unmapped TLS.
    sum = sum * 31 + callWithFs(switched ? 0x1000 + i : own, i % 3);
    Wide wide = many(1, -2, 3, 4, 5, 6, 7, static_cast<long>(i), 0.25 * static_cast<double>(i));
    for (uint64_t value : wide.values)
      sum = sum * 31 + value;
  }
  uint64_t mine = calls;
  MUST(write(go[1], &byte, 1) == 1);
  kernel.join();
  MUST((switched ? mine : kernelCalls) == 0);
  MUST((argc > 2) == (routineCalls != 0));
  printf("calls %lu sum %016lx\n", mine + kernelCalls, sum);
}

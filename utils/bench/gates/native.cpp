// SPDX-License-Identifier: BSD-3-Clause
//
// What the gates cost on the host's own processor: the very gates.S of the kernel, linked into an ordinary process.
// FSGSBASE works in user mode, and GS is free there, so the block and the switches are real; handlers are C++ functions
// that do nothing. The interrupt gate is entered on a made-up hardware frame. Compiled three times: `gs` and `fs`
// models, and `none`, the same code with plain symbols in the place of GS.
#include "abi/AsmOffsets.h"
#include "abi/Gate.h"
#include "kernel/arch/Trap.h"
#include <benchmark/benchmark.h>
#include <cstring>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

using namespace osv;

extern "C" {
alignas(64) GateBlock osv_gate_block;
void *osv_syscall_table[SYSCALL_COUNT];
uint64_t osv_native_syscalls;
void osv_gate_direct();
void osv_interrupt_entry();
// What the gates call and these benchmarks do not reach.
void osv_syscall_frame(Frame *) { std::abort(); }
void osv_exit_work(Frame *) { std::abort(); }
void osv_thread_started() { std::abort(); }
void osv_paranoid(Frame *) { std::abort(); }
bool osv_interrupt(Frame *) { return true; }
}

namespace {

alignas(64) char kernelStack[65536];
alignas(64) char istStack[4096];
alignas(64) GateBlock block;

[[clang::preserve_most]] long nullHandler(long, long, long, long, long, long) { return 0; }
[[gnu::noinline]] long plainCall() {
  asm volatile("");
  return 0;
}

void setUp() {
  uint64_t fs = _readfsbase_u64();
  GateBlock g{};
  g.stackTop = reinterpret_cast<uint64_t>(kernelStack + sizeof kernelStack);
  g.stackBottom = reinterpret_cast<uint64_t>(kernelStack);
  g.kernelFs = g.appFs = fs;
  block = osv_gate_block = g;
  _writegsbase_u64(reinterpret_cast<uint64_t>(&block) - reinterpret_cast<uint64_t>(&osv_gate_block));
  for (void *&entry : osv_syscall_table)
    entry = reinterpret_cast<void *>(&nullHandler);
}

long gateCall(long nr) {
  asm volatile("leaq 1f(%%rip), %%rcx\n"
               "jmp osv_gate_direct\n"
               "1:"
               : "+a"(nr)
               :
               : "rcx", "r11", "memory", "cc");
  return nr;
}

/// As the processor would: ss rsp rflags cs rip error on the IST stack, then the vector.
void interrupt() {
  asm volatile("subq $128, %%rsp\n" // the red zone of this very function
               "movq %%rsp, %%rdx\n"
               "movq %[ist], %%rsp\n"
               "movl %%ss, %%eax\n"
               "pushq %%rax\n"
               "pushq %%rdx\n"
               "pushfq\n"
               "movl %%cs, %%eax\n"
               "pushq %%rax\n"
               "leaq 1f(%%rip), %%rax\n"
               "pushq %%rax\n"
               "pushq $0\n"
               "pushq $0xf0\n"
               "jmp osv_interrupt_entry\n"
               "1: addq $128, %%rsp\n"
               :
               : [ist] "r"(istStack + sizeof istStack)
               : "rax", "rdx", "memory", "cc");
}

/// One iteration of the benchmark is a batch of calls; the fastest batch counts, so that a busy host does no harm.
template <typename F> void measure(benchmark::State &state, F f) {
  constexpr unsigned kBatch = 200;
  unsigned aux;
  uint64_t best = ~uint64_t{0};
  for (auto _ : state) {
    uint64_t start = __rdtscp(&aux);
    for (unsigned i = 0; i < kBatch; i++)
      f();
    uint64_t took = __rdtscp(&aux) - start;
    best = took < best ? took : best;
  }
  state.counters["cycles"] = static_cast<double>(best) / kBatch;
}

void systemCallGate(benchmark::State &s) {
  measure(s, [] { benchmark::DoNotOptimize(gateCall(39)); });
}
void interruptGate(benchmark::State &s) {
  measure(s, [] { interrupt(); });
}
void functionCall(benchmark::State &s) {
  measure(s, [] { benchmark::DoNotOptimize(plainCall()); });
}
void hostGetpid(benchmark::State &s) {
  measure(s, [] { benchmark::DoNotOptimize(syscall(SYS_getppid)); });
}

BENCHMARK(systemCallGate);
BENCHMARK(interruptGate);
BENCHMARK(functionCall);
BENCHMARK(hostGetpid);

} // namespace

int main(int argc, char **argv) {
  setUp();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

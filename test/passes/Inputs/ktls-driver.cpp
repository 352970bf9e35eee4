// SPDX-License-Identifier: BSD-3-Clause
//
// Runs `work(seed)` of an _exec test in several threads at once and prints what each returned. With OSV_GS each thread
// first gets a copy of the template and its GS base, as the kernel does for its threads; this file itself is compiled
// without the passes, so that `osv_gate_block` is the template's here.
#include <asm/prctl.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

uint64_t work(uint64_t seed);

#ifdef OSV_GS
extern "C" char ktls_template[], ktls_template_end[];
extern "C" uint64_t osv_gate_block[];

static void enterThread() {
  size_t size = ktls_template_end - ktls_template;
  auto *block = static_cast<char *>(aligned_alloc(64, size));
  memcpy(block, ktls_template, size);
  uintptr_t base = reinterpret_cast<uintptr_t>(block) - reinterpret_cast<uintptr_t>(ktls_template);
  *reinterpret_cast<uintptr_t *>(reinterpret_cast<uintptr_t>(&osv_gate_block[0]) + base) = base;
  if (syscall(SYS_arch_prctl, ARCH_SET_GS, base) != 0)
    abort();
}
#else
static void enterThread() {}
#endif

int main() {
  constexpr unsigned kThreads = 8;
  uint64_t results[kThreads];
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i)
    threads.emplace_back([i, &results] {
      enterThread();
      results[i] = work(i);
    });
  for (auto &thread : threads)
    thread.join();
  for (unsigned i = 0; i < kThreads; ++i)
    printf("thread %u: %016lx\n", i, results[i]);
#ifdef OSV_GS // the threads' copies changed, the template never did
  if (osv_gate_block[0] != 0)
    puts("template was written");
#endif
}

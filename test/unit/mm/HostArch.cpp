// SPDX-License-Identifier: BSD-3-Clause
//
// Fakes of what the memory management asks of the architecture and the scheduler, for one thread on the host.
#include "HostArch.h"
#include "arch/x64/Mmu.h"
#include "kernel/lib/Log.h"
#include "kernel/sched/WaitQueue.h"
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>

namespace osv {

LogLevel logLevel = LogLevel::Warn;
void logLine(LogLevel, std::string_view fmt, FormatArgs) {
  fprintf(stderr, "log: %.*s\n", int(fmt.size()), fmt.data());
}
void panicArgs(std::string_view fmt, FormatArgs) {
  fprintf(stderr, "panic: %.*s\n", int(fmt.size()), fmt.data());
  abort();
}
void verifyFailed(const char *expr, const char *file, int line) {
  fprintf(stderr, "%s:%d: VERIFY(%s)\n", file, line, expr);
  abort();
}
void preemptIfPossible() {}

// One thread: a lock that would have to wait is a bug of the code under test.
void RwMutex::lockShared() {
  VERIFY(state >= 0);
  state++;
}
void RwMutex::unlockShared() {
  VERIFY(state > 0);
  state--;
}
void RwMutex::lock() {
  VERIFY(state == 0);
  state = -1;
}
void RwMutex::unlock() {
  VERIFY(state == -1);
  state = 0;
}

namespace test {
unsigned flushCount;
uint64_t flushStart, flushEnd;

void bringUpMemory() {
  static bool done;
  if (done)
    return;
  done = true;
  void *want = arch::directMap(PAddr(0));
  void *ram = mmap(want, kRamSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  VERIFY(ram == want);
  addMemory(PAddr(0), PAddr(0x9f000));
  addMemory(PAddr(0x100000), kImageStart);
  addMemory(kImageEnd, PAddr(kRamSize));
}
} // namespace test

namespace arch {

VAddr kernelImageStart() { return VAddr(0x7f00'0000); }
VAddr kernelImageEnd() { return VAddr(0x7f05'3000); }
unsigned cpuCount() { return 1; }
void flushRange(uint64_t start, uint64_t end) {
  test::flushCount++;
  test::flushStart = start;
  test::flushEnd = end;
}
void flushAllTlbs() { flushRange(0, ~0ull); }

Result<PageTable> PageTable::create() {
  PageTable t;
  t.rootPage = TRY(allocPages(0, Zero::Yes));
  return t;
}
PageTable PageTable::boot() {
  static PageTable t = create().take();
  return t;
}

} // namespace arch
} // namespace osv

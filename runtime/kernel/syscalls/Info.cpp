// SPDX-License-Identifier: BSD-3-Clause
//
// What the program asks about the machine and about what it has used: uname, sysinfo, getrusage, times, personality,
// getrandom. Time in the kernel is not told apart from time in the program: all of it is user time here.
#include "kernel/Process.h"
#include "kernel/lib/Random.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/mm/PageAllocator.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/signal/Signal.h"
#include "kernel/syscalls/Handlers.h"
#include "kernel/time/Time.h"
#include <algorithm>
#include <linux/random.h>
#include <linux/sysinfo.h>
#include <linux/times.h>
#include <linux/utsname.h>

namespace osv {

namespace {
constexpr Nanos kSecond = 1'000'000'000;
constexpr Nanos kClockTick = kSecond / 100; ///< USER_HZ
} // namespace

Result<long> sys_uname(UserPtr<struct new_utsname> out) {
  struct new_utsname u = {"Linux", "osv", "6.1.0-osv", "#1 SMP PREEMPT_DYNAMIC osv-rewrite", "x86_64", "(none)"};
  TRY(out.write(u));
  return 0L;
}

Result<long> sys_sysinfo(UserPtr<struct sysinfo> out) {
  struct sysinfo s = {};
  MemoryStats m = memoryStats();
  s.uptime = monotonicNow() / kSecond;
  for (auto &load : s.loads)
    load = static_cast<__kernel_ulong_t>(runnableThreads()) << SI_LOAD_SHIFT;
  s.mem_unit = 1;
  s.totalram = m.totalPages * kPageSize;
  s.freeram = m.freePages * kPageSize;
  s.procs = static_cast<uint16_t>(std::min<uint32_t>(currentProcess().threadCount, UINT16_MAX));
  TRY(out.write(s));
  return 0L;
}

Result<long> sys_getrusage(int who, UserPtr<struct rusage> out) {
  struct rusage r = {};
  Process &p = currentProcess();
  Nanos time = 0;
  switch (who) {
  case RUSAGE_SELF: {
    time = p.cpuTime();
    IrqSpinGuard g(p.threadsLock);
    uint64_t voluntary = p.exitedSwitches, involuntary = p.exitedPreemptions;
    for (const Thread &t : p.threads)
      voluntary += t.switches, involuntary += t.preemptions;
    r.ru_nvcsw = static_cast<long>(voluntary);
    r.ru_nivcsw = static_cast<long>(involuntary);
    break;
  }
  case RUSAGE_THREAD:
    time = threadCpuTime(current());
    r.ru_nvcsw = static_cast<long>(current().switches);
    r.ru_nivcsw = static_cast<long>(current().preemptions);
    break;
  case RUSAGE_CHILDREN:
    break;
  default:
    return Errno::Inval;
  }
  r.ru_utime.tv_sec = time / kSecond;
  r.ru_utime.tv_usec = time % kSecond / 1000;
  if (who != RUSAGE_CHILDREN)
    r.ru_maxrss = static_cast<long>(p.addressSpace->usage().peakResidentPages * kPageSize / 1024);
  TRY(out.write(r));
  return 0L;
}

Result<long> sys_times(UserPtr<struct tms> out) {
  if (out) {
    struct tms t = {};
    t.tms_utime = currentProcess().cpuTime() / kClockTick;
    TRY(out.write(t));
  }
  return static_cast<long>(monotonicNow() / kClockTick);
}

Result<long> sys_personality(unsigned wanted) {
  Process &p = currentProcess();
  long old = p.personality;
  if (wanted != 0xffff'ffff)
    p.personality = wanted;
  return old;
}

Result<long> sys_getrandom(uint64_t buffer, size_t size, unsigned flags) {
  if ((flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) ||
      (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
    return Errno::Inval;
  size = std::min<size_t>(size, INT32_MAX);
  std::byte chunk[256];
  size_t done = 0;
  while (done < size) {
    size_t n = std::min(size - done, sizeof chunk);
    fillRandom(std::span(chunk, n));
    size_t copied = copyToUserPartly(VAddr(buffer) + done, chunk, n);
    done += copied;
    if (copied < n) {
      if (done == 0)
        return Errno::Fault;
      break;
    }
    if (done % kPageSize == 0 && (gate().work & kWorkSignal) && signalPending(current()))
      break; // a long request is interruptible, as on Linux
  }
  return static_cast<long>(done);
}

} // namespace osv

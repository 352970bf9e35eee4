// SPDX-License-Identifier: BSD-3-Clause
//
// The vDSO: the functions that a program calls instead of system calls to read the clock and the number of its CPU.
//
// An ELF shared object of its own, linked at build time (vdso.lds), embedded in the runtime (arch/x64/vdso-image.S) and
// mapped into the program by kernel/vdso/Vdso.cpp right behind its data page, which is therefore at a fixed distance
// and needs no relocation. This is program code: it runs with the program's FS, on its stack, may be interrupted and
// preempted anywhere, and touches neither GS nor any thread-local variable, so in both TLS models no gate is involved;
// the annotations of VDSO_EXPORT have the passes prove that at each build.
// A bad pointer faults here, in the program, as on Linux.
//
// What it cannot answer (CPU clocks, unknown ids) it asks the kernel, by the ordinary instruction.
#include "abi/Annotations.h"
#include "kernel/vdso/VdsoData.h"
#include <linux/time_types.h>

namespace {

using osv::VdsoData;
using TimeSpec = __kernel_timespec;
using TimeVal = __kernel_old_timeval;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr unsigned kCoarseResolution = 4'000'000;
constexpr long kClockGetTime = 228, kClockGetRes = 229, kGetCpu = 309; // system call numbers

/// One page before this image (vdso.lds).
extern "C" [[gnu::visibility("hidden")]] const VdsoData osv_vvar;

struct ZoneInfo {
  int minutesWest, dstTime;
};

long systemCall(long number, long a, void *b, void *c = nullptr) {
  long result;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

/// Nanoseconds of the monotonic clock plus `offset`, which is in the data page.
[[gnu::always_inline]] inline uint64_t readClock(const int64_t &offset) {
  const VdsoData &d = osv_vvar;
  for (;;) {
    uint32_t sequence = __atomic_load_n(&d.sequence, __ATOMIC_ACQUIRE);
    asm volatile("lfence" ::: "memory"); // the TSC is not read ahead of what came before
    uint64_t ticks = __builtin_ia32_rdtsc() - d.baseTsc;
    if (static_cast<int64_t>(ticks) < 0) [[unlikely]]
      ticks = 0; // the base was moved on another CPU after our read
    auto scaled = static_cast<uint64_t>((unsigned __int128)ticks * d.factor >> osv::kVdsoShift);
    uint64_t ns =
        scaled + static_cast<uint64_t>(d.baseNanos) + static_cast<uint64_t>(__atomic_load_n(&offset, __ATOMIC_RELAXED));
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    // Equal and even; an odd one never matches itself without its last bit.
    if (__atomic_load_n(&d.sequence, __ATOMIC_RELAXED) == (sequence & ~1u)) [[likely]]
      return ns;
    __builtin_ia32_pause();
  }
}

constexpr unsigned bit(int clock) { return 1u << clock; }
/// The clocks that are here, by id: REALTIME, MONOTONIC, MONOTONIC_RAW, the coarse ones, BOOTTIME, the alarm clocks,
/// TAI.
constexpr unsigned kClocks = bit(0) | bit(1) | bit(4) | bit(5) | bit(6) | bit(7) | bit(8) | bit(9) | bit(11);
constexpr unsigned kCoarse = bit(5) | bit(6);

} // namespace

#define VDSO_EXPORT extern "C" OSV_APP_ENTRY OSV_PRE_SWITCH [[gnu::visibility("default")]]

VDSO_EXPORT int __vdso_clock_gettime(int clock, TimeSpec *time) {
  if (static_cast<unsigned>(clock) >= osv::kVdsoClocks || !(kClocks >> clock & 1)) [[unlikely]]
    return static_cast<int>(systemCall(kClockGetTime, clock, time));
  uint64_t ns = readClock(osv_vvar.offsets[clock]);
  uint64_t seconds = ns / kSecond;
  time->tv_sec = static_cast<int64_t>(seconds);
  time->tv_nsec = static_cast<int64_t>(ns - seconds * kSecond);
  return 0;
}

VDSO_EXPORT int __vdso_gettimeofday(TimeVal *time, ZoneInfo *zone) {
  if (time) [[likely]] {
    uint64_t us = readClock(osv_vvar.offsets[0]) / 1000, seconds = us / 1'000'000;
    time->tv_sec = static_cast<long>(seconds);
    time->tv_usec = static_cast<long>(us - seconds * 1'000'000);
  }
  if (zone)
    *zone = {};
  return 0;
}

VDSO_EXPORT long __vdso_time(long *time) {
  long seconds = static_cast<long>(readClock(osv_vvar.offsets[0]) / kSecond);
  if (time)
    *time = seconds;
  return seconds;
}

VDSO_EXPORT int __vdso_clock_getres(int clock, TimeSpec *resolution) {
  if (static_cast<unsigned>(clock) >= osv::kVdsoClocks || !(kClocks >> clock & 1)) [[unlikely]]
    return static_cast<int>(systemCall(kClockGetRes, clock, resolution));
  if (resolution)
    *resolution = {0, kCoarse >> clock & 1 ? kCoarseResolution : 1};
  return 0;
}

VDSO_EXPORT long __vdso_getcpu(unsigned *cpu, unsigned *node, void *) {
  unsigned number = 0;
  switch (osv_vvar.cpuSource) {
  case osv::kCpuZero:
    break;
  case osv::kCpuRdtscp:
    asm volatile("rdtscp" : "=c"(number)::"eax", "edx");
    break;
  case osv::kCpuRdpid: {
    uint64_t aux;
    asm volatile("rdpid %0" : "=r"(aux));
    number = static_cast<unsigned>(aux);
    break;
  }
  default:
    return systemCall(kGetCpu, reinterpret_cast<long>(cpu), node);
  }
  if (cpu)
    *cpu = number;
  if (node)
    *node = 0;
  return 0;
}

// The names without prefix, which Linux's has too, weak.
#define VDSO_ALIAS(name) [[gnu::weak, gnu::alias("__vdso_" #name), gnu::visibility("default")]]
extern "C" {
VDSO_ALIAS(clock_gettime) int clock_gettime(int, TimeSpec *);
VDSO_ALIAS(gettimeofday) int gettimeofday(TimeVal *, ZoneInfo *);
VDSO_ALIAS(time) long time(long *);
VDSO_ALIAS(clock_getres) int clock_getres(int, TimeSpec *);
VDSO_ALIAS(getcpu) long getcpu(unsigned *, unsigned *, void *);
}

// SPDX-License-Identifier: BSD-3-Clause
//
// The data page that kernel and vDSO share ([vvar]): parameters of the clock, under a sequence counter.
//
// One writer (arch/x64/Clock.cpp, under its lock, interrupts off), any number of readers, which retry when `sequence`
// was odd or moved. The program maps the page read-only; it holds nothing secret. The kernel's own `arch::now()` reads
// the same words.
#pragma once
#include <cstdint>

namespace osv {

inline constexpr unsigned kVdsoShift = 56;
inline constexpr unsigned kVdsoClocks = 12; ///< ids 0..11 (<linux/time.h>)

struct VdsoData {
  uint32_t sequence;  ///< odd: being written
  uint32_t cpuSource; ///< CpuSource: how __vdso_getcpu finds the CPU's number
  uint64_t baseTsc;
  uint64_t factor;              ///< ns = (tsc - baseTsc) * factor >> 56
  int64_t baseNanos;            ///< monotonic time at baseTsc
  int64_t offsets[kVdsoClocks]; ///< clock - monotonic, by clock id; those of CPU clocks are not used
};

enum CpuSource : uint32_t {
  kCpuSyscall = 0, ///< ask the kernel
  kCpuZero = 1,    ///< there is one CPU
  kCpuRdtscp = 2,  ///< IA32_TSC_AUX holds it
  kCpuRdpid = 3,
};

} // namespace osv

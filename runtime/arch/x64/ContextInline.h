// SPDX-License-Identifier: BSD-3-Clause
//
// The inline half of kernel/arch/Context.h for x86-64: the switch itself. Context.cpp tells who restores what.
#pragma once
#include "abi/Gate.h"
#include "arch/x64/Cpu.h"

namespace osv::arch {

/// Which program FS base and whose FP state each CPU holds; touched with interrupts off by its CPU only.
struct CpuContext {
  uint64_t loadedFs = 0; ///< without FSGSBASE: what the MSR holds
  ThreadContext *fpuOwner = nullptr;
};
extern CpuContext cpuContexts[kMaxCpus];

extern "C" void osv_switch(ThreadContext *prev, const ThreadContext *next); // switch.S

inline uint64_t readFsBase() {
  if (!features.fsgsbase) [[unlikely]]
    return cpuContexts[gate().cpu].loadedFs;
  uint64_t v;
  asm volatile("rdfsbase %0" : "=r"(v));
  return v;
}
OSV_COLD void writeFsBaseMsr(uint64_t base);
inline void writeFsBase(uint64_t base) {
  if (!features.fsgsbase) [[unlikely]]
    return writeFsBaseMsr(base);
  asm volatile("wrfsbase %0" ::"r"(base) : "memory");
}

inline GateBlock &gateOf(ThreadContext &c) {
  return *reinterpret_cast<GateBlock *>(c.gsBase + reinterpret_cast<uint64_t>(&osv_gate_block));
}

[[gnu::always_inline]] inline void switchContext(ThreadContext &from, ThreadContext &to, unsigned number) {
  CpuContext &cpu = cpuContexts[number];
#ifdef OSV_TLS_GS
  uint64_t fs = readFsBase();
#endif
  if (from.usesFpu) {
    if (features.xsaveopt) [[likely]] {
      asm volatile("xsaveopt64 (%0)" ::"r"(from.fpu), "a"(static_cast<uint32_t>(features.xcr0)), "d"(0) : "memory");
    } else {
      fpuSave(from.fpu);
    }
    cpu.fpuOwner = &from;
    from.fpuCpu = number;
#ifdef OSV_TLS_GS
    from.appFs = fs;
#endif
  }
  if (to.usesFpu) {
    if (cpu.fpuOwner != &to || to.fpuCpu != number)
      fpuRestore(to.fpu);
#ifdef OSV_TLS_GS
    if (to.appFs != fs)
      writeFsBase(to.appFs);
#endif
  }
  gateOf(to).cpu = number;
#ifdef OSV_TLS_FS
  writeFsBase(gateOf(to).kernelFs);
#endif
  osv_switch(&from, &to);
}

} // namespace osv::arch

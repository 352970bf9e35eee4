// SPDX-License-Identifier: BSD-3-Clause
//
// What the x86-64 files share among themselves: per-CPU tables, detected features, linker-script symbols, MSR numbers.
// Generic code includes kernel/arch/*.h instead.
#pragma once
#include "abi/Annotations.h"
#include "abi/AsmOffsets.h"
#include "abi/Gate.h"
#include "kernel/arch/Cpu.h"
#include "kernel/arch/Trap.h"
#include "kernel/lib/Types.h"
#include <cstdint>
#include <span>

namespace osv::arch {

inline constexpr unsigned kMaxCpus = 64;

/// Decided once, on the boot CPU, before other CPUs start.
struct Features {
  bool fsgsbase, xsave, xsaveopt, avx, avx512, rdrand, rdseed, tscDeadline, pages1G, x2apic, rdtscp, invariantTsc;
  uint64_t xcr0;    ///< state components enabled; 3 without XSAVE
  uint32_t fpuSize; ///< bytes of a thread's FP area
  uint32_t mxcsrMask;
};
extern Features features;

/// Interrupt vectors. 0..31 are the CPU's.
enum Vector : uint8_t {
  kVectorIrqBase = 0x20, ///< + GSI
  kVectorIrqEnd = 0xe0,
  kVectorTimer = 0xf0,
  kVectorReschedule = 0xf1,
  kVectorCall = 0xf2,
  kVectorSpurious = 0xff,
};

inline constexpr uint32_t kMsrEfer = 0xc0000080, kMsrStar = 0xc0000081, kMsrLstar = 0xc0000082, kMsrSfmask = 0xc0000084,
                          kMsrFsBase = 0xc0000100, kMsrGsBase = 0xc0000101, kMsrTscAux = 0xc0000103,
                          kMsrApicBase = 0x1b, kMsrTscDeadline = 0x6e0;

/// Makes the tables that initCpu(cpu) fills; the boot CPU has its own. False: no memory.
bool allocCpuTables(unsigned cpu);
/// GDT, TSS and IST stacks, IDT, control registers, SYSCALL MSRs of the running CPU. Interrupts off.
OSV_PRE_SWITCH void initCpu(unsigned cpu);
/// Enables the FP state components and leaves them in their initial state. After initCpu.
void initFpu();
/// Detects `features` and patches the FSGSBASE sites when the CPU lacks it. Boot CPU, text still writable.
void detectFeatures();
/// Makes thread_local and gate() usable on the boot CPU: the first thing that C++ does (boot.S calls it, so that
/// nothing which needs them is in the same function).
OSV_PRE_SWITCH void initBootTls() asm("osv_init_boot_tls");
void initSignalFrame(); ///< needs `features` with the sizes of FP state
void initApic();        ///< masks the PICs, enables this CPU's local APIC
void initApicTimer();   ///< needs now()
void endOfInterrupt();
void callInterrupt(); ///< the receiving end of callOnAllCpus
void dispatchIrq(unsigned gsi);
/// Writes the running thread's FP state in standard (non-compacted) XSAVE form to kernel memory `dst` (64-byte aligned,
/// features.fpuSize).
inline void fpuSave(void *dst) {
  if (features.xsave) [[likely]] {
    asm volatile("xsave64 (%0)" ::"r"(dst), "a"(static_cast<uint32_t>(features.xcr0)), "d"(0) : "memory");
  } else {
    asm volatile("fxsave64 (%0)" ::"r"(dst) : "memory");
  }
}
/// Loads it; `src` is an image that fpuSave wrote, or a constant.
inline void fpuRestore(const void *src) {
  if (features.xsave) [[likely]] {
    asm volatile("xrstor64 (%0)" ::"r"(src), "a"(static_cast<uint32_t>(features.xcr0)), "d"(0) : "memory");
  } else {
    asm volatile("fxrstor64 (%0)" ::"r"(src) : "memory");
  }
}

extern "C" {
extern char osv_kernel_start[], osv_kernel_end[], osv_text_start[], osv_text_end[], osv_rodata_start[],
    osv_kernel_text_size[], osv_rodata_end[], osv_data_start[], osv_data_end[], osv_ktls_start[], osv_ktls_end[];
extern char osv_gates_start[], osv_gates_end[], osv_gate_tail[], osv_gate_tail_popped[], osv_gate_tail_size[],
    osv_vectors[], osv_write_fs_base_r11[], osv_write_fs_base_r11_end[];
extern char osv_boot_stack[];
/// Virtual minus physical address of the kernel's image (boot.S). A word, because it may be negative.
extern const uint64_t osv_image_shift;
}

} // namespace osv::arch

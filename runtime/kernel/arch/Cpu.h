// SPDX-License-Identifier: BSD-3-Clause
//
// Contract: the processor. What an architecture implements of it is in `arch/<name>/Cpu.h` (inline) and `Cpu.cpp`.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace osv::arch {

using IrqFlags = uint64_t;
#if defined(OSV_HOST_TEST)
inline bool interruptsEnabled() { return true; }
inline IrqFlags saveAndDisableInterrupts() { return 0; }
inline bool restoreInterrupts(IrqFlags) { return true; }
inline void enableInterrupts() {}
inline void disableInterrupts() {}
inline void pause() {}
#else
bool interruptsEnabled();
IrqFlags saveAndDisableInterrupts();
bool restoreInterrupts(IrqFlags flags); ///< returns whether they are on now
void enableInterrupts();
void disableInterrupts();
/// Spin-wait hint.
void pause();
#endif
/// Enables interrupts and halts until one arrives, atomically (`sti; hlt`). Called and returns with interrupts off.
void waitForInterrupt();

/// CPUs that are up. CPU numbers are 0 .. cpuCount()-1; the boot CPU is 0.
unsigned cpuCount();
/// Finds and starts every other processor; each enters the scheduler (enterSchedulerOnCpu). Boot CPU, interrupts off,
/// when memory, clock and the boot CPU's scheduler work. One that does not start is reported and done without.
void startOtherCpus();
/// Gives the memory that only starting needed to the page allocator. After startOtherCpus.
void releaseBootMemory();
/// Asks `cpu` to look at its run queue (sets kWorkReschedule on its running thread in the IPI). Any context.
void sendRescheduleIpi(unsigned cpu);
/// Runs `fn(arg)` on every CPU, this one included, with interrupts off and waits until all have (TLB shoot-down). One
/// call: a thread that did its own CPU's part before or after could move to another CPU in between, and leave one out.
/// Interrupts on, no spin lock held that an interrupt handler takes.
void callOnAllCpus(void (*fn)(void *), void *arg);

/// Hardware random number (RDSEED/RDRAND); false when the CPU has none.
bool hardwareRandom(uint64_t &out);

/// AT_HWCAP (CPUID.1:EDX), AT_HWCAP2 (never with FSGSBASE: GS is the kernel's).
uint64_t hwcap();
uint64_t hwcap2();

/// The paragraph of /proc/cpuinfo about one CPU; returns its length (cut to `out`).
size_t describeCpu(unsigned cpu, std::span<char> out);

/// Leaves the machine. Never returns; interrupts are off afterwards.
[[noreturn]] void powerOff();

} // namespace osv::arch

#if !defined(OSV_HOST_TEST)
#include "arch/x64/CpuInline.h" // the build selects the architecture by its include path
#endif

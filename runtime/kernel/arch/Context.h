// SPDX-License-Identifier: BSD-3-Clause
//
// Contract: a thread's machine context. The scheduler owns *when* to switch; this owns *what* is switched: callee-saved
// registers and stack, GS base (the thread's block), FS base (the program's, only when it differs), FP state.
#pragma once
#include "kernel/arch/Trap.h"
#include "kernel/lib/Result.h"

namespace osv {
struct Thread;
struct GateBlock;
} // namespace osv
namespace osv::arch {

struct ThreadContext {
  uint64_t rsp = 0;         ///< saved kernel stack pointer while not running
  uint64_t gsBase = 0;      ///< see abi/Gate.h
  uint64_t appFs = 0;       ///< the program's FS base while not running
  uint64_t stackBottom = 0; ///< kernel stack [bottom, top)
  uint64_t stackTop = 0;
  void *block = nullptr; ///< the per-thread block (copy of .ktls; in the fs model the TLS block too)
  void *fpu = nullptr;   ///< XSAVE area, 64-byte aligned
  uint32_t fpuCpu = ~0u; ///< the CPU whose registers may still hold this thread's FP state
  bool usesFpu = false;  ///< runs the program (kernel threads have no FP state)
};

/// Sets up `t` to call `entry(arg)` on its own kernel stack when first switched to, interrupts on. Allocates stack,
/// block and FP area. ENOMEM.
Result<void> createContext(Thread &t, void (*entry)(void *), void *arg, bool usesFpu);
/// As above, but the thread starts in the program with the registers of `frame` (clone): FP state and FS base are
/// copied from the current thread, then `appFs` is set when `setTls`.
Result<void> createProgramContext(Thread &t, const Frame &frame, bool setTls, uint64_t appFs);
/// Frees what create* allocated. Not from the thread itself.
void destroyContext(Thread &t);

/// Gives the flow of control that booted this CPU (boot stack, boot block) to `t` and makes it current(). Interrupts
/// off.
void adoptBootContext(Thread &t);
/// A thread's gate block, running or not. Its own thread uses gate().
GateBlock &gateOf(Thread &t);

/// Switches from the running thread to the one of `next`, on this CPU, whose number is `cpu`. Interrupts off, run-queue
/// lock rules are the scheduler's. Returns when somebody switches back.
inline void switchContext(ThreadContext &prev, ThreadContext &next, unsigned cpu);

/// The running thread's program FS base (ARCH_SET_FS / ARCH_GET_FS). `setAppFs` takes any canonical program address;
/// checked by the caller.
void setAppFs(uint64_t base);
uint64_t appFs();

/// Leaves for the program for the first time with these registers; never returns. The kernel stack is empty afterwards.
[[noreturn]] void enterProgram(const Frame &frame);

/// FP state of the running thread <-> memory, for signal frames. Sizes from CPUID.0Dh for the enabled XCR0.
size_t fpuStateSize();  ///< bytes of the XSAVE image (512 for FXSAVE only)
uint64_t fpuFeatures(); ///< XCR0; 3 without XSAVE

} // namespace osv::arch

#if !defined(OSV_HOST_TEST)
#include "arch/x64/ContextInline.h" // the build selects the architecture by its include path
#endif

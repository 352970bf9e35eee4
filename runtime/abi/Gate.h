// SPDX-License-Identifier: BSD-3-Clause
//
// The gate block: the few per-thread words that the gates (`arch/x64/gates.S`), the context switch and the hottest C++
// code share. GS base belongs to the kernel and is per thread; it is chosen as
//
//     GS base = address of this thread's block - address of the template `.ktls`
//
// so that `%gs:osv_gate_block+off` (the *link-time* address of the template's symbol) reaches this thread's copy, in
// both TLS models. In the `gs` model every `thread_local` of the kernel lies in the same block and is reached the same
// way (passes/KernelTls); in the `fs` model `thread_local`s live at FS, and the gates switch FS between `kernelFs` and
// `appFs`.
//
// In C++, `gate()` is a GS-relative lvalue: `gate().work` is one instruction. It cannot be stored in an ordinary
// pointer.
#pragma once
#include <cstdint>

namespace osv {
struct Thread;

/// Bits of GateBlock::work, looked at by every gate on its way out to the program, and nothing else is.
enum WorkBits : uint32_t {
  kWorkReschedule = 1, ///< the scheduler wants this CPU (only set by the CPU that runs the thread, or with an IPI)
  kWorkSignal = 2,     ///< a signal may be deliverable, or the thread must exit
  kWorkTrace = 4,      ///< strace or single-step view: take the slow path
};

struct GateBlock {
  uint64_t self;         ///< GS base itself
  uint64_t stackTop;     ///< top of this thread's kernel stack: where a gate from the program starts to push
  uint64_t stackBottom;  ///< lowest usable address of the kernel stack; (stackBottom, stackTop] is "in the kernel"
  uint64_t userRsp;      ///< the program's stack pointer during a system call
  uint32_t work;         ///< WorkBits
  uint32_t preemptCount; ///< > 0: no reschedule at interrupt exit (spin locks held, ...)
  Thread *thread;        ///< the running thread
  uint64_t kernelFs;     ///< `fs` model: the kernel's FS base for this thread
  uint64_t appFs;        ///< the program's FS base while another thread runs; in the `fs` model also inside the kernel
  uint64_t scratch;      ///< one register's room for the slow exit of the system-call gate
  uint32_t cpu;          ///< number of the CPU that runs this thread; stable only while preemption is off
  uint32_t reserved;
  uint64_t stackGuard; ///< canary for -fstack-protector
};

} // namespace osv

#ifdef OSV_KERNEL
extern "C" [[gnu::section(".ktls.gate")]] osv::GateBlock osv_gate_block; ///< the template; see the file header
namespace osv {
using GsGateBlock = GateBlock __attribute__((address_space(256)));
inline GsGateBlock &gate() { return *(GsGateBlock *)(uintptr_t)&osv_gate_block; }
inline Thread &current() { return *gate().thread; }
} // namespace osv
#elif defined(OSV_HOST_TEST)
namespace osv { // kernel sources compiled into unit tests: an ordinary block per host thread
inline thread_local GateBlock hostGateBlock{};
inline GateBlock &gate() { return hostGateBlock; }
inline Thread &current() { return *gate().thread; }
} // namespace osv
#endif

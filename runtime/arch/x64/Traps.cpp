// SPDX-License-Identifier: BSD-3-Clause
//
// What happens inside the interrupt gate: which exception becomes which signal, user-copy fix-ups, device interrupts,
// and on which side of the gate the interrupted code was. The gate's registers and stacks are gates.S's business.
//
// A frame is the *program's* when its rip is outside the kernel's text (the program's stack may be anywhere, so rsp
// does not tell). Kernel text with the program's rsp happens in a few instructions of the system-call gate;
// settleGateTail makes those on the way out disappear, those on the way in count as kernel and look for work when they
// leave.
#include "abi/Image.h"
#include "arch/x64/Cpu.h"
#include "kernel/arch/Mmu.h"
#include "kernel/arch/Trap.h"
#include "kernel/lib/Log.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/sched/Thread.h"
#include "kernel/signal/Signal.h"
#include <asm/siginfo.h>
#include <asm/signal.h>

namespace osv {

void panicAt(const Frame &frame, std::string_view what);

namespace arch {
namespace {

enum Exception : uint8_t {
  kDivide = 0,
  kDebug = 1,
  kNmi = 2,
  kBreakpoint = 3,
  kOverflow = 4,
  kBound = 5,
  kInvalidOpcode = 6,
  kDoubleFault = 8,
  kInvalidTss = 10,
  kSegmentNotPresent = 11,
  kStackSegment = 12,
  kProtection = 13,
  kPageFault = 14,
  kX87 = 16,
  kAlignment = 17,
  kMachineCheck = 18,
  kSimd = 19,
};

// Page-fault error code (SDM 3, 4.7).
inline constexpr uint64_t kPfPresent = 1, kPfWrite = 2, kPfUser = 4, kPfFetch = 16;
inline constexpr uint64_t kFlagTf = 0x100;

struct Fixup {
  uint64_t instruction, landing;
};
extern "C" const Fixup osv_fixups_start[], osv_fixups_end[];

const Fixup *findFixup(uint64_t rip) {
  for (const Fixup *f = osv_fixups_start; f != osv_fixups_end; f++)
    if (f->instruction == rip)
      return f;
  return nullptr;
}

extern "C" const char osv_stubs_start[];

/// Stubs are the program's code, and stand last in the kernel's text (kernel.ld).
bool inKernelText(uint64_t rip) {
  return rip - reinterpret_cast<uint64_t>(osv_text_start) < static_cast<uint64_t>(osv_stubs_start - osv_text_start);
}
bool onKernelStack(uint64_t rsp) { return rsp <= gate().stackTop && rsp > gate().stackBottom; }

/// The system-call gate's way out is restartable (gates.S). Before the flags are popped: test for work again. After:
/// the rest only moves rcx, rsp and rip, so do it here; true then, and the frame is the program's.
bool settleGateTail(Frame &f) {
  auto tail = reinterpret_cast<uint64_t>(osv_gate_tail);
  if (f.rip - tail >= static_cast<uint64_t>(osv_gate_tail_end - osv_gate_tail)) [[likely]]
    return false;
  if (f.rip < reinterpret_cast<uint64_t>(osv_gate_tail_popped)) {
    f.rip = tail;
    f.fsBase = gate().kernelFs;
    return false;
  }
  if (f.rip == reinterpret_cast<uint64_t>(osv_gate_tail_popped)) // popq %rcx
    f.rcx = *reinterpret_cast<const uint64_t *>(gate().stackTop - 16);
  f.rip = f.rcx;
  f.rsp = gate().userRsp;
  f.fsBase = gate().appFs;
  return true;
}

int x87Code() {
  uint16_t status, control;
  asm volatile("fnstsw %0" : "=a"(status));
  asm volatile("fnstcw %0" : "=m"(control));
  uint16_t err = status & ~control;
  return err & 1      ? FPE_FLTINV
         : err & 4    ? FPE_FLTDIV
         : err & 8    ? FPE_FLTOVF
         : err & 0x12 ? FPE_FLTUND
         : err & 0x20 ? FPE_FLTRES
                      : 0;
}
int simdCode() {
  uint32_t mxcsr;
  asm volatile("stmxcsr %0" : "=m"(mxcsr));
  uint32_t err = ~(mxcsr >> 7) & mxcsr;
  return err & 1      ? FPE_FLTINV
         : err & 4    ? FPE_FLTDIV
         : err & 8    ? FPE_FLTOVF
         : err & 0x12 ? FPE_FLTUND
         : err & 0x20 ? FPE_FLTRES
                      : 0;
}

/// Linux's signal for an exception in the program (arch/x86/kernel/traps.c in Linux decides the same; signal(7),
/// sigaction(2)).
void raiseException(Frame &f) {
  const VAddr rip(originalAddress(f.rip));
  switch (f.vector) {
  case kDivide:
    return raiseFault(f, SIGFPE, FPE_INTDIV, rip);
  case kDebug:
    return raiseFault(f, SIGTRAP, TRAP_TRACE, rip);
  case kBreakpoint:
    return raiseFault(f, SIGTRAP, SI_KERNEL, VAddr(0));
  case kInvalidOpcode:
    return raiseFault(f, SIGILL, ILL_ILLOPN, rip);
  case kSegmentNotPresent:
  case kStackSegment:
    return raiseFault(f, SIGBUS, SI_KERNEL, VAddr(0));
  case kX87:
    return raiseFault(f, SIGFPE, x87Code(), rip);
  case kAlignment:
    return raiseFault(f, SIGBUS, BUS_ADRALN, VAddr(0));
  case kSimd:
    return raiseFault(f, SIGFPE, simdCode(), rip);
  default: // #GP, #OF, #BR, #TS, ...
    return raiseFault(f, SIGSEGV, SI_KERNEL, VAddr(0));
  }
}

/// `int3` in the place of an instruction that means something else in ring 0 (abi/Image.h).
bool trapReplacement(Frame &f) {
  for (const abi::TrapMap &t : osv_image.traps)
    if (t.addr == f.rip - 1) {
      f.rip = t.addr;
      f.vector = kProtection; // `hlt` in ring 3 is a #GP
      f.error = 0;
      return true;
    }
  return false;
}

void handlePageFaultException(Frame &f, bool program) {
  uint64_t addr = readCr2();
  if (f.rflags & kFlagIf)
    enableInterrupts();
  bool write = f.error & kPfWrite, fetch = f.error & kPfFetch;
  bool userAddress = addr < kUserMax.value;
  if (userAddress && current().process && handlePageFault(VAddr(addr), write, fetch, f))
    return;
  if (program) {
    // The registers that Linux reports. The access was made in ring 0; for the program it was its own.
    f.error |= kPfUser;
    return raisePageFault(f, VAddr(addr), write, fetch);
  }
  if (const Fixup *fix = findFixup(f.rip)) {
    f.rip = fix->landing;
    return;
  }
  disableInterrupts();
  log(LogLevel::Error, "page fault at {} ({} {})", VAddr(addr), f.error & kPfPresent ? "protection" : "not present",
      write   ? "write"
      : fetch ? "fetch"
              : "read");
  panicAt(f, "page fault in the kernel");
}

/// #DB with the program's TF inside the gate: step over it. Linux's SYSCALL masks TF and the trap comes after the first
/// instruction back in the program.
void handleDebug(Frame &f, bool settled) {
  if (settled)
    return;
  f.rflags &= ~kFlagTf;
  setOwnWork(kWorkTrace);
}

void handleException(Frame &f, bool program, bool settled) {
  if (f.vector == kPageFault)
    return handlePageFaultException(f, program);
  if (f.vector == kDebug && !program)
    return handleDebug(f, settled);
  if (f.vector == kDebug && settled)
    return;
  if (!program) {
    if (const Fixup *fix = findFixup(f.rip)) {
      f.rip = fix->landing;
      return;
    }
    panicAt(f, "exception in the kernel");
  }
  enableInterrupts();
  if (f.vector == kBreakpoint)
    trapReplacement(f);
  raiseException(f);
}

void handleInterrupt(Frame &f) {
  switch (f.vector) {
  case kVectorTimer:
    endOfInterrupt();
    return timerInterrupt();
  case kVectorReschedule:
    setOwnWork(kWorkReschedule);
    return endOfInterrupt();
  case kVectorCall:
    callInterrupt();
    return endOfInterrupt();
  case kVectorSpurious:
    return;
  default:
    if (f.vector >= kVectorIrqBase && f.vector < kVectorIrqEnd)
      dispatchIrq(static_cast<unsigned>(f.vector) - kVectorIrqBase);
    return endOfInterrupt();
  }
}

} // namespace

/// Called by the gate, interrupts off, with the frame on the thread's kernel stack. What it returns is described there.
extern "C" unsigned osv_interrupt(Frame *f) {
  bool settled = settleGateTail(*f);
  bool program = settled || !inKernelText(f->rip);
#ifdef OSV_TLS_FS
  if (program)
    gate().appFs = f->fsBase;
#endif
  if (f->vector < 32)
    handleException(*f, program, settled);
  else
    handleInterrupt(*f);
  disableInterrupts();
  if (program)
    return 1;
  if ((gate().work & kWorkReschedule) && gate().preemptCount == 0 && (f->rflags & kFlagIf))
    preemptFromInterrupt();
  return onKernelStack(f->rsp) ? 2 : 0;
}

/// NMI, #DF, #MC, on stacks of their own. Nothing can be repaired here; a frame of a #DF may not even be true.
extern "C" void osv_paranoid(Frame *f) {
  if (f->vector == kNmi)
    return log(LogLevel::Warn, "NMI ignored");
  panicAt(*f, f->vector == kDoubleFault ? "double fault" : "machine check");
}

/// The gates' slow way out: interrupts off on entry and exit, no work left on exit.
extern "C" void osv_exit_work(Frame *f) {
  while (gate().work != 0) {
    if (gate().work & kWorkTrace) {
      clearOwnWork(kWorkTrace);
      f->rflags |= kFlagTf;
      continue;
    }
    exitToProgramWork(*f);
  }
}

} // namespace arch

bool fromProgram(const Frame &frame) { return frame.isSyscall() || !arch::inKernelText(frame.rip); }

} // namespace osv

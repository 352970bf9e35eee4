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
#include "kernel/arch/Irq.h"
#include "kernel/arch/Mmu.h"
#include "kernel/arch/Trap.h"
#include "kernel/lib/Log.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/sched/Thread.h"
#include "kernel/signal/Signal.h"
#include <array>
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

extern "C" const char osv_stubs_end[];

/// Stubs are the program's code, and stand first in the kernel's text (kernel.ld), before what this size covers.
bool inKernelText(uint64_t rip) {
  return rip - reinterpret_cast<uint64_t>(osv_stubs_end) < reinterpret_cast<uint64_t>(osv_kernel_text_size);
}

#ifdef OSV_TLS_FS
/// On a CPU without FSGSBASE the tail's write of FS base is a call. It keeps interrupts off as long as it has registers
/// changed, so an interrupt in it finds them as they were at the call, whose return address is at stackTop-32.
bool inFsWriteOfTail(const Frame &f) {
  auto *routine = reinterpret_cast<const char *>(f.rip);
  if (routine < osv_write_fs_base_r11 || routine >= osv_write_fs_base_r11_end) [[likely]]
    return false;
  if (f.rsp >= gate().stackTop - 24 || f.rsp < gate().stackTop - 40)
    return false;
  auto *caller = *reinterpret_cast<const char *const *>(gate().stackTop - 32);
  return caller > osv_gate_tail && caller < osv_gate_tail_popped;
}
#endif

/// The system-call gate's way out is restartable (gates.S). Before the flags are popped: test for work again. After:
/// the rest only moves rcx, rsp and rip, so do it here; true then, and the frame is the program's.
bool settleGateTail(Frame &f) {
  auto tail = reinterpret_cast<uint64_t>(osv_gate_tail);
#ifdef OSV_TLS_FS
  if (inFsWriteOfTail(f)) [[unlikely]] {
    f.rsp = gate().stackTop - 24;
    f.rip = tail;
  }
#endif
  if (f.rip - tail >= reinterpret_cast<uint64_t>(osv_gate_tail_size)) [[likely]]
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

/// si_code of the exceptions that are set and not masked; the x87 status word and MXCSR have the same six bits.
int floatCode(uint32_t err) {
  return err & 1      ? FPE_FLTINV
         : err & 4    ? FPE_FLTDIV
         : err & 8    ? FPE_FLTOVF
         : err & 0x12 ? FPE_FLTUND
         : err & 0x20 ? FPE_FLTRES
                      : 0;
}
int x87Code() {
  uint16_t status, control;
  asm volatile("fnstsw %0" : "=a"(status));
  asm volatile("fnstcw %0" : "=m"(control));
  return floatCode(status & ~control);
}
int simdCode() {
  uint32_t mxcsr;
  asm volatile("stmxcsr %0" : "=m"(mxcsr));
  return floatCode(~(mxcsr >> 7) & mxcsr);
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

/// A jump into the middle of what a stub has replaced finds an invalid opcode or `int3` there: it shall go on in the
/// stub. QEMU's TCG loads the operand of an invalid `ff /7` first, so the exception may also be about that.
bool mendHiddenEntry(Frame &f) {
  bool fetch = f.vector == kPageFault && (f.error & kPfFetch);
  bool may = f.vector == kBreakpoint || f.vector == kInvalidOpcode || f.vector == kProtection ||
             f.vector == kStackSegment || f.vector == kPageFault;
  uint64_t entry = f.vector == kBreakpoint ? f.rip - 1 : f.rip;
  uint64_t resumed = may && !fetch ? resumeAddress(entry) : entry;
  if (resumed == entry)
    return false;
  f.rip = resumed;
  return true;
}

void handlePageFaultException(Frame &f, bool program) {
  uint64_t addr = readCr2();
  if (f.rflags & kFlagIf)
    enableInterrupts();
  bool write = f.error & kPfWrite, fetch = f.error & kPfFetch;
  bool userAddress = addr < kUserMax.value;
  bool haveThread = gate().thread; // not before the scheduler
  if (userAddress && haveThread && current().process && handlePageFault(VAddr(addr), write, fetch, f))
    return;
  if (program && mendHiddenEntry(f))
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

/// `settled`: by settleGateTail. May turn interrupts on.
void dispatchException(Frame &f, bool program, bool settled) {
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
  if (mendHiddenEntry(f) || (f.vector == kDebug && isQuietStep(f.rip)))
    return;
  if (f.vector == kBreakpoint)
    trapReplacement(f);
  raiseException(f);
}

void handleException(Frame &f, bool program, bool settled) {
  dispatchException(f, program, settled);
  disableInterrupts();
}

// ---- Interrupts: by vector, from kVectorIrqBase on

using InterruptHandler = void(uint64_t vector);

void ignoreInterrupt(uint64_t) { endOfInterrupt(); }
void deviceInterrupt(uint64_t vector) {
  dispatchIrq(static_cast<unsigned>(vector) - kVectorIrqBase);
  endOfInterrupt();
}
void localTimerInterrupt(uint64_t) {
  endOfInterrupt();
  timerInterrupt();
}
void rescheduleInterrupt(uint64_t) {
  setOwnWork(kWorkReschedule);
  endOfInterrupt();
}
void crossCallInterrupt(uint64_t) {
  callInterrupt();
  endOfInterrupt();
}
void spuriousInterrupt(uint64_t) {} // wants no end of interrupt

constexpr auto kInterruptHandlers = [] {
  std::array<InterruptHandler *, 256 - kVectorIrqBase> table{};
  for (unsigned v = kVectorIrqBase; v < 256; v++)
    table[v - kVectorIrqBase] = v < kVectorIrqEnd ? deviceInterrupt : ignoreInterrupt;
  table[kVectorTimer - kVectorIrqBase] = localTimerInterrupt;
  table[kVectorReschedule - kVectorIrqBase] = rescheduleInterrupt;
  table[kVectorCall - kVectorIrqBase] = crossCallInterrupt;
  table[kVectorSpurious - kVectorIrqBase] = spuriousInterrupt;
  return table;
}();

void handleInterrupt(const Frame &f) { kInterruptHandlers[f.vector - kVectorIrqBase](f.vector); }

void preemptIfAsked() {
  if ((gate().work & kWorkReschedule) && gate().preemptCount == 0) [[unlikely]]
    preemptFromInterrupt();
}

/// The ways of exceptions through osv_interrupt: functions of their own, so that that of interrupts has no registers to
/// save.
[[gnu::noinline]] bool exceptionInProgram(Frame &f, bool settled) {
  handleException(f, true, settled);
  return true;
}
[[gnu::noinline]] bool exceptionInKernel(Frame &f) {
  handleException(f, false, false);
  if (f.rflags & kFlagIf)
    preemptIfAsked();
  return false;
}
} // namespace

/// Non-maskable interrupts since boot. A C name: tests read it.
extern "C" {
uint64_t osv_nmis = 0;
}

/// Called by the gate, interrupts off on entry and exit, with the frame on the thread's kernel stack. Was it the
/// program?
extern "C" bool osv_interrupt(Frame *f) {
  bool settled = false;
  if (inKernelText(f->rip)) {
    settled = settleGateTail(*f);
    if (!settled) {
      if (f->vector < kVectorIrqBase)
        return exceptionInKernel(*f);
      handleInterrupt(*f);
      preemptIfAsked(); // the interrupted code had interrupts on
      return false;
    }
  }
#ifdef OSV_TLS_FS
  gate().appFs = f->fsBase;
#endif
  if (f->vector < kVectorIrqBase)
    return exceptionInProgram(*f, settled);
  handleInterrupt(*f);
  return true;
}

/// NMI, #DF, #MC, on stacks of their own. Nothing can be repaired here; a frame of a #DF may not even be true.
/// An NMI is counted and no more: it may have hit any code, which may hold any lock, the console's among them; and a
/// fault in here would take IST1 from an interrupt that has just arrived, and end in an `iretq`, which lets in the next
/// NMI.
extern "C" void osv_paranoid(Frame *f) {
  if (f->vector == kNmi) {
    __atomic_fetch_add(&osv_nmis, 1, __ATOMIC_RELAXED);
    return;
  }
  panicAt(*f, f->vector == kDoubleFault ? "double fault" : "machine check");
}

namespace {
OSV_COLD void stepProgram(Frame &f) {
  clearOwnWork(kWorkTrace);
  f.rflags |= kFlagTf;
}
} // namespace

/// The gates' slow way out, one piece of work at a time: interrupts off on entry.
extern "C" void osv_exit_work(Frame *f) {
  if (gate().work & kWorkTrace) [[unlikely]]
    stepProgram(*f);
  return exitToProgramWork(*f);
}

uint64_t nonMaskableInterrupts() { return __atomic_load_n(&osv_nmis, __ATOMIC_RELAXED); }

} // namespace arch

bool fromProgram(const Frame &frame) { return frame.isSyscall() || !arch::inKernelText(frame.rip); }

} // namespace osv

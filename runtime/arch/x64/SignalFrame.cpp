// SPDX-License-Identifier: BSD-3-Clause
//
// Building Linux's signal frame on the program's stack, and taking it apart again (layout and picture:
// SignalFrameLayout.h).
//
// Going in. The kernel touches no FP register, so they still hold the program's values: fpuSave() writes them to the
// thread's own save area (a preemption in the middle writes the same values there again), from where they are copied
// out, because a copy can survive a fault and XSAVE to a bad address cannot. The handler starts with initial FP state,
// general registers as the ABI passes arguments, and DF, TF and RF clear.
//
// Coming back. Nothing in the frame is trusted: it may be made up. What the processor would refuse (reserved MXCSR
// bits, a bad XSAVE header) or what must not get into ring 0 (selectors, IF, IOPL, an address that is not the
// program's) makes the frame bad, which is a SIGSEGV. The FP image is copied to a buffer of its own first: the thread's
// save area may be overwritten by a preemption while the copy sleeps.
//
// The saved cs and ss are the ones a program sees on Linux; the ring 0 selectors that it really runs with never show.
#include "kernel/arch/SignalFrame.h"
#include "abi/AsmOffsets.h"
#include "arch/x64/SignalFrameLayout.h"
#include "kernel/arch/Context.h"
#include "kernel/lib/UserPtr.h"
#include "kernel/mm/Heap.h"
#include "kernel/sched/Thread.h"
#include "kernel/signal/Signal.h"

namespace osv::arch {
namespace {

constexpr uint64_t kFlagTrap = 1u << 8, kFlagDirection = 1u << 10, kFlagResume = 1u << 16;

bool hasXsave() { return fpuStateSize() > kLegacyFpSize; }

/// What FNINIT and the power-on MXCSR leave; an XSAVE header without features makes XRSTOR initialise the rest.
struct alignas(64) InitialFpState {
  uint16_t controlWord = 0x37f;
  uint16_t pad[11] = {};
  uint32_t mxcsr = 0x1f80;
  uint8_t rest[kLegacyFpSize + kXsaveHeaderSize - 28] = {};
};
static_assert(sizeof(InitialFpState) == kLegacyFpSize + kXsaveHeaderSize);
constinit const InitialFpState initialFpState;

/// Writes FP state and its marks to `dst`.
bool pushFpState(uint64_t dst) {
  auto *area = static_cast<uint8_t *>(current().arch.fpu);
  size_t size = fpuStateSize();
  fpuSave(area);
  struct _fpx_sw_bytes marks = {};
  if (!hasXsave())
    return copyToUser(VAddr(dst), area, kSoftwareBytes).ok() &&
           copyToUser(VAddr(dst + kSoftwareBytes), &marks, sizeof marks).ok();
  marks.magic1 = FP_XSTATE_MAGIC1;
  marks.extended_size = static_cast<uint32_t>(size + kMagic2Size);
  marks.xfeatures = fpuFeatures();
  marks.xstate_size = static_cast<uint32_t>(size);
  XsaveHeader header;
  __builtin_memcpy(&header, area + kLegacyFpSize, sizeof header);
  header.features |= kFeatureFpSse; // as Linux does for those who look only at the legacy part
  header.compaction = 0;
  const uint32_t magic2 = FP_XSTATE_MAGIC2;
  size_t rest = kLegacyFpSize + kXsaveHeaderSize;
  return copyToUser(VAddr(dst), area, kSoftwareBytes).ok() &&
         copyToUser(VAddr(dst + kSoftwareBytes), &marks, sizeof marks).ok() &&
         copyToUser(VAddr(dst + kLegacyFpSize), &header, sizeof header).ok() &&
         copyToUser(VAddr(dst + rest), area + rest, size - rest).ok() &&
         copyToUser(VAddr(dst + size), &magic2, sizeof magic2).ok();
}

/// Checks the image at `src`, which `buffer` (64-byte aligned, fpuStateSize()) is for, and loads it.
bool loadFpState(uint64_t src, uint8_t *buffer) {
  size_t size = fpuStateSize();
  if (!copyFromUser(buffer, VAddr(src), kLegacyFpSize).ok())
    return false;
  uint32_t mxcsr;
  __builtin_memcpy(&mxcsr, buffer + offsetof(struct _fpstate, mxcsr), sizeof mxcsr);
  if (mxcsr & ~fpuMxcsrMask())
    return false;
  if (!hasXsave()) {
    fpuRestore(buffer);
    return true;
  }
  struct _fpx_sw_bytes marks;
  __builtin_memcpy(&marks, buffer + kSoftwareBytes, sizeof marks);
  XsaveHeader header = {};
  header.features = kFeatureFpSse;
  uint32_t magic2 = 0;
  bool extended = marks.magic1 == FP_XSTATE_MAGIC1 && marks.xstate_size >= kLegacyFpSize + kXsaveHeaderSize &&
                  marks.xstate_size <= size && marks.xstate_size <= marks.extended_size &&
                  copyFromUser(&magic2, VAddr(src + marks.xstate_size), sizeof magic2).ok() &&
                  magic2 == FP_XSTATE_MAGIC2;
  // Without the marks the image is a bare FXSAVE one, made by the program; all else starts afresh.
  if (extended) {
    size_t from = kLegacyFpSize;
    if (!copyFromUser(buffer + from, VAddr(src + from), marks.xstate_size - from).ok())
      return false;
    __builtin_memcpy(&header, buffer + kLegacyFpSize, sizeof header);
    if (!xsaveHeaderValid(header, fpuFeatures()))
      return false;
    header.features &= marks.xfeatures;
    __builtin_memset(buffer + marks.xstate_size, 0, size - marks.xstate_size);
  }
  __builtin_memcpy(buffer + kLegacyFpSize, &header, sizeof header);
  fpuRestore(buffer);
  return true;
}

bool popFpState(uint64_t src) {
  if (src == 0) {
    fpuRestore(&initialFpState);
    return true;
  }
  constexpr size_t kOnStack = 2816; // SSE, AVX, AVX-512 and PKRU; more only with AMX
  size_t size = fpuStateSize();
  if (size <= kOnStack) {
    alignas(64) uint8_t buffer[kOnStack];
    return loadFpState(src, buffer);
  }
  auto *buffer = static_cast<uint8_t *>(heapAlloc(roundUp(size, 64), 64));
  bool loaded = buffer && loadFpState(src, buffer);
  heapFree(buffer);
  return loaded;
}

void saveRegisters(struct sigcontext &sc, const Frame &f, const ThreadSignals &s, SigSet mask, uint64_t fp) {
  sc.r8 = f.r8, sc.r9 = f.r9, sc.r10 = f.r10, sc.r11 = f.r11;
  sc.r12 = f.r12, sc.r13 = f.r13, sc.r14 = f.r14, sc.r15 = f.r15;
  sc.rdi = f.rdi, sc.rsi = f.rsi, sc.rbp = f.rbp, sc.rbx = f.rbx;
  sc.rdx = f.rdx, sc.rax = f.rax, sc.rcx = f.rcx, sc.rsp = f.rsp;
  sc.rip = originalAddress(f.rip);
  if (f.rcx == f.rip) // where a system call in a stub returns to: Linux leaves the program's address in rcx
    sc.rcx = sc.rip;
  sc.eflags = f.rflags;
  sc.cs = kLinuxUserCode;
  sc.ss = kLinuxUserData;
  sc.err = s.trapError;
  sc.trapno = s.trapNumber;
  sc.cr2 = s.trapAddress;
  sc.oldmask = mask;
  sc.fpstate = reinterpret_cast<struct _fpstate *>(fp);
}

} // namespace

bool pushSignalFrame(Frame &frame, const siginfo_t &info, const SignalAction &action, SigSet savedMask) {
  if (!(action.flags & SA_RESTORER) || !isUserRange(action.handler, 1))
    return false; // Linux has no trampoline of its own either
  ThreadSignals &s = current().signals;
  bool onAlt = onAltStack(frame.rsp, s.altStack, s.altStackSize, s.altStackFlags);
  uint64_t stack = frame.rsp - kRedZone;
  bool enters = (action.flags & SA_ONSTACK) && s.altStackSize && !onAlt;
  if (enters)
    stack = s.altStack + s.altStackSize;
  FrameAddresses at = placeFrame(stack, fpBytes(fpuStateSize(), hasXsave()));
  if ((onAlt || enters) && !(at.frame > s.altStack && at.frame - s.altStack <= s.altStackSize))
    return false; // would run over the end of the alternate stack

  if (!pushFpState(at.fp))
    return false;
  SignalFrame f = {};
  f.returnAddress = action.restorer;
  f.uc.uc_flags = (hasXsave() ? UC_FP_XSTATE : 0) | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
  f.uc.uc_stack.ss_sp = reinterpret_cast<void *>(s.altStack);
  f.uc.uc_stack.ss_size = s.altStackSize;
  f.uc.uc_stack.ss_flags = s.altStackFlags;
  saveRegisters(f.uc.uc_mcontext, frame, s, savedMask, at.fp);
  __builtin_memcpy(&f.uc.uc_sigmask, &savedMask, sizeof savedMask);
  f.info = info;
  if (!copyToUser(VAddr(at.frame), &f, sizeof f).ok())
    return false;

  if (s.altStackFlags & static_cast<int>(SS_AUTODISARM)) {
    s.altStack = s.altStackSize = 0;
    s.altStackFlags = SS_DISABLE;
  }
  fpuRestore(&initialFpState);
  frame.rdi = static_cast<uint64_t>(info.si_signo);
  frame.rsi = at.frame + offsetof(SignalFrame, info);
  frame.rdx = at.frame + offsetof(SignalFrame, uc);
  frame.rax = 0; // a handler without prototype may be variadic
  frame.rsp = at.frame;
  frame.rip = action.handler;
  frame.rflags &= ~(kFlagTrap | kFlagDirection | kFlagResume);
  frame.cs = SELECTOR_CODE;
  frame.ss = SELECTOR_DATA;
  return true;
}

bool popSignalFrame(Frame &frame, RestoredSignal &out) {
  SignalFrame f;
  // The handler's return has popped the return address.
  if (!copyFromUser(&f, VAddr(frame.rsp - sizeof f.returnAddress), sizeof f).ok())
    return false;
  const struct sigcontext &sc = f.uc.uc_mcontext;
  // Linux would go on with any address and take the fault there; here the kernel's own text and stacks lie in reach, so
  // it is taken now.
  if (!isUserRange(sc.rip, 1) || !isUserRange(sc.rsp - 1, 1) || !selectorsAllowed(sc.cs, sc.ss, f.uc.uc_flags))
    return false;
  if (!popFpState(reinterpret_cast<uint64_t>(sc.fpstate)))
    return false;
  frame.r8 = sc.r8, frame.r9 = sc.r9, frame.r10 = sc.r10, frame.r11 = sc.r11;
  frame.r12 = sc.r12, frame.r13 = sc.r13, frame.r14 = sc.r14, frame.r15 = sc.r15;
  frame.rdi = sc.rdi, frame.rsi = sc.rsi, frame.rbp = sc.rbp, frame.rbx = sc.rbx;
  frame.rdx = sc.rdx, frame.rax = sc.rax, frame.rcx = sc.rcx, frame.rsp = sc.rsp;
  frame.rip = resumeAddress(sc.rip);
  frame.rflags = restoreFlags(frame.rflags, sc.eflags);
  frame.cs = SELECTOR_CODE;
  frame.ss = SELECTOR_DATA;
  __builtin_memcpy(&out.mask, &f.uc.uc_sigmask, sizeof out.mask);
  out.altStack = f.uc.uc_stack;
  return true;
}

bool onAltStack(uint64_t sp, const ThreadSignals &s) {
  return onAltStack(sp, s.altStack, s.altStackSize, s.altStackFlags);
}

size_t minSignalStack() {
  // As Linux: frame, FP state, and the worst of the alignments.
  return roundUp(sizeof(SignalFrame) + fpBytes(fpuStateSize(), hasXsave()) + 63 + 16 + 8, 16);
}

} // namespace osv::arch

// SPDX-License-Identifier: BSD-3-Clause
//
// Building Linux's signal frame on the program's stack, and taking it apart again (layout and picture:
// SignalFrameLayout.h).
//
// The program's memory is written and read in place, by instructions that survive a fault (usercopy.S): a frame is
// three kilobytes, nearly all of it FP state, and copying that through the kernel would be the larger part of a signal.
//
// Going in. The kernel touches no FP register, so they still hold the program's values, and XSAVE writes them into the
// frame. When it faults, the page comes and it starts afresh; a switch to another thread meanwhile keeps the registers.
// The handler starts with initial FP state, general registers as the ABI passes arguments, and DF, TF and RF clear.
//
// Coming back. Nothing in the frame is trusted: it may be made up, and other threads may change it while it is read, so
// what is looked at is a copy, and what XRSTOR takes from the program's memory, it checks itself (a bad XSAVE header,
// reserved MXCSR bits: #GP, which has a fix-up). What must not get into ring 0 (selectors, IF, IOPL, an address that is
// not the program's) makes the frame bad. A bad frame is a SIGSEGV.
//
// The saved cs and ss are the ones a program sees on Linux; the ring 0 selectors that it really runs with never show.
#include "kernel/arch/SignalFrame.h"
#include "abi/AsmOffsets.h"
#include "arch/x64/Cpu.h"
#include "arch/x64/SignalFrameLayout.h"
#include "kernel/arch/Context.h"
#include "kernel/lib/UserPtr.h"
#include "kernel/sched/Thread.h"
#include "kernel/signal/Signal.h"

namespace osv::arch {
namespace {

constexpr uint64_t kFlagTrap = 1u << 8, kFlagDirection = 1u << 10, kFlagResume = 1u << 16;

extern "C" {
int osv_user_xsave(void *dst, uint32_t components, size_t size, uint32_t end);
int osv_user_xrstor(const void *src, uint32_t components);
int osv_user_fxsave(void *dst);
int osv_user_fxrstor(const void *src);
}

bool hasXsave() { return features.xsave; }

/// What FNINIT and the power-on MXCSR leave; an XSAVE header without features makes XRSTOR initialise the rest.
struct alignas(64) InitialFpState {
  uint16_t controlWord = 0x37f;
  uint16_t pad[11] = {};
  uint32_t mxcsr = 0x1f80;
  uint8_t rest[kLegacyFpSize + kXsaveHeaderSize - 28] = {};
};
static_assert(sizeof(InitialFpState) == kLegacyFpSize + kXsaveHeaderSize);
constinit const InitialFpState initialFpState;

/// What stands between the parts of an image that XSAVE writes: the software bytes of the legacy area, and the header.
struct FpMarks {
  struct _fpx_sw_bytes software;
  XsaveHeader header;
};
static_assert(sizeof(FpMarks) == 112 && kSoftwareBytes + sizeof(struct _fpx_sw_bytes) == kLegacyFpSize);

constinit FpMarks fpMarks = {}; ///< the same in every frame

/// Writes FP state and its marks to `dst`, which is in the program's range with fpBytes() after it.
bool pushFpState(uint64_t dst) {
  auto *to = reinterpret_cast<uint8_t *>(dst);
  if (!hasXsave())
    return osv_user_fxsave(to) == 0 && osv_user_copy(to + kSoftwareBytes, &fpMarks, sizeof fpMarks.software) == 0;
  return osv_user_copy(to + kSoftwareBytes, &fpMarks, sizeof fpMarks) == 0 &&
         osv_user_xsave(to, static_cast<uint32_t>(features.xcr0), features.fpuSize, FP_XSTATE_MAGIC2) == 0;
}

/// Has the image at `src` the marks of a whole XSAVE image, which XRSTOR may be let loose on?
bool isExtended(uint64_t src, const struct _fpx_sw_bytes &marks) {
  uint32_t magic2;
  return marks.magic1 == FP_XSTATE_MAGIC1 && marks.xstate_size >= kLegacyFpSize + kXsaveHeaderSize &&
         marks.xstate_size <= features.fpuSize && marks.xstate_size <= marks.extended_size &&
         isUserRange(src, fpBytes(features.fpuSize, true)) &&
         userLoad32(reinterpret_cast<const uint32_t *>(src + marks.xstate_size), magic2) && magic2 == FP_XSTATE_MAGIC2;
}

/// Loads the image at `src`, checked; after a failure the FP state is a mixture.
bool loadFpState(uint64_t src) {
  struct _fpx_sw_bytes marks;
  uint32_t mxcsr;
  if (!isUserRange(src, kLegacyFpSize) ||
      osv_user_copy(&marks, reinterpret_cast<const uint8_t *>(src + kSoftwareBytes), sizeof marks) != 0 ||
      !userLoad32(reinterpret_cast<const uint32_t *>(src + offsetof(struct _fpstate, mxcsr)), mxcsr))
    return false;
  if (mxcsr & ~features.mxcsrMask) // the processor refuses them too, but QEMU's does not
    return false;
  auto *from = reinterpret_cast<const void *>(src);
  if (hasXsave() && isExtended(src, marks)) {
    uint64_t components = marks.xfeatures & features.xcr0;
    if (components != features.xcr0)
      fpuRestore(&initialFpState);
    return osv_user_xrstor(from, static_cast<uint32_t>(components)) == 0;
  }
  // Without the marks it is a bare FXSAVE image, made by the program; all else starts afresh.
  fpuRestore(&initialFpState);
  return osv_user_fxrstor(from) == 0;
}

bool popFpState(uint64_t src) {
  if (src != 0 && loadFpState(src)) [[likely]]
    return true;
  fpuRestore(&initialFpState);
  return src == 0;
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
  sc.gs = sc.fs = 0;
  sc.ss = kLinuxUserData;
  sc.err = s.trapError;
  sc.trapno = s.trapNumber;
  sc.cr2 = s.trapAddress;
  sc.oldmask = mask;
  sc.fpstate = reinterpret_cast<struct _fpstate *>(fp);
  __builtin_memset(sc.reserved1, 0, sizeof sc.reserved1);
}

} // namespace

void initSignalFrame() {
  if (!hasXsave())
    return;
  fpMarks.software.magic1 = FP_XSTATE_MAGIC1;
  fpMarks.software.extended_size = features.fpuSize + kMagic2Size;
  fpMarks.software.xfeatures = features.xcr0;
  fpMarks.software.xstate_size = features.fpuSize;
}

bool pushSignalFrame(Frame &frame, const siginfo_t &info, const SignalAction &action, SigSet savedMask) {
  if (!(action.flags & SA_RESTORER) || !isUserRange(action.handler, 1))
    return false; // Linux has no trampoline of its own either
  ThreadSignals &s = current().signals;
  bool onAlt = onAltStack(frame.rsp, s.altStack, s.altStackSize, s.altStackFlags);
  uint64_t stack = frame.rsp - kRedZone;
  bool enters = (action.flags & SA_ONSTACK) && s.altStackSize && !onAlt;
  if (enters)
    stack = s.altStack + s.altStackSize;
  size_t fpSize = fpBytes(features.fpuSize, hasXsave());
  FrameAddresses at = placeFrame(stack, fpSize);
  if ((onAlt || enters) && !(at.frame > s.altStack && at.frame - s.altStack <= s.altStackSize))
    return false; // would run over the end of the alternate stack

  if (!isUserRange(at.frame, at.fp - at.frame + fpSize) || !pushFpState(at.fp))
    return false;
  SignalFrame f; // all but `info`, which is in one piece already
  f.returnAddress = action.restorer;
  f.uc.uc_flags = (hasXsave() ? UC_FP_XSTATE : 0) | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
  f.uc.uc_link = nullptr;
  f.uc.uc_stack = {}; // its padding too
  f.uc.uc_stack.ss_sp = reinterpret_cast<void *>(s.altStack);
  f.uc.uc_stack.ss_size = s.altStackSize;
  f.uc.uc_stack.ss_flags = s.altStackFlags;
  saveRegisters(f.uc.uc_mcontext, frame, s, savedMask, at.fp);
  __builtin_memcpy(&f.uc.uc_sigmask, &savedMask, sizeof savedMask);
  auto *to = reinterpret_cast<uint8_t *>(at.frame);
  if (osv_user_copy(to, &f, offsetof(SignalFrame, info)) != 0 ||
      osv_user_copy(to + offsetof(SignalFrame, info), &info, sizeof info) != 0)
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
  struct ucontext uc;
  // The handler's return has popped the return address. Nobody looks at the siginfo again.
  if (!copyFromUser(&uc, VAddr(frame.rsp + offsetof(SignalFrame, uc) - sizeof SignalFrame::returnAddress), sizeof uc)
           .ok())
    return false;
  const struct sigcontext &sc = uc.uc_mcontext;
  // Linux would go on with any address and take the fault there; here the kernel's own text and stacks lie in reach, so
  // it is taken now.
  if (!isUserRange(sc.rip, 1) || !isUserRange(sc.rsp - 1, 1) || !selectorsAllowed(sc.cs, sc.ss, uc.uc_flags))
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
  __builtin_memcpy(&out.mask, &uc.uc_sigmask, sizeof out.mask);
  out.altStack = uc.uc_stack;
  return true;
}

bool onAltStack(uint64_t sp, const ThreadSignals &s) {
  return onAltStack(sp, s.altStack, s.altStackSize, s.altStackFlags);
}

size_t minSignalStack() {
  // As Linux: frame, FP state, and the worst of the alignments.
  return roundUp(sizeof(SignalFrame) + fpBytes(features.fpuSize, hasXsave()) + 63 + 16 + 8, 16);
}

} // namespace osv::arch

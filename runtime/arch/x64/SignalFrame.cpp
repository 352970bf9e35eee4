// SPDX-License-Identifier: BSD-3-Clause
//
// Building Linux's signal frame on the program's stack, and taking it apart again (layout and picture:
// SignalFrameLayout.h).
//
// The program's memory is written and read in place, word by word, by instructions that survive a fault (userStore,
// userLoad, usercopy.S): a frame is three kilobytes, nearly all of it FP state, and a copy in the kernel first would be
// a large part of a signal.
//
// Going in. The kernel touches no FP register, so they still hold the program's values, and XSAVE writes them into the
// frame. When it faults, the page comes and it starts afresh; a switch to another thread meanwhile keeps the registers.
// The handler starts with initial FP state, general registers as the ABI passes arguments, and DF, TF and RF clear.
//
// Coming back. Nothing in the frame is trusted: it may be made up, and other threads may change it while it is read, so
// each word is read once, into a register, and what is checked is what is used. What XRSTOR takes from the program's
// memory, it checks itself (a bad XSAVE header, reserved MXCSR bits: #GP, which has a fix-up). What must not get into
// ring 0 (selectors, IF, IOPL, an address that is not the program's) makes the frame bad. A bad frame is a SIGSEGV.
//
// The saved cs and ss are the ones a program sees on Linux; the ring 0 selectors that it really runs with never show,
// and stay as they are in the kernel's frame.
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

/// The software bytes that Linux has put into every frame; the rest of them is zero.
struct FpMarks {
  uint32_t magic1, extendedSize;
  uint64_t components;
  uint64_t size;
};
static_assert(offsetof(struct _fpx_sw_bytes, extended_size) == offsetof(FpMarks, extendedSize) &&
              offsetof(struct _fpx_sw_bytes, xfeatures) == offsetof(FpMarks, components) &&
              offsetof(struct _fpx_sw_bytes, xstate_size) == offsetof(FpMarks, size));

// The same in every frame: set by initSignalFrame.
constinit FpMarks fpMarks = {};
constinit size_t fpSize = 0; ///< fpBytes()

// Words of a structure in the program's memory: written and read where they are.

/// The word that begins at `member` (some hold more than one member, or padding).
template <typename T> [[gnu::always_inline]] bool put(T &member, uint64_t value) {
  return userStore(reinterpret_cast<uint64_t *>(&member), value);
}
template <typename T> [[gnu::always_inline]] bool get(const T &member, uint64_t &out) {
  return userLoad(reinterpret_cast<const uint64_t *>(&member), out);
}
/// Fills `to` with the words of `from`, and zeroes after them. Unrolled.
template <typename T, typename U> [[gnu::always_inline]] bool putAll(T &to, const U &from) {
  auto *dst = reinterpret_cast<uint64_t *>(&to);
  auto *src = reinterpret_cast<const uint64_t *>(&from);
  return [&]<size_t... I>(std::index_sequence<I...>) __attribute__((always_inline)) {
    return (userStore(dst + I, I < sizeof(U) / 8 ? src[I] : 0) && ...);
  }(std::make_index_sequence<sizeof(T) / 8>());
}
template <typename T> [[gnu::always_inline]] bool putZeroes(T &to) {
  auto *dst = reinterpret_cast<uint64_t *>(&to);
  return [&]<size_t... I>(std::index_sequence<I...>) __attribute__((always_inline)) {
    return (userStore(dst + I, 0) && ...);
  }(std::make_index_sequence<sizeof(T) / 8>());
}

/// Writes FP state and its marks to `dst`, which is in the program's range with `fpSize` after it.
[[gnu::always_inline]] inline bool pushFpState(uint64_t dst) {
  auto &fp = *reinterpret_cast<struct _fpstate *>(dst);
  if (!hasXsave()) [[unlikely]]
    return userFxsave(&fp) && putAll(fp.sw_reserved, fpMarks);
  auto &header = *reinterpret_cast<XsaveHeader *>(dst + kLegacyFpSize);
  auto *magic2 = reinterpret_cast<uint32_t *>(dst + fpMarks.size);
  uint64_t saved;
  // Around what XSAVE writes. For those who look only at the legacy area, it is always marked as present.
  return putAll(fp.sw_reserved, fpMarks) && putZeroes(header) &&
         userXsave(&fp, static_cast<uint32_t>(fpMarks.components)) && get(header.features, saved) &&
         put(header.features, saved | kFeatureFpSse) && userStore(magic2, FP_XSTATE_MAGIC2);
}

/// Has the image, which `fpSize` bytes of the program's range begin with, the marks of a whole XSAVE image, which
/// XRSTOR may be let loose on? Then `components` is what it says it has.
[[gnu::always_inline]] inline bool isExtended(const struct _fpstate &fp, uint64_t &components) {
  const struct _fpx_sw_bytes &marks = fp.sw_reserved;
  uint32_t magic1, size, extended, magic2;
  return userLoad(&marks.magic1, magic1) && magic1 == FP_XSTATE_MAGIC1 && userLoad(&marks.xstate_size, size) &&
         size >= kLegacyFpSize + kXsaveHeaderSize && size <= features.fpuSize &&
         userLoad(&marks.extended_size, extended) && size <= extended &&
         userLoad(reinterpret_cast<const uint32_t *>(reinterpret_cast<uint64_t>(&fp) + size), magic2) &&
         magic2 == FP_XSTATE_MAGIC2 && get(marks.xfeatures, components);
}

/// Loads the image at `src`, checked; after a failure the FP state is a mixture.
[[gnu::always_inline]] inline bool loadFpState(uint64_t src) {
  auto &fp = *reinterpret_cast<const struct _fpstate *>(src);
  uint32_t mxcsr;
  bool roomForExtended = isUserRange(src, fpSize);
  if ((!roomForExtended && !isUserRange(src, kLegacyFpSize)) || !userLoad(&fp.mxcsr, mxcsr))
    return false;
  if (mxcsr & ~features.mxcsrMask) // the processor refuses them too, but QEMU's does not
    return false;
  uint64_t components;
  if (hasXsave() && roomForExtended && isExtended(fp, components)) [[likely]] {
    components &= features.xcr0;
    if (components != features.xcr0)
      fpuRestore(&initialFpState);
    return userXrstor(&fp, static_cast<uint32_t>(components));
  }
  // Without the marks it is a bare FXSAVE image, made by the program; all else starts afresh.
  fpuRestore(&initialFpState);
  return userFxrstor(&fp);
}

[[gnu::always_inline]] inline bool popFpState(uint64_t src) {
  if (src != 0 && loadFpState(src)) [[likely]]
    return true;
  fpuRestore(&initialFpState);
  return src == 0;
}

/// Writes what the handler is given as its third argument.
[[gnu::always_inline]] inline bool pushContext(struct ucontext &uc, const Frame &f, const ThreadSignals &s, SigSet mask,
                                               uint64_t fp) {
  struct sigcontext &sc = uc.uc_mcontext;
  uint64_t rip = originalAddress(f.rip);
  uint64_t rcx = f.rcx == f.rip ? rip : f.rcx; // where a system call in a stub returns to: Linux has the program's
  uint64_t flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | (hasXsave() ? UC_FP_XSTATE : 0);
  constexpr uint64_t kSelectors = kLinuxUserCode | uint64_t{kLinuxUserData} << 48; // cs, gs, fs, ss
  return put(uc.uc_flags, flags) && put(uc.uc_link, 0) && put(uc.uc_stack.ss_sp, s.altStack) &&
         put(uc.uc_stack.ss_flags, static_cast<uint32_t>(s.altStackFlags)) &&
         put(uc.uc_stack.ss_size, s.altStackSize) && put(sc.r8, f.r8) && put(sc.r9, f.r9) && put(sc.r10, f.r10) &&
         put(sc.r11, f.r11) && put(sc.r12, f.r12) && put(sc.r13, f.r13) && put(sc.r14, f.r14) && put(sc.r15, f.r15) &&
         put(sc.rdi, f.rdi) && put(sc.rsi, f.rsi) && put(sc.rbp, f.rbp) && put(sc.rbx, f.rbx) && put(sc.rdx, f.rdx) &&
         put(sc.rax, f.rax) && put(sc.rcx, rcx) && put(sc.rsp, f.rsp) && put(sc.rip, rip) && put(sc.eflags, f.rflags) &&
         put(sc.cs, kSelectors) && put(sc.err, s.trapError) && put(sc.trapno, s.trapNumber) && put(sc.oldmask, mask) &&
         put(sc.cr2, s.trapAddress) && put(sc.fpstate, fp) && putZeroes(sc.reserved1) && put(uc.uc_sigmask, mask);
}

/// Reads the registers that may have any value.
[[gnu::always_inline]] inline bool popRegisters(const struct sigcontext &sc, Frame &f) {
  return get(sc.r8, f.r8) && get(sc.r9, f.r9) && get(sc.r10, f.r10) && get(sc.r11, f.r11) && get(sc.r12, f.r12) &&
         get(sc.r13, f.r13) && get(sc.r14, f.r14) && get(sc.r15, f.r15) && get(sc.rdi, f.rdi) && get(sc.rsi, f.rsi) &&
         get(sc.rbp, f.rbp) && get(sc.rbx, f.rbx) && get(sc.rdx, f.rdx) && get(sc.rax, f.rax) && get(sc.rcx, f.rcx);
}

} // namespace

void initSignalFrame() {
  fpSize = fpBytes(features.fpuSize, hasXsave());
  if (hasXsave())
    fpMarks = {FP_XSTATE_MAGIC1, static_cast<uint32_t>(fpSize), features.xcr0, features.fpuSize};
}

bool pushSignalFrame(Frame &frame, const SignalInfo &info, const SignalAction &action, SigSet savedMask) {
  if (!(action.flags & SA_RESTORER) || !isUserRange(action.handler, 1))
    return false; // Linux has no trampoline of its own either
  ThreadSignals &s = current().signals;
  uint64_t stack = frame.rsp - kRedZone;
  bool onAlt = false;
  if (s.altStackSize != 0) [[unlikely]] {
    onAlt = onAltStack(frame.rsp, s);
    if (!onAlt && (action.flags & SA_ONSTACK)) {
      onAlt = true;
      stack = s.altStack + s.altStackSize;
    }
  }
  FrameAddresses at = placeFrame(stack, fpSize);
  if (onAlt && !(at.frame > s.altStack && at.frame - s.altStack <= s.altStackSize))
    return false; // would run over the end of the alternate stack
  if (!isUserRange(at.frame, stack - at.frame))
    return false;
  auto &to = *reinterpret_cast<SignalFrame *>(at.frame);
  if (!(pushFpState(at.fp) && put(to.returnAddress, action.restorer) &&
        pushContext(to.uc, frame, s, savedMask, at.fp) && putAll(to.info, info)))
    return false;

  if (s.altStackFlags & static_cast<int>(SS_AUTODISARM)) [[unlikely]] {
    s.altStack = s.altStackSize = 0;
    s.altStackFlags = SS_DISABLE;
  }
  fpuRestore(&initialFpState);
  frame.rdi = static_cast<uint64_t>(info.si_signo);
  frame.rsi = reinterpret_cast<uint64_t>(&to.info);
  frame.rdx = reinterpret_cast<uint64_t>(&to.uc);
  frame.rax = 0; // a handler without prototype may be variadic
  frame.rsp = at.frame;
  frame.rip = action.handler;
  frame.rflags &= ~(kFlagTrap | kFlagDirection | kFlagResume);
  return true;
}

bool popSignalFrame(Frame &frame, RestoredSignal &out) {
  // The handler's return has popped the return address. Nobody looks at the siginfo again.
  uint64_t at = frame.rsp - sizeof SignalFrame::returnAddress;
  auto &uc = reinterpret_cast<const SignalFrame *>(at)->uc;
  const struct sigcontext &sc = uc.uc_mcontext;
  uint64_t ucFlags, selectors, rip, rsp, fp, rflags, altFlags;
  // First and last word first: when both can be read, what lies between can, and a frame that cannot leaves the
  // registers as they are.
  if (!isUserRange(reinterpret_cast<uint64_t>(&uc), sizeof uc) ||
      !(get(uc.uc_flags, ucFlags) && get(uc.uc_sigmask, out.mask) && get(sc.cs, selectors) && get(sc.rip, rip) &&
        get(sc.rsp, rsp) && get(sc.fpstate, fp)))
    return false;
  // Linux would go on with any address and take the fault there; here the kernel's own text and stacks lie in reach, so
  // it is taken now.
  if (!isUserRange(rip, 1) || !isUserRange(rsp - 1, 1) ||
      !selectorsAllowed(static_cast<uint16_t>(selectors), static_cast<uint16_t>(selectors >> 48), ucFlags))
    return false;
  if (!(popFpState(fp) && popRegisters(sc, frame) && get(sc.eflags, rflags) && get(uc.uc_stack.ss_sp, out.altStack) &&
        get(uc.uc_stack.ss_flags, altFlags) && get(uc.uc_stack.ss_size, out.altStackSize)))
    return false;
  frame.rip = resumeAddress(rip);
  frame.rsp = rsp;
  frame.rflags = restoreFlags(frame.rflags, rflags);
  out.altStackFlags = static_cast<int32_t>(altFlags);
  return true;
}

bool onAltStack(uint64_t sp, const ThreadSignals &s) {
  return onAltStack(sp, s.altStack, s.altStackSize, s.altStackFlags);
}

size_t minSignalStack() {
  // As Linux: frame, FP state, and the worst of the alignments.
  return roundUp(sizeof(SignalFrame) + fpSize + 63 + 16 + 8, 16);
}

} // namespace osv::arch

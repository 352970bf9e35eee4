// SPDX-License-Identifier: BSD-3-Clause
//
// Linux's x86-64 signal frame, and the checks of what comes back from it: everything that needs no machine, tried on
// the host against a real kernel's frames (test/unit/signal). The structures are the UAPI's own; the offsets below are
// what programs have compiled in.
//
//     higher addresses
//     interrupted rsp ->  ...
//                         128 bytes of red zone, skipped            (not when the alternate stack is entered)
//                         XSAVE image, 64-byte aligned, then FP_XSTATE_MAGIC2   <- uc_mcontext.fpstate
//                         siginfo (128), ucontext (304), return address (8)     <- rsp in the handler, = 8 modulo 16
//     lower addresses
#pragma once
#include <linux/signal.h>
// after the types it needs:
#include <asm/sigcontext.h>
#include <asm/ucontext.h>
#include <cstddef>
#include <cstdint>

namespace osv::arch {

struct SignalFrame {
  uint64_t returnAddress; ///< SA_RESTORER's
  struct ucontext uc;
  siginfo_t info;
};
static_assert(sizeof(SignalFrame) == 440);
static_assert(sizeof(struct sigcontext) == 256 && sizeof(struct ucontext) == 304 && sizeof(siginfo_t) == 128);
static_assert(offsetof(struct ucontext, uc_stack) == 16 && offsetof(struct ucontext, uc_mcontext) == 40 &&
              offsetof(struct ucontext, uc_sigmask) == 296);
static_assert(offsetof(struct sigcontext, rip) == 128 && offsetof(struct sigcontext, cs) == 144 &&
              offsetof(struct sigcontext, err) == 152 && offsetof(struct sigcontext, fpstate) == 184);

/// The program believes that it runs at level 3 with Linux's selectors.
inline constexpr uint16_t kLinuxUserCode = 0x33, kLinuxUserData = 0x2b;
inline constexpr uint64_t kRedZone = 128;

inline constexpr size_t kLegacyFpSize = 512, kXsaveHeaderSize = 64, kMagic2Size = 4;
inline constexpr size_t kSoftwareBytes = 464; ///< _fpx_sw_bytes within the legacy area
static_assert(offsetof(struct _fpstate, sw_reserved) == kSoftwareBytes && sizeof(struct _fpx_sw_bytes) == 48);
inline constexpr uint64_t kFeatureFpSse = 3;

struct FrameAddresses {
  uint64_t frame; ///< of SignalFrame
  uint64_t fp;
};

/// Where a frame goes when `stack` is the end of the stack to use (red zone already skipped). `fpSize` is fpBytes().
constexpr FrameAddresses placeFrame(uint64_t stack, size_t fpSize) {
  uint64_t fp = (stack - fpSize) & ~uint64_t{63};
  return {((fp - sizeof(SignalFrame)) & ~uint64_t{15}) - 8, fp};
}
/// Bytes of FP state in a frame: the XSAVE image and its end mark, or the bare FXSAVE image.
constexpr size_t fpBytes(size_t stateSize, bool xsave) { return xsave ? stateSize + kMagic2Size : stateSize; }

/// Is `sp` on the alternate stack? Never with SS_AUTODISARM: such a stack is gone while in use.
constexpr bool onAltStack(uint64_t sp, uint64_t base, uint64_t size, int flags) {
  return !(static_cast<unsigned>(flags) & (1u << 31)) && sp > base && sp - base <= size;
}

/// Flags that a program may set through a frame; the others keep the value they had.
inline constexpr uint64_t kRestorableFlags = 0x50dd5; ///< AC RF OF DF TF SF ZF AF PF CF
constexpr uint64_t restoreFlags(uint64_t now, uint64_t saved) {
  return (now & ~kRestorableFlags) | (saved & kRestorableFlags);
}

/// May the program go on with these selectors? Linux forces the privilege level, and takes any stack segment when the
/// frame does not promise a strict one.
constexpr bool selectorsAllowed(uint16_t cs, uint16_t ss, uint64_t ucFlags) {
  if ((cs | 3) != kLinuxUserCode)
    return false;
  return !(ucFlags & UC_STRICT_RESTORE_SS) || (ss | 3) == kLinuxUserData;
}

struct XsaveHeader {
  uint64_t features, compaction, reserved[6];
};
static_assert(sizeof(XsaveHeader) == kXsaveHeaderSize);

} // namespace osv::arch

// SPDX-License-Identifier: BSD-3-Clause
//
// The half of FrameTest that includes the UAPI's signal headers, which cannot be in one file with libc's.
#include "FrameProbe.h"
#include "arch/x64/SignalFrameLayout.h"
#include <sys/syscall.h>
#include <unistd.h>

using namespace osv::arch;

// The same structures as rt_sigaction's, without libc.
struct KernelAction {
  void (*handler)(int, siginfo_t *, struct ucontext *);
  unsigned long flags;
  void (*restorer)();
  unsigned long mask;
};
extern "C" void testRestorer();
asm(".text\n.globl testRestorer\ntestRestorer:\n mov $15, %eax\n syscall\n");

static FrameProbe seen;

static void handler(int, siginfo_t *info, struct ucontext *uc) {
  const struct sigcontext &sc = uc->uc_mcontext;
  seen.info = reinterpret_cast<uint64_t>(info);
  seen.frame = reinterpret_cast<uint64_t>(uc) - offsetof(SignalFrame, uc);
  seen.ucFlags = uc->uc_flags;
  seen.altStackFlags = uc->uc_stack.ss_flags;
  seen.altStack = uc->uc_stack.ss_sp;
  seen.rsp = sc.rsp;
  seen.cs = sc.cs;
  seen.ss = sc.ss;
  seen.fp = reinterpret_cast<uint64_t>(sc.fpstate);
  auto *fp = reinterpret_cast<uint8_t *>(sc.fpstate);
  struct _fpx_sw_bytes marks;
  __builtin_memcpy(&marks, fp + kSoftwareBytes, sizeof marks);
  XsaveHeader header;
  __builtin_memcpy(&header, fp + kLegacyFpSize, sizeof header);
  uint32_t magic2;
  __builtin_memcpy(&magic2, fp + marks.xstate_size, sizeof magic2);
  seen.stateSize = marks.xstate_size;
  seen.extendedSize = marks.extended_size;
  seen.magicsRight = marks.magic1 == FP_XSTATE_MAGIC1 && magic2 == FP_XSTATE_MAGIC2;
  seen.headerFeatures = header.features;
  uint64_t bad = (header.features & ~marks.xfeatures) | header.compaction;
  for (uint64_t reserved : header.reserved)
    bad |= reserved;
  seen.headerValid = bad == 0;
  FrameAddresses at =
      placeFrame(seen.expectedStack ? seen.expectedStack : sc.rsp - kRedZone, fpBytes(marks.xstate_size, true));
  seen.expectedFrame = at.frame;
  seen.expectedFp = at.fp;
}

FrameProbe probeFrame(void *altStack, size_t size) {
  seen = {};
  stack_t alt = {altStack, 0, size}, off = {nullptr, SS_DISABLE, 0};
  if (altStack) {
    seen.expectedStack = reinterpret_cast<uint64_t>(altStack) + size;
    syscall(SYS_sigaltstack, &alt, nullptr);
  }
  KernelAction action = {handler, (altStack ? SA_ONSTACK : 0ul) | SA_SIGINFO | SA_RESTORER, testRestorer, 0};
  syscall(SYS_rt_sigaction, SIGUSR1, &action, nullptr, 8);
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
  syscall(SYS_sigaltstack, &off, nullptr);
  return seen;
}

bool probeSelectors(uint16_t cs, uint16_t ss, bool strict) {
  return selectorsAllowed(cs, ss, strict ? UC_STRICT_RESTORE_SS : 0);
}
uint64_t probeFlags(uint64_t now, uint64_t saved) { return restoreFlags(now, saved); }
bool probeAltStack(uint64_t sp, uint64_t base, uint64_t size, int flags) { return onAltStack(sp, base, size, flags); }

// SPDX-License-Identifier: BSD-3-Clause
//
// The upcall of the page-fault gate: decides whether a fault may be resolved by demand paging at all, for the program
// and for copies from and to its memory alike. Which page it is, is AddressSpace's business.
#include "kernel/Process.h"
#include "kernel/arch/Trap.h"
#include "kernel/lib/Log.h"
#include "kernel/mm/AddressSpace.h"

namespace osv {

namespace {
constexpr uint64_t kFlagIf = 1u << 9;
}

bool handlePageFault(VAddr addr, bool write, bool exec, const Frame &frame) {
  // May sleep, so it must not where the interrupted code could not: the copy routines then fail with EFAULT.
  if (addr >= arch::kUserMax || gate().preemptCount != 0 || !(frame.rflags & kFlagIf))
    return false;
  Thread *thread = gate().thread;
  if (!thread || !thread->process || !thread->process->addressSpace)
    return false;
  int signo, code;
  return thread->process->addressSpace->fault(addr, write, exec, &signo, &code);
}

void raisePageFault(Frame &frame, VAddr addr, bool write, bool exec) {
  int signo = SIGSEGV, code = SEGV_MAPERR;
  if (addr < arch::kUserMax && currentProcess().addressSpace->fault(addr, write, exec, &signo, &code))
    return; // another thread has mapped it meanwhile
  if (signo == SIGKILL && !currentProcess().outOfMemory.exchange(true))
    log(LogLevel::Warn, "out of memory at {}: the program is killed", addr);
  raiseFault(frame, signo, code, addr);
}

} // namespace osv

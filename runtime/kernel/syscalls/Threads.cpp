// SPDX-License-Identifier: BSD-3-Clause
//
// System calls of threads: clone and clone3, exit, ids, the thread pointer (arch_prctl), membarrier, getcpu.
//
// clone makes threads only: what shares memory, files, signal handlers and the thread group, as pthreads, Go and Rust
// ask for. Anything that would be a process of its own (fork, vfork, posix_spawn's CLONE_VM|CLONE_VFORK) is ENOSYS;
// combinations that Linux refuses are EINVAL, and looked at first, in Linux's order.
#include "kernel/Process.h"
#include "kernel/lib/Log.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/signal/Signal.h"
#include "kernel/syscalls/Handlers.h"
#include <asm/prctl.h>
#include <atomic>
#include <linux/membarrier.h>
#include <linux/sched.h>

namespace osv {
namespace {

struct CloneRequest {
  uint64_t flags; ///< without the exit signal in the low byte
  uint64_t exitSignal;
  uint64_t stackTop; ///< 0: the caller's
  uint64_t tls;
  UserPtr<int32_t> parentTid, childTid;
};

constexpr uint64_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
constexpr uint64_t kNamespaceFlags =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

/// Linux's refusals (copy_process), then ours.
Result<void> check(const CloneRequest &r) {
  uint64_t f = r.flags;
  auto both = [f](uint64_t a, uint64_t b) { return (f & a) && (f & b); };
  if (both(CLONE_NEWNS, CLONE_FS) || both(CLONE_NEWUSER, CLONE_FS))
    return Errno::Inval;
  if ((f & CLONE_THREAD) && !(f & CLONE_SIGHAND))
    return Errno::Inval;
  if ((f & CLONE_SIGHAND) && !(f & CLONE_VM))
    return Errno::Inval;
  if ((f & CLONE_THREAD) && (f & (CLONE_NEWUSER | CLONE_NEWPID)))
    return Errno::Inval;
  if ((f & CLONE_PIDFD) && (f & (CLONE_DETACHED | CLONE_THREAD)))
    return Errno::Inval;
  if ((f & kThreadFlags) != kThreadFlags || (f & (kNamespaceFlags | CLONE_PIDFD | CLONE_VFORK | CLONE_INTO_CGROUP)))
    return Errno::NoSys;
  return {};
}

Result<long> clone(const Frame &frame, const CloneRequest &r) {
  TRY(check(r));
  if ((r.flags & CLONE_SETTLS) && !isUserRange(r.tls, 1))
    return Errno::Perm;
  Frame child = frame;
  child.rax = 0;
  if (r.stackTop)
    child.rsp = r.stackTop;
  Result<Thread *> made = createProgramThread(currentProcess(), child, r.flags & CLONE_SETTLS, r.tls);
  if (!made.ok())
    return made.error() == Errno::NoMem ? Errno::Again
                                        : made.error(); // what pthread_create expects of "no room for another"
  Thread &t = **made;
  inheritSignals(t, current());
  long tid = t.tid;
  // Memory is shared, so the parent can do both; like Linux, a bad address is not an error.
  if (r.flags & CLONE_PARENT_SETTID)
    (void)r.parentTid.write(t.tid);
  if (r.flags & CLONE_CHILD_SETTID)
    (void)r.childTid.write(t.tid);
  if (r.flags & CLONE_CHILD_CLEARTID)
    t.clearChildTid = r.childTid.addr().value;
  startThread(t); // it may have ended before this returns
  return tid;
}

} // namespace

Result<long> sys_clone(Frame &frame, uint64_t flags, uint64_t stack, UserPtr<int32_t> parentTid,
                       UserPtr<int32_t> childTid, uint64_t tls) {
  uint64_t f = flags & 0xffff'ffff & ~uint64_t{CSIGNAL};
  if ((f & CLONE_PIDFD) && (f & CLONE_PARENT_SETTID)) // the same argument
    return Errno::Inval;
  return clone(frame, {f, flags & CSIGNAL, stack, tls, parentTid, childTid});
}

Result<long> sys_clone3(Frame &frame, UserPtr<const struct clone_args> user, size_t size) {
  if (size > kPageSize)
    return Errno::TooBig;
  if (size < CLONE_ARGS_SIZE_VER0)
    return Errno::Inval;
  struct clone_args a = {};
  TRY(copyFromUser(&a, user.addr(), size < sizeof a ? size : sizeof a));
  for (size_t at = sizeof a; at < size; at += 8) { // what we do not know must not be asked for
    uint64_t word = 0;
    TRY(copyFromUser(&word, user.addr() + at, size - at < 8 ? size - at : 8));
    if (word)
      return Errno::TooBig;
  }
  if (a.set_tid_size > 32 || (!a.set_tid && a.set_tid_size) || (a.set_tid && !a.set_tid_size))
    return Errno::Inval;
  if ((a.exit_signal & ~uint64_t{CSIGNAL}) || a.exit_signal > 64)
    return Errno::Inval;
  if (a.flags & ~(0xffff'ffffull | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP) || (a.flags & (CLONE_DETACHED | CSIGNAL)))
    return Errno::Inval;
  if ((a.flags & CLONE_SIGHAND) && (a.flags & CLONE_CLEAR_SIGHAND))
    return Errno::Inval;
  if ((a.flags & (CLONE_THREAD | CLONE_PARENT)) && a.exit_signal)
    return Errno::Inval;
  if ((a.stack == 0) != (a.stack_size == 0))
    return Errno::Inval;
  if (a.stack && !isUserRange(a.stack, a.stack_size))
    return Errno::Inval;
  if (a.set_tid_size)
    return Errno::NoSys; // choosing the tid: checkpoint/restore
  return clone(frame, {a.flags, a.exit_signal, a.stack + a.stack_size, a.tls, UserPtr<int32_t>(a.parent_tid),
                       UserPtr<int32_t>(a.child_tid)});
}

Result<long> sys_exit(int status) { exitCurrentThread(status & 0xff); }

Result<long> sys_exit_group(int status) { exitProcess(status & 0xff, 0); }

Result<long> sys_set_tid_address(uint64_t address) {
  current().clearChildTid = address;
  return long{current().tid};
}

Result<long> sys_getcpu(UserPtr<unsigned> cpu, UserPtr<unsigned> node) {
  unsigned here = gate().cpu;
  if (cpu)
    TRY(cpu.write(here));
  if (node)
    TRY(node.write(0u));
  return 0L;
}

namespace {
/// A GS base of the program's own is what this kernel cannot give; said once.
Result<long> refuseGs() {
  static std::atomic<bool> said{false};
  if (!said.exchange(true))
    log(LogLevel::Warn, "arch_prctl: the program asked for a GS base of its own; GS belongs to the runtime: EINVAL");
  return Errno::Inval;
}
constexpr int kArchCetStatus = 0x3001;
constexpr unsigned kXtileData = 18; ///< the only feature that Linux gives on request
} // namespace

Result<long> sys_arch_prctl(int code, uint64_t arg) {
  switch (code) {
  case ARCH_SET_FS:
    if (!isUserRange(arg, 1))
      return Errno::Perm;
    arch::setAppFs(arg);
    return 0L;
  case ARCH_GET_FS:
    TRY(UserPtr<uint64_t>(arg).write(arch::appFs()));
    return 0L;
  case ARCH_SET_GS:
  case ARCH_GET_GS:
    return refuseGs();
  case ARCH_GET_CPUID:
    return 1L; // CPUID does not fault
  case ARCH_SET_CPUID:
    return Errno::NoDev; // and cannot be made to
  case ARCH_GET_XCOMP_SUPP:
  case ARCH_GET_XCOMP_PERM:
  case ARCH_GET_XCOMP_GUEST_PERM:
    TRY(UserPtr<uint64_t>(arg).write(arch::fpuFeatures()));
    return 0L;
  case ARCH_REQ_XCOMP_PERM:
  case ARCH_REQ_XCOMP_GUEST_PERM:
    return arg > kXtileData ? Errno::Inval : Errno::OpNotSupp;
  case kArchCetStatus:
  default:
    return Errno::Inval;
  }
}

Result<long> sys_membarrier(int command, unsigned flags, int cpu) {
  constexpr uint32_t kSupported = MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED |
                                  MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED |
                                  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
  if (flags != 0)
    return Errno::Inval;
  Process &p = currentProcess();
  switch (command) {
  case MEMBARRIER_CMD_QUERY:
    return long{kSupported};
  case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
  case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
    p.membarrierRegistered.fetch_or(static_cast<uint32_t>(command));
    return 0L;
  case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
    if (!(p.membarrierRegistered.load() & MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
      return Errno::Perm;
    [[fallthrough]];
  case MEMBARRIER_CMD_GLOBAL:
  case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
    arch::callOnAllCpus([](void *) { std::atomic_thread_fence(std::memory_order_seq_cst); }, nullptr);
    return 0L;
  }
  return Errno::Inval;
}

} // namespace osv

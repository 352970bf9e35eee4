// SPDX-License-Identifier: BSD-3-Clause
//
// System calls of signals: what they check and return. What a signal does is signal/'s.
#include "kernel/Process.h"
#include "kernel/arch/SignalFrame.h"
#include "kernel/fs/FileTable.h"
#include "kernel/lib/Log.h"
#include "kernel/signal/Queue.h"
#include "kernel/signal/SignalFd.h"
#include "kernel/signal/SignalInternal.h"
#include "kernel/syscalls/Handlers.h"
#include "kernel/time/TimeSpec.h"
#include <asm/fcntl.h>
#include <linux/signalfd.h>

namespace osv {
namespace {

bool validSignal(int signo) { return signo >= 1 && signo <= kSignalCount; }

/// MINSIGSTKSZ of x86-64; the real need of a frame (AT_MINSIGSTKSZ) may be more.
constexpr size_t kMinAltStack = 2048;

/// sigaltstack(2) with the program's stack pointer `sp`.
Result<void> setAltStack(uint64_t base, size_t size, int flags, uint64_t sp, size_t minimum) {
  ThreadSignals &s = current().signals;
  if (arch::onAltStack(sp, s))
    return Errno::Perm;
  int mode = flags & ~static_cast<int>(SS_AUTODISARM);
  if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
    return Errno::Inval;
  if (mode == SS_DISABLE) {
    s.altStack = s.altStackSize = 0;
  } else {
    if (size < minimum)
      return Errno::NoMem;
    s.altStack = base;
    s.altStackSize = size;
  }
  s.altStackFlags = flags;
  return {};
}

/// Does Linux know what a siginfo with this code holds?
bool isKnownCode(int signo, int code) {
  if (code <= SI_USER)
    return code >= SI_DETHREAD || code == SI_ASYNCNL;
  if (code == SI_KERNEL)
    return true;
  for (auto [of, last] : {std::pair{SIGILL, NSIGILL},
                          {SIGFPE, NSIGFPE},
                          {SIGSEGV, NSIGSEGV},
                          {SIGBUS, NSIGBUS},
                          {SIGTRAP, NSIGTRAP},
                          {SIGCHLD, NSIGCHLD},
                          {SIGSYS, NSIGSYS}})
    if (of == signo)
      return code <= last;
  return code <= NSIGPOLL;
}

/// The siginfo that a program made up for rt_sigqueueinfo: it may not look like one of the kernel's or kill's, unless
/// it goes to itself, which it always does here.
Result<SignalInfo> readSigInfo(int signo, UserPtr<const siginfo_t> from) {
  union {
    siginfo_t whole;
    SignalInfo info;
    uint64_t words[sizeof(siginfo_t) / 8];
  } u = {TRY(from.read())};
  u.info.si_signo = signo;
  // Linux drops what follows the part that it keeps, unless the code is one of which it does not know that this is all.
  if (!isKnownCode(signo, u.info.si_code))
    for (size_t i = sizeof(SignalInfo) / 8; i < std::size(u.words); i++)
      if (u.words[i] != 0)
        return Errno::TooBig;
  return u.info;
}

Result<void> writeSigInfo(UserPtr<siginfo_t> to, const SignalInfo &info) {
  siginfo_t whole = {};
  __builtin_memcpy(&whole, &info, sizeof info);
  return to.write(whole);
}

/// Signal 0 only asks whether there is such a thread.
Result<void> sendOrProbe(Thread &t, const SignalInfo &info) {
  return info.si_signo ? sendToThread(t, info) : Result<void>();
}

OSV_COLD Result<void> sendToOther(int tid, const SignalInfo &info) {
  Ref<Thread> t = currentProcess().findThread(tid);
  if (!t)
    return Errno::Srch;
  return sendOrProbe(*t, info);
}

[[gnu::always_inline]] inline Result<void> sendToTid(int tid, const SignalInfo &info) {
  if (info.si_signo < 0 || info.si_signo > kSignalCount)
    return Errno::Inval;
  if (tid == current().tid)
    return sendOrProbe(current(), info);
  return sendToOther(tid, info);
}

} // namespace

Result<long> sys_rt_sigaction(int signo, UserPtr<const SignalAction> action, UserPtr<SignalAction> old, size_t size) {
  if (size != sizeof(SigSet))
    return Errno::Inval;
  SignalAction next;
  if (action)
    next = TRY(action.read());
  if (!validSignal(signo) || (action && (kUnblockable & sigBit(signo))))
    return Errno::Inval;
  // The flags that Linux knows; a program finds out what there is by what it reads back.
  constexpr uint64_t kKnown =
      SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND | SA_RESTORER;
  Process &p = currentProcess();
  SignalAction previous;
  {
    IrqSpinGuard guard(p.signals.lock);
    SignalAction &a = p.signals.actions[signo - 1];
    previous = a;
    if (action) {
      next.flags &= kKnown;
      next.mask &= ~kUnblockable;
      a = next;
      if (isIgnored(a, signo)) {
        flushLocked(p, p.signals.pending, sigBit(signo));
        IrqSpinGuard threads(p.threadsLock);
        for (Thread &t : p.threads)
          flushLocked(p, t.signals.pending, sigBit(signo));
      }
    }
  }
  if (old)
    TRY(old.write(previous));
  return 0;
}

Result<long> sys_rt_sigprocmask(int how, UserPtr<const SigSet> set, UserPtr<SigSet> old, size_t size) {
  if (size != sizeof(SigSet))
    return Errno::Inval;
  SigSet previous = current().signals.blocked;
  if (set) {
    SigSet mask = TRY(set.read());
    switch (how) {
    case SIG_BLOCK:
      mask |= previous;
      break;
    case SIG_UNBLOCK:
      mask = previous & ~mask;
      break;
    case SIG_SETMASK:
      break;
    default:
      return Errno::Inval;
    }
    setBlocked(mask);
  }
  if (old)
    TRY(old.write(previous));
  return 0;
}

Result<long> sys_rt_sigpending(UserPtr<SigSet> set, size_t size) {
  if (size > sizeof(SigSet))
    return Errno::Inval;
  SigSet pending = pendingSet() & current().signals.blocked;
  TRY(copyToUser(set.addr(), &pending, size));
  return 0;
}

Result<long> sys_rt_sigsuspend(UserPtr<const SigSet> mask, size_t size) {
  if (size != sizeof(SigSet))
    return Errno::Inval;
  if (!mask)
    return Errno::Fault;
  TRY(setTemporaryMask(mask, size));
  while (sleepUntil(kForever).ok())
    ;
  finishTemporaryMask(true);
  return Errno::RestartNoHand;
}

Result<long> sys_pause() {
  while (sleepUntil(kForever).ok())
    ;
  return Errno::RestartNoHand;
}

Result<long> sys_rt_sigtimedwait(UserPtr<const SigSet> set, UserPtr<siginfo_t> info,
                                 UserPtr<const __kernel_timespec> timeout, size_t size) {
  if (size != sizeof(SigSet))
    return Errno::Inval;
  SigSet wanted = TRY(set.read()) & ~kUnblockable;
  Nanos deadline = kForever;
  if (timeout)
    deadline = deadlineAfter(TRY(toNanos(TRY(timeout.read()))));

  Thread &t = current();
  ProcessSignals &signals = t.process->signals;
  SignalInfo taken;
  int signo;
  {
    // Unblocked for the time of the wait, so that a sender picks and wakes this thread; `waitingFor` keeps it from
    // being dropped as ignored.
    IrqSpinGuard guard(signals.lock);
    signo = takeLocked(t, wanted, taken);
    if (!signo && deadline > monotonicNow()) {
      t.signals.waitingFor = t.signals.blocked & wanted;
      t.signals.blocked &= ~wanted;
    }
    recalculateOwn(*t.process, t);
  }
  if (!signo) {
    Result<void> slept = deadline > monotonicNow() ? sleepUntil(deadline) : Result<void>();
    IrqSpinGuard guard(signals.lock);
    t.signals.blocked |= t.signals.waitingFor;
    t.signals.waitingFor = 0;
    signo = takeLocked(t, wanted, taken);
    recalculateOwn(*t.process, t);
    if (!signo)
      return slept.ok() ? Errno::Again : Errno::Intr;
  }
  if (info)
    TRY(writeSigInfo(info, taken));
  return signo;
}

namespace {
OSV_COLD void refuseSignalFrame(const Frame &frame) {
  log(LogLevel::Info, "{}[{}]: bad frame in rt_sigreturn: ip {x} sp {x}", std::string_view(current().name),
      current().tid, frame.rip, frame.rsp);
  SignalInfo info = {};
  info.si_signo = SIGSEGV;
  info.si_code = SI_KERNEL;
  forceSignal(current(), info);
}
} // namespace

Result<long> sys_rt_sigreturn(Frame &frame) {
  frame.error = ~0ull; // whatever the program had in rax is no result that could be restarted
  arch::RestoredSignal restored;
  if (!arch::popSignalFrame(frame, restored)) [[unlikely]] {
    refuseSignalFrame(frame);
    return 0;
  }
  const ThreadSignals &s = current().signals;
  if (restored.altStack != s.altStack || restored.altStackSize != s.altStackSize ||
      restored.altStackFlags != s.altStackFlags) [[unlikely]]
    (void)setAltStack(restored.altStack, restored.altStackSize, restored.altStackFlags, frame.rsp, 0);
  setBlocked(restored.mask);
  return static_cast<long>(frame.rax);
}

Result<long> sys_sigaltstack(Frame &frame, UserPtr<const stack_t> stack, UserPtr<stack_t> old) {
  const ThreadSignals &s = current().signals;
  stack_t previous = {};
  previous.ss_sp = reinterpret_cast<void *>(s.altStack);
  previous.ss_size = s.altStackSize;
  bool disarms = s.altStackFlags & static_cast<int>(SS_AUTODISARM);
  previous.ss_flags = s.altStackSize == 0 ? SS_DISABLE : arch::onAltStack(frame.rsp, s) ? SS_ONSTACK : 0;
  if (disarms)
    previous.ss_flags |= static_cast<int>(SS_AUTODISARM);
  if (stack) {
    stack_t next = TRY(stack.read());
    TRY(setAltStack(reinterpret_cast<uint64_t>(next.ss_sp), next.ss_size, next.ss_flags, frame.rsp, kMinAltStack));
  }
  if (old)
    TRY(old.write(previous));
  return 0;
}

Result<long> sys_kill(int pid, int signo) {
  Process &p = currentProcess();
  if (signo < 0 || signo > kSignalCount)
    return Errno::Inval;
  // One process, the leader of its own group. Linux leaves the sender out of kill(-1), so nobody is left there. The id
  // of any of its threads means the process.
  if (pid != 0 && pid != p.pid && pid != -p.pid && (pid < 0 || !p.findThread(pid)))
    return Errno::Srch;
  if (pid == -1)
    return Errno::Srch;
  if (signo)
    TRY(sendToProcess(p, userInfo(signo, SI_USER)));
  return 0;
}

Result<long> sys_tkill(int tid, int signo) {
  if (tid <= 0)
    return Errno::Inval;
  TRY(sendToTid(tid, userInfo(signo, SI_TKILL)));
  return 0;
}

Result<long> sys_tgkill(int pid, int tid, int signo) {
  if (pid <= 0 || tid <= 0)
    return Errno::Inval;
  if (pid != currentProcess().pid)
    return Errno::Srch;
  TRY(sendToTid(tid, userInfo(signo, SI_TKILL)));
  return 0;
}

Result<long> sys_rt_sigqueueinfo(int pid, int signo, UserPtr<const siginfo_t> from) {
  SignalInfo info = TRY(readSigInfo(signo, from));
  Process &p = currentProcess();
  if (pid != p.pid)
    return info.si_code >= 0 || info.si_code == SI_TKILL ? Errno::Perm : Errno::Srch;
  if (signo < 0 || signo > kSignalCount)
    return Errno::Inval;
  if (signo)
    TRY(sendToProcess(p, info));
  return 0;
}

Result<long> sys_rt_tgsigqueueinfo(int pid, int tid, int signo, UserPtr<const siginfo_t> from) {
  SignalInfo info = TRY(readSigInfo(signo, from));
  if (pid <= 0 || tid <= 0)
    return Errno::Inval;
  if (pid != currentProcess().pid)
    return info.si_code >= 0 || info.si_code == SI_TKILL ? Errno::Perm : Errno::Srch;
  TRY(sendToTid(tid, info));
  return 0;
}

Result<long> sys_signalfd4(int fd, UserPtr<const SigSet> mask, size_t size, int flags) {
  if (size != sizeof(SigSet) || (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)))
    return Errno::Inval;
  SigSet set = TRY(mask.read());
  FileTable &files = *currentProcess().files;
  if (fd != -1) {
    Ref<File> file = TRY(files.get(fd));
    TRY(setSignalFdMask(*file, set));
    return fd;
  }
  return TRY(files.install(TRY(createSignalFd(set, flags & SFD_NONBLOCK)), flags & SFD_CLOEXEC));
}

Result<long> sys_signalfd(int fd, UserPtr<const SigSet> mask, size_t size) { return sys_signalfd4(fd, mask, size, 0); }

Result<long> sys_restart_syscall() {
  RestartBlock &block = current().signals.restart;
  if (!block.fn)
    return Errno::Intr;
  auto fn = block.fn;
  block.fn = nullptr;
  return fn(block);
}

} // namespace osv

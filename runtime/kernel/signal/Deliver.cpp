// SPDX-License-Identifier: BSD-3-Clause
//
// Delivery: what a thread does about its signals on the way out to the program. The layout of the frame it builds is
// arch/x64/SignalFrame.cpp's.
//
// One call settles one signal. More pending ones are delivered by further calls, each on top of the frame of the one
// before, so that the handler of the last runs first, as on Linux. Signals that are ignored by now, or whose default is
// to do nothing, are skipped.
//
// Restarts. An interrupted system call has left -Restart* in rax, and the frame still has its number in `error`. To
// restart is to put the number back into rax and to step rip back over the two bytes of `syscall`, which are still
// there even in a rewritten program (abi/Image.h). Whether to, depends on the handler that is about to run:
//                        no handler            handler with SA_RESTART   handler without
//   RestartSys           restart               restart                   EINTR
//   RestartNoIntr        restart               restart                   restart
//   RestartNoHand        restart               EINTR                     EINTR
//   RestartRestartBlock  as restart_syscall    EINTR                     EINTR
#include "abi/Image.h"
#include "kernel/Process.h"
#include "kernel/arch/SignalFrame.h"
#include "kernel/lib/Log.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/signal/Queue.h"
#include "kernel/signal/SignalInternal.h"
#include "kernel/time/PosixTimer.h"
#include "kernel/time/Time.h"

namespace osv {
namespace {

constexpr uint64_t kNoSyscall = ~0ull; ///< Frame::error of a frame that must not be restarted
constexpr uint64_t kSyscallLength = 2; ///< bytes of the instruction
constexpr uint64_t kRestartSyscallNumber = 219;
constexpr SigSet kIntervalTimers = sigBit(SIGALRM) | sigBit(SIGVTALRM) | sigBit(SIGPROF);
constexpr Nanos kStopCheck = 1'000'000;

/// The rest of take for a signal that is pending without siginfo, or that a timer has sent.
OSV_COLD void settleUnusual(Process &p, int signo, QueuedSignal *entry, SignalInfo &info) {
  if (!entry) {
    info = {};
    info.si_signo = signo;
    info.si_code = SI_USER; // the queue was full: who sent it is lost
  } else {
    info = entry->info;
    if (entry->timer)
      posixTimerSignalTaken(*entry->timer, info);
    else
      freeEntry(p, *entry);
  }
  if (kIntervalTimers & sigBit(signo))
    intervalTimerSignalTaken(p, signo);
}

/// takeLocked, inline.
[[gnu::always_inline]] inline int take(Process &p, Thread &t, SigSet wanted, SignalInfo &info) {
  PendingSignals *from = &t.signals.pending;
  if (!(from->set & wanted)) {
    from = &p.signals.pending;
    if (!(from->set & wanted))
      return 0;
  }
  int signo = nextSignal(from->set & wanted);
  QueuedSignal *entry = takePending(*from, signo);
  if (!entry || entry->timer || (kIntervalTimers & sigBit(signo))) [[unlikely]] {
    settleUnusual(p, signo, entry, info);
    return signo;
  }
  info = entry->info;
  freeEntry(p, *entry);
  return signo;
}

[[gnu::always_inline]] inline void settleRestart(Frame &frame, const SignalAction *handler) {
  if (!frame.isSyscall() || frame.error == kNoSyscall)
    return;
  uint64_t number = frame.error;
  switch (static_cast<Errno>(-static_cast<int64_t>(frame.rax))) {
  case Errno::RestartRestartBlock:
    number = kRestartSyscallNumber;
    [[fallthrough]];
  case Errno::RestartNoHand:
    if (handler) {
      frame.rax = static_cast<uint64_t>(-EINTR);
      return;
    }
    break;
  case Errno::RestartSys:
    if (handler && !(handler->flags & SA_RESTART)) {
      frame.rax = static_cast<uint64_t>(-EINTR);
      return;
    }
    break;
  case Errno::RestartNoIntr:
    break;
  default:
    return;
  }
  frame.rax = number;
  frame.rip -= kSyscallLength;
}

/// The end of the program by a signal. Says where, as Linux's kernel log does for faults.
[[noreturn]] void dieOf(const SignalInfo &info, const Frame &frame) {
  Thread &t = current();
  if (kSynchronous & sigBit(info.si_signo) && info.si_code > 0)
    log(LogLevel::Info, "{}[{}]: signal {} code {} at {x}: ip {x} sp {x} trap {} error {}", std::string_view(t.name),
        t.tid, info.si_signo, info.si_code, reinterpret_cast<uint64_t>(info.si_addr), originalAddress(frame.rip),
        frame.rsp, t.signals.trapNumber, t.signals.trapError);
  exitProcess(0, info.si_signo);
}

constinit bool (*stopHandler)() = nullptr;

bool killIsPending(const Thread &t) {
  return (t.signals.pending.set | t.process->signals.pending.set) & sigBit(SIGKILL);
}

/// Stops the program. This thread waits for SIGCONT or its end, whatever other signals come; the others stand still
/// with the machine, soon.
void stopProgram(int signo) {
  stopped.store(true, std::memory_order_relaxed);
  if (!stopHandler || !stopHandler())
    return log(LogLevel::Warn, "signal {}: nobody could let the program go on, so it is not stopped", signo);
  WaitQueue nobody;
  Waiter w(nobody);
  while (stopped.load(std::memory_order_relaxed) && !mustExit() && !killIsPending(current()))
    (void)w.wait(monotonicNow() + kStopCheck, WaitMode::Uninterruptible); // the machine stands still: no busy wait
}

/// What happens to a signal without a handler.
OSV_COLD void actByDefault(const SignalInfo &info, const SignalAction &action, const Frame &frame) {
  if (isIgnored(action, info.si_signo))
    return;
  if (defaultAction(info.si_signo) == DefaultAction::Stop)
    stopProgram(info.si_signo);
  else
    dieOf(info, frame);
}

/// The handler cannot be given its frame: that is a SIGSEGV, a deadly one when it was SIGSEGV's own.
OSV_COLD void stackOverflow(Thread &t, int signo) {
  if (signo == SIGSEGV) {
    IrqSpinGuard guard(t.process->signals.lock);
    t.process->signals.actions[SIGSEGV - 1].handler = 0;
  }
  SignalInfo info = {};
  info.si_signo = SIGSEGV;
  info.si_code = SI_KERNEL;
  forceSignal(t, info);
}

} // namespace

int takeLocked(Thread &t, SigSet wanted, SignalInfo &info) { return take(*t.process, t, wanted, info); }

int takeSignal(SigSet wanted, SignalInfo &info) {
  Thread &t = current();
  IrqSpinGuard guard(t.process->signals.lock);
  int signo = takeLocked(t, wanted & ~kUnblockable, info);
  if (signo)
    recalculateOwn(*t.process, t);
  return signo;
}

void setStopHandler(bool (*fn)()) { stopHandler = fn; }

void deliverSignals(Frame &frame) {
  Thread &t = current();
  Process &p = *t.process;
  ProcessSignals &s = p.signals;
  SigSet before = t.signals.blocked, saved = t.signals.restoreBlocked ? t.signals.savedBlocked : before;
  SignalInfo info;
  s.lock.lockRaw();
  int signo = take(p, t, ~before, info);
  if (!signo) [[unlikely]] {
    s.lock.unlockRaw();
    arch::enableInterrupts();
    settleRestart(frame, nullptr);
    t.signals.restoreBlocked = false;
    return setBlocked(saved);
  }
  SignalAction &live = s.actions[signo - 1], action = live;
  if (action.handler <= 1) [[unlikely]] {
    s.lock.unlockRaw();
    arch::enableInterrupts();
    return actByDefault(info, action, frame); // kWorkSignal is still set: the gate comes again for what is left
  }
  if (action.flags & SA_RESETHAND) [[unlikely]]
    live.handler = 0;
  setBlockedLocked(p, t, before | action.mask | (action.flags & SA_NODEFER ? 0 : sigBit(signo)));
  s.lock.unlockRaw();
  arch::enableInterrupts();

  settleRestart(frame, &action);
  if (!arch::pushSignalFrame(frame, info, action, saved)) [[unlikely]] {
    setBlocked(before);
    return stackOverflow(t, signo);
  }
  t.signals.restoreBlocked = false;
}

void raiseFault(Frame &frame, int signo, int code, VAddr addr) {
  constexpr uint64_t kPageFault = 14, kErrorProtection = 1, kErrorUser = 4;
  Thread &t = current();
  t.signals.trapNumber = frame.vector;
  t.signals.trapError = frame.error;
  if (frame.vector == kPageFault) {
    // To Linux the program is at level 3, and what lies above its half looks present.
    t.signals.trapError |= kErrorUser | (addr >= arch::kUserMax ? kErrorProtection : 0);
    t.signals.trapAddress = addr.value;
  }
  SignalInfo info = {};
  info.si_signo = signo;
  info.si_code = code;
  if (code != SI_KERNEL)
    info.si_addr = reinterpret_cast<void *>(addr.value);
  forceSignal(t, info);
}

namespace {
/// The run of a stub that holds the address; null outside stubs. The table is by original address, because that is what
/// most who ask have; signals seldom hit a stub.
const abi::StubMap *findRun(uint64_t rip) {
  if (!isInStubs(rip)) [[likely]]
    return nullptr;
  for (const abi::StubMap &run : osv_image.stubs)
    if (rip - run.stub < run.size)
      return &run;
  return nullptr;
}

/// The first run that stands for something above `original`.
const abi::StubMap *firstAbove(uint64_t original) {
  const abi::StubMap *lo = osv_image.stubs.begin();
  size_t n = static_cast<size_t>(osv_image.stubs.end() - lo);
  if (n == 0 || original < lo->original)
    return lo;
  while (n > 1) { // lo->original <= original
    size_t half = n / 2;
    lo = lo[half].original <= original ? lo + half : lo;
    n -= half;
  }
  return lo + 1;
}
} // namespace

uint64_t originalOfStub(uint64_t rip) {
  const abi::StubMap *run = findRun(rip);
  return run ? run->original + (run->flags & abi::kStubCopy ? rip - run->stub : 0) : rip;
}

bool isQuietStep(uint64_t rip) {
  const abi::StubMap *run = findRun(rip);
  return run && (rip == run->stub ? run->flags & abi::kStubQuiet : !(run->flags & abi::kStubCopy));
}

constinit thread_local Stretch untouched = {1, 0};

uint64_t findResumeAddress(uint64_t rip) {
  const abi::StubMap *first = osv_image.stubs.begin(), *next = firstAbove(rip);
  // The runs before `next` begin at or before rip. Of those that begin at the same place the first is the one to resume
  // in.
  const abi::StubMap *run = next == first ? nullptr : next - 1;
  while (run && run > first && run[-1].original == run->original)
    run--;
  uint64_t start = run ? run->original : 0;
  if (run && (run->flags & abi::kStubReplaces)) {
    bool copy = run->flags & abi::kStubCopy;
    uint64_t offset = rip - run->original, replaced = copy ? run->size : 1;
    if (offset < replaced)
      return run->stub + offset;
    start += replaced;
  }
  untouched = {start, next == osv_image.stubs.end() ? ~0ull : next->original};
  return rip;
}

} // namespace osv

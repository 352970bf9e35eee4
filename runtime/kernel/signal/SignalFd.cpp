// SPDX-License-Identifier: BSD-3-Clause
//
// signalfd: reading takes pending signals of the reading thread and of its process out of their queues, as sigwaitinfo
// does.
//
// Whoever sends a signal looks through the list of all signalfds, which is nearly always empty, and wakes the waiters
// of those that want it. A signal for one thread wakes readers in others too; they find nothing and sleep on (Linux's
// own rule: what is readable depends on who reads).
#include "kernel/signal/SignalFd.h"
#include "kernel/Process.h"
#include "kernel/mm/Heap.h"
#include "kernel/signal/SignalInternal.h"
#include <asm/fcntl.h>
#include <boost/intrusive/list.hpp>
#include <linux/eventpoll.h>
#include <linux/signalfd.h>

namespace osv {
namespace {

class SignalFd : public File, public boost::intrusive::list_base_hook<> {
public:
  explicit SignalFd(SigSet mask);
  ~SignalFd() override;
  Result<size_t> read(IoBuffer &io) override;
  Result<void> stat(struct stat &out) override;
  uint32_t poll() override { return pendingSet() & mask.load(std::memory_order_relaxed) ? EPOLLIN : 0; }
  const char *kind() const override { return "anon_inode:[signalfd]"; }

  std::atomic<SigSet> mask;
};

using SignalFdList = boost::intrusive::list<SignalFd, boost::intrusive::constant_time_size<false>>;
SpinLock listLock; ///< interrupts off; inside ProcessSignals::lock, outside WaitQueue's

/// Made on first use: the kernel runs no global constructors.
SignalFdList &allSignalFds() {
  alignas(SignalFdList) static char storage[sizeof(SignalFdList)];
  static SignalFdList *list = nullptr;
  if (!list)
    list = new (storage) SignalFdList;
  return *list;
}

signalfd_siginfo toRecord(const SignalInfo &info) {
  signalfd_siginfo r = {};
  r.ssi_signo = static_cast<uint32_t>(info.si_signo);
  r.ssi_errno = info.si_errno;
  r.ssi_code = info.si_code;
  if (info.si_code == SI_TIMER) {
    r.ssi_tid = static_cast<uint32_t>(info.si_tid);
    r.ssi_overrun = static_cast<uint32_t>(info.si_overrun);
    r.ssi_ptr = reinterpret_cast<uint64_t>(info.si_ptr);
    r.ssi_int = info.si_int;
  } else if (info.si_code > 0 && info.si_code != SI_KERNEL) { // a fault
    r.ssi_addr = reinterpret_cast<uint64_t>(info.si_addr);
  } else {
    r.ssi_pid = static_cast<uint32_t>(info.si_pid);
    r.ssi_uid = info.si_uid;
    if (info.si_code < 0 && info.si_code != SI_TKILL) {
      r.ssi_ptr = reinterpret_cast<uint64_t>(info.si_ptr);
      r.ssi_int = info.si_int;
    }
  }
  return r;
}

SignalFd::SignalFd(SigSet m) : mask(m) {
  IrqSpinGuard guard(listLock);
  allSignalFds().push_back(*this);
  liveSignalFds.fetch_add(1, std::memory_order_seq_cst);
}

SignalFd::~SignalFd() {
  IrqSpinGuard guard(listLock);
  allSignalFds().erase(allSignalFds().iterator_to(*this));
  liveSignalFds.fetch_sub(1, std::memory_order_seq_cst);
}

Result<size_t> SignalFd::read(IoBuffer &io) {
  if (io.remaining() < sizeof(signalfd_siginfo))
    return Errno::Inval;
  size_t done = 0;
  Waiter waiter(pollQueue);
  while (io.remaining() >= sizeof(signalfd_siginfo)) {
    SignalInfo info;
    if (!takeSignal(mask.load(std::memory_order_relaxed), info)) {
      if (done)
        break;
      if (flags & O_NONBLOCK)
        return Errno::Again;
      TRY(waiter.wait());
      continue;
    }
    signalfd_siginfo record = toRecord(info);
    auto copied = io.copyOut(&record, sizeof record);
    if (!copied.ok() || *copied < sizeof record)
      return done ? Result<size_t>(done) : Result<size_t>(Errno::Fault);
    done += sizeof record;
  }
  return done;
}

Result<void> SignalFd::stat(struct stat &out) {
  out = {};
  out.st_mode = 0600;
  out.st_nlink = 1;
  out.st_blksize = kPageSize;
  return {};
}

} // namespace

std::atomic<unsigned> liveSignalFds{0};

void wakeSignalFds(int signo) {
  IrqSpinGuard guard(listLock);
  for (SignalFd &f : allSignalFds())
    if (f.mask.load(std::memory_order_relaxed) & sigBit(signo))
      f.pollQueue.wakeAll(EPOLLIN);
}

Result<Ref<File>> createSignalFd(SigSet mask, bool nonBlocking) {
  SignalFd *f = TRY(make<SignalFd>(mask & ~kUnblockable));
  f->flags = O_RDWR | (nonBlocking ? O_NONBLOCK : 0);
  return Ref<File>::adopt(f);
}

Result<void> setSignalFdMask(File &file, SigSet mask) {
  constexpr std::string_view kKind = "anon_inode:[signalfd]";
  if (file.kind() != kKind) // no RTTI in the kernel
    return Errno::Inval;
  auto &f = static_cast<SignalFd &>(file);
  f.mask.store(mask & ~kUnblockable, std::memory_order_relaxed);
  f.pollQueue.wakeAll(EPOLLIN);
  return {};
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// poll and select. A first pass asks every file without queueing anywhere, which is all that a call with something
// ready costs. Only when nothing is ready is an entry put on each file's queue; all of them lead to one private queue
// on which the thread sleeps.
#include "kernel/mm/Heap.h"
#include "kernel/sched/Thread.h"
#include "kernel/signal/Signal.h"
#include "kernel/syscalls/FileArguments.h"
#include "kernel/time/TimeSpec.h"
#include <algorithm>
#include <cstring>
#include <linux/eventpoll.h>
#include <linux/poll.h>

namespace osv {
namespace {

constexpr uint32_t kAlways = POLLERR | POLLHUP;

/// One watched file.
struct Watch : WaitEntry {
  Ref<File> file;
  WaitQueue *owner = nullptr;
  uint32_t events = 0;
  uint32_t found = 0;
};

bool watchNotified(WaitEntry &entry, uint32_t events) {
  auto &w = static_cast<Watch &>(entry);
  if (events & w.events)
    w.owner->wakeAll();
  return false;
}

/// The watches of one call: few on the stack, many on the heap.
class WatchSet {
public:
  ~WatchSet() {
    for (Watch &w : watches)
      if (queued)
        w.file->readiness().remove(w);
    for (Watch &w : watches)
      w.~Watch();
    if (heap)
      heapFree(heap);
  }
  Result<void> reserve(size_t n) {
    Watch *at = reinterpret_cast<Watch *>(small);
    if (n * sizeof(Watch) > sizeof small) {
      heap = heapAlloc(n * sizeof(Watch));
      if (!heap)
        return Errno::NoMem;
      at = static_cast<Watch *>(heap);
    }
    watches = {at, 0};
    return {};
  }
  Watch &add(Ref<File> file, uint32_t events) {
    Watch *w = new (watches.data() + watches.size()) Watch;
    watches = {watches.data(), watches.size() + 1};
    w->file = std::move(file);
    w->events = events | kAlways;
    w->notify = watchNotified;
    w->owner = &own;
    return *w;
  }
  /// Asks every file; returns how many have something.
  size_t ask() {
    size_t ready = 0;
    for (Watch &w : watches) {
      w.found = w.file->poll() & w.events;
      ready += w.found != 0;
    }
    return ready;
  }
  /// Sleeps until at least one has, or the deadline (0: ask once). RestartSys when interrupted.
  Result<size_t> wait(Nanos deadline) {
    if (size_t n = ask(); n || deadline == 0)
      return n;
    Waiter waiter(own);
    for (Watch &w : watches)
      w.file->readiness().add(w);
    queued = true;
    for (;;) {
      if (size_t n = ask())
        return n;
      if (auto r = waiter.wait(deadline); !r) {
        if (r.error() == Errno::TimedOut)
          return ask();
        return r.error();
      }
    }
  }
  std::span<Watch> watches;

private:
  WaitQueue own;
  void *heap = nullptr;
  bool queued = false;
  alignas(Watch) char small[8 * sizeof(Watch)];
};

Result<long> poll(UserPtr<struct pollfd> argument, unsigned n, Nanos deadline) {
  if (n > descriptorLimit())
    return Errno::Inval;
  struct pollfd small[8], *fds = small;
  struct Freed {
    void *p = nullptr;
    ~Freed() {
      if (p)
        heapFree(p);
    }
  } heap;
  if (n > std::size(small)) {
    heap.p = heapAlloc(n * sizeof(struct pollfd));
    if (!heap.p)
      return Errno::NoMem;
    fds = static_cast<struct pollfd *>(heap.p);
  }
  TRY(argument.read(std::span(fds, n)));
  WatchSet set;
  TRY(set.reserve(n));
  size_t bad = 0;
  for (unsigned i = 0; i < n; i++) {
    fds[i].revents = 0;
    if (fds[i].fd < 0)
      continue;
    auto f = files().get(fds[i].fd);
    if (!f || (*f)->isPath()) {
      fds[i].revents = POLLNVAL;
      bad++;
      continue;
    }
    set.add(f.take(), static_cast<uint16_t>(fds[i].events));
  }
  size_t ready = bad + TRY(set.wait(bad ? 0 : deadline));
  size_t next = 0;
  for (unsigned i = 0; i < n; i++) {
    if (fds[i].fd >= 0 && !(fds[i].revents & POLLNVAL))
      fds[i].revents = static_cast<short>(set.watches[next++].found);
    TRY(UserPtr<short>((argument + i).addr().value + offsetof(struct pollfd, revents)).write(fds[i].revents));
  }
  return static_cast<long>(ready);
}

// ---- select

constexpr uint32_t kSelectIn = POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR;
constexpr uint32_t kSelectOut = POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR;
constexpr uint32_t kSelectExcept = POLLPRI;

Result<long> select(int n, UserPtr<uint64_t> sets[3], Nanos deadline) {
  if (n < 0)
    return Errno::Inval;
  n = std::min(n, static_cast<int>(std::min(descriptorLimit(), 1024u)));
  size_t words = (static_cast<size_t>(n) + 63) / 64;
  uint64_t in[3][16] = {}, out[3][16] = {};
  for (int s = 0; s < 3; s++)
    if (sets[s])
      TRY(sets[s].read(std::span(in[s], words)));
  auto has = [&](int s, int fd) { return in[s][fd / 64] >> (fd % 64) & 1; };
  size_t watched = 0;
  for (int fd = 0; fd < n; fd++)
    watched += has(0, fd) || has(1, fd) || has(2, fd);
  WatchSet set;
  TRY(set.reserve(watched));
  for (int fd = 0; fd < n; fd++) {
    uint32_t events = (has(0, fd) ? kSelectIn : 0) | (has(1, fd) ? kSelectOut : 0) | (has(2, fd) ? kSelectExcept : 0);
    if (!events)
      continue;
    Ref<File> f = TRY(files().get(fd));
    if (f->isPath())
      return Errno::BadF;
    Watch &w = set.add(std::move(f), events);
    w.events = events; // errors count only for the sets that ask for them
  }
  TRY(set.wait(deadline));
  long bits = 0;
  size_t next = 0;
  for (int fd = 0; fd < n; fd++) {
    if (!has(0, fd) && !has(1, fd) && !has(2, fd))
      continue;
    uint32_t found = set.watches[next++].found;
    const uint32_t masks[3] = {kSelectIn, kSelectOut, kSelectExcept};
    for (int s = 0; s < 3; s++)
      if (has(s, fd) && (found & masks[s])) {
        out[s][fd / 64] |= uint64_t{1} << (fd % 64);
        bits++;
      }
  }
  for (int s = 0; s < 3; s++)
    if (sets[s])
      TRY(sets[s].write(std::span<const uint64_t>(out[s], words)));
  return bits;
}

/// What is left until `deadline`, for the calls that report it.
Nanos timeLeft(Nanos deadline) { return deadline == 0 ? 0 : std::max<Nanos>(deadline - monotonicNow(), 0); }

Result<long> withRestart(Result<long> r, Errno becomes) {
  return !r && r.error() == Errno::RestartSys ? Result<long>(becomes) : r;
}

} // namespace

/// poll, and its continuation after a signal without a handler: with the time that is left, so the deadline is kept.
static Result<long> pollOrRestart(UserPtr<struct pollfd> fds, unsigned n, Nanos deadline) {
  auto r = poll(fds, n, deadline);
  if (r || r.error() != Errno::RestartSys)
    return r;
  RestartBlock &block = current().signals.restart;
  block.fn = [](RestartBlock &self) {
    return pollOrRestart(UserPtr<struct pollfd>(self.args[0]), static_cast<unsigned>(self.args[1]), self.deadline);
  };
  block.deadline = deadline;
  block.args[0] = fds.addr().value;
  block.args[1] = n;
  return Errno::RestartRestartBlock;
}

Result<long> sys_poll(UserPtr<struct pollfd> fds, unsigned n, int timeout) {
  return pollOrRestart(fds, n, timeout < 0 ? kForever : timeout == 0 ? 0 : deadlineAfter(Nanos{timeout} * 1'000'000));
}

Result<long> sys_ppoll(UserPtr<struct pollfd> fds, unsigned n, UserPtr<__kernel_timespec> timeout,
                       UserPtr<const SigSet> mask, size_t size) {
  Nanos deadline = kForever;
  if (timeout) {
    Nanos duration = TRY(toNanos(TRY(timeout.read())));
    deadline = duration ? deadlineAfter(duration) : 0;
  }
  TRY(setTemporaryMask(mask, size));
  auto r = withRestart(poll(fds, n, deadline), Errno::RestartNoHand);
  if (timeout && deadline != kForever)
    (void)timeout.write(toTimeSpec(timeLeft(deadline))); // so a restart waits for the rest only
  finishTemporaryMask(!r && r.error() == Errno::RestartNoHand);
  return r;
}

Result<long> sys_select(int n, UserPtr<uint64_t> in, UserPtr<uint64_t> out, UserPtr<uint64_t> except,
                        UserPtr<__kernel_old_timeval> timeout) {
  Nanos deadline = kForever;
  if (timeout) {
    __kernel_old_timeval t = TRY(timeout.read());
    if (t.tv_sec < 0 || t.tv_usec < 0)
      return Errno::Inval;
    Nanos duration = combine(t.tv_sec + t.tv_usec / 1'000'000, t.tv_usec % 1'000'000 * kMicrosecond);
    deadline = duration ? deadlineAfter(duration) : 0;
  }
  UserPtr<uint64_t> sets[3] = {in, out, except};
  auto r = withRestart(select(n, sets, deadline), Errno::RestartNoHand);
  if (timeout && deadline != kForever)
    (void)timeout.write(toTimeVal(timeLeft(deadline)));
  return r;
}

Result<long> sys_pselect6(int n, UserPtr<uint64_t> in, UserPtr<uint64_t> out, UserPtr<uint64_t> except,
                          UserPtr<__kernel_timespec> timeout, UserPtr<uint64_t> maskArgument) {
  Nanos deadline = kForever;
  if (timeout) {
    Nanos duration = TRY(toNanos(TRY(timeout.read())));
    deadline = duration ? deadlineAfter(duration) : 0;
  }
  uint64_t mask[2] = {}; // address and size
  if (maskArgument)
    TRY(maskArgument.read(std::span(mask)));
  TRY(setTemporaryMask(UserPtr<const SigSet>(mask[0]), mask[1]));
  UserPtr<uint64_t> sets[3] = {in, out, except};
  auto r = withRestart(select(n, sets, deadline), Errno::RestartNoHand);
  if (timeout && deadline != kForever)
    (void)timeout.write(toTimeSpec(timeLeft(deadline)));
  finishTemporaryMask(!r && r.error() == Errno::RestartNoHand);
  return r;
}

} // namespace osv

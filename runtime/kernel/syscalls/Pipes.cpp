// SPDX-License-Identifier: BSD-3-Clause
//
// System calls that make pipes, eventfds and epoll sets, and epoll's control and wait.
#include "kernel/fs/Epoll.h"
#include "kernel/fs/EventFile.h"
#include "kernel/fs/Pipe.h"
#include "kernel/mm/Heap.h"
#include "kernel/signal/Signal.h"
#include "kernel/syscalls/FileArguments.h"
#include "kernel/time/TimeSpec.h"

namespace osv {

/// <linux/eventfd.h> is newer than the headers we build against.
enum : int { EFD_SEMAPHORE = 1, EFD_CLOEXEC = O_CLOEXEC, EFD_NONBLOCK = O_NONBLOCK };

void raiseBrokenPipe() {
  SignalInfo info = {};
  info.si_signo = SIGPIPE;
  info.si_code = SI_USER;
  info.si_pid = currentProcess().pid;
  (void)sendToThread(current(), info);
}

Result<long> sys_pipe2(UserPtr<int> out, int flags) {
  if (flags & O_DIRECT)
    return Errno::Inval; // Partial: no packet mode
  if (flags & ~(O_CLOEXEC | O_NONBLOCK))
    return Errno::Inval;
  Ref<File> readEnd, writeEnd;
  TRY(makePipe(flags, readEnd, writeEnd));
  int fds[2];
  fds[0] = TRY(files().install(std::move(readEnd), flags & O_CLOEXEC));
  auto second = files().install(std::move(writeEnd), flags & O_CLOEXEC);
  if (!second) {
    (void)files().close(fds[0]);
    return second.error();
  }
  fds[1] = *second;
  if (auto r = out.write(std::span<const int>(fds)); !r) {
    (void)files().close(fds[0]);
    (void)files().close(fds[1]);
    return r.error();
  }
  return 0;
}
Result<long> sys_pipe(UserPtr<int> out) { return sys_pipe2(out, 0); }

Result<long> sys_eventfd2(unsigned initial, int flags) {
  if (flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
    return Errno::Inval;
  auto f = Ref<EventFile>::adopt(TRY(make<EventFile>(initial, (flags & EFD_SEMAPHORE) != 0)));
  f->flags = O_RDWR | (flags & EFD_NONBLOCK);
  return TRY(files().install(std::move(f), flags & EFD_CLOEXEC));
}
Result<long> sys_eventfd(unsigned initial) { return sys_eventfd2(initial, 0); }

Result<long> sys_epoll_create1(int flags) {
  if (flags & ~EPOLL_CLOEXEC)
    return Errno::Inval;
  auto f = Ref<EpollFile>::adopt(TRY(make<EpollFile>()));
  f->flags = O_RDWR;
  return TRY(files().install(std::move(f), flags & EPOLL_CLOEXEC));
}
Result<long> sys_epoll_create(int size) { return size <= 0 ? Result<long>(Errno::Inval) : sys_epoll_create1(0); }

Result<long> sys_epoll_ctl(int epfd, int op, int fd, UserPtr<struct epoll_event> argument) {
  struct epoll_event event = {};
  if (op != EPOLL_CTL_DEL)
    event = TRY(argument.read());
  Ref<File> set = TRY(files().get(epfd));
  Ref<File> file = TRY(files().get(fd));
  if (set->isPath() || file->isPath())
    return Errno::BadF;
  if (!file->canPoll())
    return Errno::Perm;
  if (file == set || !set->asEpoll())
    return Errno::Inval;
  TRY(set->asEpoll()->control(op, std::move(file), fd, event));
  return 0;
}

static bool putEvent(void *ctx, size_t index, const struct epoll_event &e) {
  return static_cast<UserPtr<struct epoll_event> *>(ctx)[0].operator+(index).write(e).ok();
}

static Result<long> epollWait(int epfd, UserPtr<struct epoll_event> events, int most, Nanos deadline) {
  if (most <= 0 || static_cast<size_t>(most) > INT32_MAX / sizeof(struct epoll_event))
    return Errno::Inval;
  Ref<File> set = TRY(files().get(epfd));
  if (!set->asEpoll())
    return Errno::Inval;
  auto r = set->asEpoll()->wait(static_cast<size_t>(most), deadline, putEvent, &events);
  if (!r)
    return r.error() == Errno::RestartSys ? Errno::Intr : r.error(); // never restarted (signal(7))
  return static_cast<long>(*r);
}

static Nanos fromMilliseconds(int timeout) {
  return timeout < 0 ? kForever : timeout == 0 ? 0 : deadlineAfter(Nanos{timeout} * 1'000'000);
}

Result<long> sys_epoll_wait(int epfd, UserPtr<struct epoll_event> events, int most, int timeout) {
  return epollWait(epfd, events, most, fromMilliseconds(timeout));
}

Result<long> sys_epoll_pwait(int epfd, UserPtr<struct epoll_event> events, int most, int timeout,
                             UserPtr<const SigSet> mask, size_t size) {
  TRY(setTemporaryMask(mask, size));
  auto r = epollWait(epfd, events, most, fromMilliseconds(timeout));
  finishTemporaryMask(!r && r.error() == Errno::Intr);
  return r;
}

Result<long> sys_epoll_pwait2(int epfd, UserPtr<struct epoll_event> events, int most,
                              UserPtr<__kernel_timespec> timeout, UserPtr<const SigSet> mask, size_t size) {
  Nanos deadline = kForever;
  if (timeout) {
    Nanos duration = TRY(toNanos(TRY(timeout.read())));
    deadline = duration ? deadlineAfter(duration) : 0;
  }
  TRY(setTemporaryMask(mask, size));
  auto r = epollWait(epfd, events, most, deadline);
  finishTemporaryMask(!r && r.error() == Errno::Intr);
  return r;
}

} // namespace osv

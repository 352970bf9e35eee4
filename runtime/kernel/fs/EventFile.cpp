// SPDX-License-Identifier: BSD-3-Clause
//
// eventfd: reads take the counter (or 1 of it with EFD_SEMAPHORE), writes add; both block at the ends of its range.
#include "kernel/fs/EventFile.h"
#include <linux/eventpoll.h>

namespace osv {

Result<size_t> EventFile::read(IoBuffer &io) {
  if (io.remaining() < sizeof count)
    return Errno::Inval;
  uint64_t taken;
  {
    SpinGuard g(lock);
    if (count == 0) {
      if (nonBlocking())
        return Errno::Again;
      Waiter w(pollQueue);
      while (count == 0)
        TRY(w.wait(lock));
    }
    taken = semaphore ? 1 : count;
    count -= taken;
  }
  pollQueue.wakeAll(EPOLLOUT);
  size_t n = TRY(io.copyOut(&taken, sizeof taken));
  return n == sizeof taken ? Result<size_t>(n) : Result<size_t>(Errno::Fault);
}

Result<size_t> EventFile::write(IoBuffer &io) {
  uint64_t added;
  if (io.remaining() < sizeof added)
    return Errno::Inval;
  if (TRY(io.copyIn(&added, sizeof added)) != sizeof added)
    return Errno::Fault;
  if (added == ~0ull)
    return Errno::Inval;
  {
    SpinGuard g(lock);
    if (~0ull - 1 - count < added) {
      if (nonBlocking())
        return Errno::Again;
      Waiter w(pollQueue);
      while (~0ull - 1 - count < added)
        TRY(w.wait(lock));
    }
    count += added;
  }
  pollQueue.wakeAll(EPOLLIN);
  return sizeof added;
}

uint32_t EventFile::poll() {
  SpinGuard g(lock);
  uint32_t ready = 0;
  if (count)
    ready |= EPOLLIN;
  if (count < ~0ull - 1)
    ready |= EPOLLOUT;
  if (count == ~0ull)
    ready |= EPOLLERR;
  return ready;
}

} // namespace osv

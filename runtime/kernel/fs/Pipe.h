// SPDX-License-Identifier: BSD-3-Clause
//
// Pipes and fifos: a ring of bytes with Linux's rules. Capacity 64 KiB (F_SETPIPE_SZ changes it), writes of up to
// PIPE_BUF bytes are atomic, end of file when the last writer has gone, SIGPIPE and EPIPE when the last reader has.
//
// One sleeping lock per pipe, because program memory is copied under it. The ring starts as one page and grows when
// more is waiting, so a pipe used in turns costs 4 KiB. Both queues are woken under the lock and only when somebody is
// on them; a waiter is on its queue before it takes the lock to look.
#pragma once
#include "kernel/fs/File.h"
#include <linux/eventpoll.h>

namespace osv {

class Pipe : public RefCounted {
public:
  static constexpr uint32_t kDefaultCapacity = 65536;
  static constexpr uint32_t kMaxCapacity = 1u << 20;
  static constexpr uint32_t kAtomic = 4096; ///< PIPE_BUF
  ~Pipe();

  static constexpr uint32_t kIn = EPOLLIN | EPOLLRDNORM, kOut = EPOLLOUT | EPOLLWRNORM;

  /// The straight line: what is wanted lies in one run of the ring. Everything else is readSlow's.
  [[gnu::always_inline]] Result<size_t> read(IoBuffer &io, bool nonBlocking) {
    MutexGuard g(lock);
    if (used() == 0 && io.remaining())
      TRY(waitForData(nonBlocking));
    uint32_t at = tail & (size - 1), there = used();
    size_t n = io.remaining() < there ? io.remaining() : there;
    if (n == 0 || n > size - at) [[unlikely]]
      return readSlow(io);
    Result<size_t> moved(Errno::Fault);
    [[clang::always_inline]] moved = io.copyOut(ring + at, n);
    if (!moved) [[unlikely]]
      return moved;
    tail += static_cast<uint32_t>(*moved);
    writeQueue.wakeAll(kOut);
    return *moved;
  }
  /// Likewise: all of it fits into one run.
  [[gnu::always_inline]] Result<size_t> write(IoBuffer &io, bool nonBlocking) {
    MutexGuard g(lock);
    uint32_t at = head & (size - 1), room = size - used();
    size_t n = io.remaining();
    if (n > room || n > size - at || n == 0 || readers == 0) [[unlikely]]
      return writeSlow(io, nonBlocking);
    Result<size_t> moved(Errno::Fault);
    [[clang::always_inline]] moved = io.copyIn(ring + at, n);
    if (!moved) [[unlikely]]
      return moved;
    head += static_cast<uint32_t>(*moved);
    readQueue.wakeAll(kIn);
    return *moved;
  }
  uint32_t poll(bool reader, bool writer);
  uint32_t available();
  uint32_t capacity();
  /// F_SETPIPE_SZ: the new size. EBUSY, EPERM, EINVAL, ENOMEM.
  Result<uint32_t> setCapacity(unsigned bytes);
  void addEnd(bool reader, bool writer);
  void removeEnd(bool reader, bool writer);
  /// tee: copies up to n bytes from this pipe's front into `to` without taking them. Does not sleep for data or room
  /// (EAGAIN), 0 at end.
  Result<size_t> copyTo(Pipe &to, size_t n);

  Mutex lock;
  WaitQueue readQueue;  ///< woken when there is data or an end
  WaitQueue writeQueue; ///< woken when there is room or an end
  uint32_t readers = 0, writers = 0;
  uint32_t readerOpens = 0, writerOpens = 0; ///< ever opened: what a blocking open of a fifo waits for

private:
  OSV_COLD Result<size_t> readSlow(IoBuffer &io);
  OSV_COLD Result<size_t> writeSlow(IoBuffer &io, bool nonBlocking);
  /// Sleeps until there is data or no writer is left. Lock held.
  [[gnu::always_inline]] Result<void> waitForData(bool nonBlocking) {
    if (writers == 0)
      return {};
    if (nonBlocking)
      return Errno::Again;
    return waitUntil(lock, readQueue, [this] { return used() || !writers; });
  }
  Result<void> waitForRoom(uint32_t wanted, bool nonBlocking);
  Result<void> resize(uint32_t bytes);
  Result<size_t> fill(IoBuffer &io, size_t n);
  uint32_t used() const { return head - tail; }

  char *ring = nullptr;
  uint32_t size = 0; ///< allocated, a power of two
  uint32_t limit = kDefaultCapacity;
  uint32_t head = 0, tail = 0; ///< run freely
};

/// One open end (or both, a fifo opened O_RDWR).
class PipeFile : public File {
public:
  PipeFile(Ref<Pipe> pipe, bool reader, bool writer) : pipe(std::move(pipe)), reader(reader), writer(writer) {
    this->pipe->addEnd(reader, writer);
  }
  ~PipeFile() override { pipe->removeEnd(reader, writer); }
  Result<size_t> read(IoBuffer &io) override { return reader ? pipe->read(io, nonBlocking()) : Errno::BadF; }
  Result<size_t> write(IoBuffer &io) override { return writer ? pipe->write(io, nonBlocking()) : Errno::BadF; }
  Result<long> ioctl(unsigned cmd, uint64_t arg) override;
  Result<void> stat(struct stat &out) override;
  uint32_t poll() override { return pipe->poll(reader, writer); }
  WaitQueue &readiness() override { return reader ? pipe->readQueue : pipe->writeQueue; }
  const char *kind() const override { return "pipe:[1]"; }
  Result<Ref<File>> reopen(int flags) override;
  PipeFile *asPipe() override { return this; }

  const Ref<Pipe> pipe;
  const bool reader, writer;
};

/// Two ends of a new pipe. ENOMEM.
Result<void> makePipe(int flags, Ref<File> &readEnd, Ref<File> &writeEnd);
/// SIGPIPE for the running thread. Defined with the system calls.
void raiseBrokenPipe();

} // namespace osv

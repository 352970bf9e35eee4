// SPDX-License-Identifier: BSD-3-Clause
//
// The pipe's ring and its blocking rules: what waits, wraps around or grows. The straight lines are in the header.
#include "kernel/fs/Pipe.h"
#include "kernel/fs/Inode.h"
#include "kernel/mm/Heap.h"
#include "kernel/mm/PageAllocator.h"
#include "kernel/time/Time.h"
#include <algorithm>
#include <asm/ioctls.h>
#include <bit>
#include <cstring>
#include <linux/eventpoll.h>

namespace osv {
namespace {
unsigned orderOf(uint32_t bytes) {
  return static_cast<unsigned>(std::countr_zero(bytes / static_cast<uint32_t>(kPageSize)));
}
} // namespace

Pipe::~Pipe() {
  if (ring)
    freePages(arch::directMapPhys(ring), orderOf(size));
}

/// Gives the ring `bytes` (a power of two, at least what is used). Lock held. ENOMEM.
__attribute__((noinline)) Result<void> Pipe::resize(uint32_t bytes) {
  PAddr pages = TRY(allocPages(orderOf(bytes)));
  char *fresh = static_cast<char *>(arch::directMap(pages));
  uint32_t n = used();
  for (uint32_t done = 0; done < n;) {
    uint32_t at = (tail + done) % size;
    uint32_t run = std::min(n - done, size - at);
    memcpy(fresh + done, ring + at, run);
    done += run;
  }
  if (ring)
    freePages(arch::directMapPhys(ring), orderOf(size));
  ring = fresh;
  size = bytes;
  tail = 0;
  head = n;
  return {};
}

/// Lock held.
Result<size_t> Pipe::readSlow(IoBuffer &io) {
  size_t done = 0;
  while (used() && io.remaining()) {
    uint32_t at = tail & (size - 1);
    size_t run = std::min<size_t>({used(), size - at, io.remaining()});
    auto moved = io.copyOut(ring + at, run);
    if (!moved) {
      if (done == 0)
        return moved;
      break;
    }
    tail += static_cast<uint32_t>(*moved);
    done += *moved;
    if (*moved < run)
      break;
  }
  writeQueue.wakeAll(kOut);
  return done;
}

/// Sleeps until `wanted` bytes fit or no reader is left. Lock held.
__attribute__((noinline)) Result<void> Pipe::waitForRoom(uint32_t wanted, bool nonBlocking) {
  if (nonBlocking)
    return Errno::Again;
  return waitUntil(lock, writeQueue, [&] { return limit - used() >= wanted || !readers; });
}

/// Copies n bytes that fit into the ring. Lock held.
Result<size_t> Pipe::fill(IoBuffer &io, size_t n) {
  if (used() + n > size) [[unlikely]]
    TRY(resize(std::bit_ceil(std::max<uint32_t>(used() + static_cast<uint32_t>(n), kPageSize))));
  size_t done = 0;
  while (done < n) {
    uint32_t at = head & (size - 1);
    size_t run = std::min<size_t>(n - done, size - at);
    auto moved = io.copyIn(ring + at, run);
    if (!moved)
      return done ? Result<size_t>(done) : moved;
    head += static_cast<uint32_t>(*moved);
    done += *moved;
    if (*moved < run)
      break;
  }
  return done;
}

/// Lock held.
Result<size_t> Pipe::writeSlow(IoBuffer &io, bool nonBlocking) {
  if (io.remaining() == 0)
    return size_t{0};
  size_t done = 0;
  bool atomic = io.remaining() <= kAtomic;
  do {
    if (readers == 0) [[unlikely]] {
      raiseBrokenPipe();
      if (done)
        break;
      return Errno::Pipe;
    }
    uint32_t room = limit - used();
    uint32_t wanted = atomic ? static_cast<uint32_t>(io.remaining()) : 1;
    if (room < wanted) [[unlikely]] {
      if (auto r = waitForRoom(wanted, nonBlocking); !r) {
        if (done)
          break;
        return r.error();
      }
      continue;
    }
    size_t n = std::min<size_t>(io.remaining(), room);
    auto moved = fill(io, n);
    if (!moved) {
      if (done)
        break;
      return moved;
    }
    done += *moved;
    readQueue.wakeAll(kIn);
    if (*moved < n)
      break;
  } while (io.remaining());
  return done;
}

uint32_t Pipe::poll(bool reader, bool writer) {
  MutexGuard g(lock);
  uint32_t ready = 0;
  if (reader) {
    if (used())
      ready |= kIn;
    if (writers == 0 && writerOpens)
      ready |= EPOLLHUP;
  }
  if (writer) {
    if (limit - used() >= std::min(kAtomic, limit))
      ready |= kOut;
    if (readers == 0)
      ready |= EPOLLERR;
  }
  return ready;
}

uint32_t Pipe::available() {
  MutexGuard g(lock);
  return used();
}
uint32_t Pipe::capacity() {
  MutexGuard g(lock);
  return limit;
}

Result<uint32_t> Pipe::setCapacity(unsigned bytes) {
  if (bytes > 1u << 31)
    return Errno::Inval;
  uint32_t wanted = std::bit_ceil(std::max<uint32_t>(bytes, kPageSize));
  if (wanted > kMaxCapacity * 16)
    return Errno::NoMem;
  MutexGuard g(lock);
  if (wanted < used())
    return Errno::Busy;
  if (size > wanted)
    TRY(resize(wanted));
  limit = wanted;
  writeQueue.wakeAll(kOut);
  return wanted;
}

void Pipe::addEnd(bool reader, bool writer) {
  MutexGuard g(lock);
  readers += reader;
  writers += writer;
  readerOpens += reader;
  writerOpens += writer;
  readQueue.wakeAll(0);
  writeQueue.wakeAll(0);
}

void Pipe::removeEnd(bool reader, bool writer) {
  MutexGuard g(lock);
  readers -= reader;
  writers -= writer;
  if (writers == 0)
    readQueue.wakeAll(kIn | EPOLLHUP);
  if (readers == 0)
    writeQueue.wakeAll(kOut | EPOLLERR);
}

Result<size_t> Pipe::copyTo(Pipe &to, size_t n) {
  if (this == &to)
    return Errno::Inval;
  Pipe &first = this < &to ? *this : to, &second = this < &to ? to : *this;
  MutexGuard a(first.lock), b(second.lock);
  if (to.readers == 0) {
    raiseBrokenPipe();
    return Errno::Pipe;
  }
  if (used() == 0)
    return writers ? Result<size_t>(Errno::Again) : Result<size_t>(size_t{0});
  n = std::min<size_t>({n, used(), to.limit - to.used()});
  if (n == 0)
    return Errno::Again;
  size_t done = 0;
  while (done < n) {
    uint32_t at = (tail + static_cast<uint32_t>(done)) & (size - 1);
    size_t run = std::min<size_t>(n - done, size - at);
    IoBuffer io = IoBuffer::kernel(ring + at, run);
    auto moved = to.fill(io, run);
    if (!moved)
      return done ? Result<size_t>(done) : moved;
    done += *moved;
  }
  to.readQueue.wakeAll(kIn);
  return done;
}

Result<long> PipeFile::ioctl(unsigned cmd, uint64_t arg) {
  if (cmd != FIONREAD)
    return Errno::NoTty;
  TRY(UserPtr<int>(arg).write(static_cast<int>(pipe->available())));
  return 0;
}

Result<void> PipeFile::stat(struct stat &out) {
  if (dentry)
    return File::stat(out);
  TRY(File::stat(out));
  out.st_dev = encodeDevice(0, 13);
  out.st_ino = reinterpret_cast<uint64_t>(pipe.get()) >> 4 & 0xffffffff; // the same for both ends
  out.st_mode = S_IFIFO | 0600;
  return {};
}

Result<Ref<File>> PipeFile::reopen(int flags) {
  int access = flags & O_ACCMODE;
  auto *f = TRY(make<PipeFile>(pipe, access != O_WRONLY, access != O_RDONLY));
  return Ref<File>(Ref<PipeFile>::adopt(f));
}

Result<void> makePipe(int flags, Ref<File> &readEnd, Ref<File> &writeEnd) {
  auto pipe = Ref<Pipe>::adopt(TRY(make<Pipe>()));
  readEnd = Ref<PipeFile>::adopt(TRY(make<PipeFile>(pipe, true, false)));
  writeEnd = Ref<PipeFile>::adopt(TRY(make<PipeFile>(pipe, false, true)));
  readEnd->flags = O_RDONLY | (flags & O_NONBLOCK);
  writeEnd->flags = O_WRONLY | (flags & O_NONBLOCK);
  return {};
}

// ---- Fifos

FifoInode::~FifoInode() {
  if (pipe)
    Ref<Pipe>::adopt(pipe).reset();
}

Result<Ref<File>> FifoInode::open(int flags) {
  bool reader = (flags & O_ACCMODE) != O_WRONLY, writer = (flags & O_ACCMODE) != O_RDONLY;
  Ref<Pipe> shared;
  {
    MutexGuard g(lock);
    if (!pipe)
      pipe = TRY(make<Pipe>());
    shared = Ref<Pipe>::share(pipe);
  }
  if (writer && !reader && (flags & O_NONBLOCK)) {
    MutexGuard g(shared->lock);
    if (shared->readers == 0)
      return Errno::NxIo;
  }
  uint32_t otherOpens = [&] {
    MutexGuard g(shared->lock);
    return reader ? shared->writerOpens : shared->readerOpens;
  }();
  Ref<PipeFile> file = Ref<PipeFile>::adopt(TRY(make<PipeFile>(shared, reader, writer)));
  if ((reader && writer) || (flags & O_NONBLOCK))
    return Ref<File>(file);
  // Wait for the other end: one that is open now, or one that is opened (even when it is closed again at once).
  MutexGuard g(shared->lock);
  auto isThere = [&] {
    return reader ? shared->writers || shared->writerOpens != otherOpens
                  : shared->readers || shared->readerOpens != otherOpens;
  };
  if (!isThere())
    TRY(waitUntil(shared->lock, reader ? shared->readQueue : shared->writeQueue, isThere));
  return Ref<File>(file);
}

} // namespace osv

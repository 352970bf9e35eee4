// SPDX-License-Identifier: BSD-3-Clause
//
// An open file description (what a descriptor points to), whatever is behind it: regular file, console, pipe, eventfd, epoll, ...
// Operations that a kind of file does not have fail with Linux's error. Refcounted; shared by dup and by threads.
#pragma once
#include "kernel/lib/Ref.h"
#include "kernel/lib/Result.h"
#include "kernel/lib/UserPtr.h"
#include "kernel/mm/MemoryObject.h"
#include "kernel/sched/WaitQueue.h"
#include <asm/stat.h>
#include <linux/fs.h>
#include <linux/uio.h>
#include <span>

namespace osv {

/// Where bytes go to or come from: a list of program buffers, or one kernel buffer. Keeps its position; copies may sleep.
class IoBuffer {
public:
  static IoBuffer kernel(void *p, size_t n);
  static IoBuffer user(VAddr p, size_t n);
  static IoBuffer user(std::span<const struct iovec> vec); ///< lengths already validated (sum <= INT_MAX & ~4095)
  size_t remaining() const { return left; }
  /// Moves up to n bytes between the buffer and kernel memory; EFAULT only when nothing could be copied.
  Result<size_t> copyIn(void *dst, size_t n);   ///< buffer -> dst (write(2))
  Result<size_t> copyOut(const void *src, size_t n); ///< src -> buffer (read(2))

private:
  std::span<const struct iovec> vec;
  struct iovec single = {};
  size_t offset = 0, left = 0;
  bool isUser = false;
};

class File : public RefCounted {
public:
  virtual ~File() = default;
  int flags = 0;        ///< O_* status flags (O_APPEND, O_NONBLOCK, access mode)
  uint64_t position = 0; ///< under posLock
  Mutex posLock;
  WaitQueue pollQueue;  ///< woken with EPOLL* bits when readiness changes

  virtual Result<size_t> read(IoBuffer &io) { return Errno::Inval; }
  virtual Result<size_t> write(IoBuffer &io) { return Errno::Inval; }
  virtual Result<size_t> readAt(IoBuffer &io, uint64_t offset) { return Errno::SPipe; }
  virtual Result<size_t> writeAt(IoBuffer &io, uint64_t offset) { return Errno::SPipe; }
  virtual Result<uint64_t> seek(int64_t offset, int whence) { return Errno::SPipe; }
  virtual Result<long> ioctl(unsigned cmd, uint64_t arg) { return Errno::NoTty; }
  virtual Result<void> stat(struct stat &out) { return Errno::Inval; }
  virtual Result<void> truncate(uint64_t size) { return Errno::Inval; }
  virtual Result<size_t> readDirectory(IoBuffer &io) { return Errno::NotDir; } ///< getdents64 records
  virtual Result<Ref<MemoryObject>> memoryObject() { return Errno::NoDev; }     ///< mmap
  virtual Result<void> sync() { return Errno::Inval; }
  /// Ready events (EPOLLIN...) now.
  virtual uint32_t poll() { return 0x1 | 0x4; }
  virtual const char *kind() const { return "file"; } ///< "anon_inode:[eventfd]" etc. for /proc/self/fd
};

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// An open file description (what a descriptor points to), whatever is behind it: regular file, console, pipe, eventfd,
// epoll, ... Operations that a kind of file does not have fail with Linux's error. Refcounted; shared by dup and by
// threads.
//
// Readiness: a file wakes `readiness()` with the EPOLL* bits that became true, whenever its state changes so that
// `poll()` may answer differently. poll, select and epoll wait there; blocking reads and writes of the file itself may
// use the same queue or their own.
#pragma once
#include "kernel/lib/Ref.h"
#include "kernel/lib/Result.h"
#include "kernel/lib/UserPtr.h"
#include "kernel/mm/MemoryObject.h"
#include "kernel/sched/WaitQueue.h"
#include <asm/stat.h>
#include <boost/intrusive/list.hpp>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/uio.h>
#include <span>

struct statfs;

namespace osv {

class Dentry;
class Inode;
struct EpollItem;

/// Where bytes go to or come from: a list of program buffers, or one kernel buffer. Keeps its position; copies may
/// sleep.
class IoBuffer {
public:
  IoBuffer() = default;
  static IoBuffer kernel(void *p, size_t n) { return IoBuffer(p, n, Kind::Kernel); }
  static IoBuffer user(VAddr p, size_t n) {
    return IoBuffer(reinterpret_cast<void *>(p.value), n, isUserRange(p.value, n) ? Kind::Checked : Kind::User);
  }
  /// The same for a range that is known to end below kUserMax.
  static IoBuffer userBelowMax(VAddr p, size_t n) {
    return IoBuffer(reinterpret_cast<void *>(p.value), n, p >= arch::kernelImageEnd() ? Kind::Checked : Kind::User);
  }
  /// Lengths already validated (sum <= INT_MAX & ~4095). `vec` must outlive the buffer.
  static IoBuffer user(std::span<const struct iovec> vec);
  size_t remaining() const { return left; }
  /// Moves up to n bytes between the buffer and kernel memory. The count is short when the program's memory ends early;
  /// EFAULT only when nothing could be copied.
  /// buffer -> dst (write(2))
  Result<size_t> copyIn(void *dst, size_t n) {
    n = n < left ? n : left;
    if (kind != Kind::Checked || arch::osv_user_copy(dst, at, n) != 0) [[unlikely]]
      return move<true>(dst, n);
    return advance(n);
  }
  /// src -> buffer (read(2))
  Result<size_t> copyOut(const void *src, size_t n) {
    n = n < left ? n : left;
    if (kind != Kind::Checked || arch::osv_user_copy(at, src, n) != 0) [[unlikely]]
      return move<false>(const_cast<void *>(src), n);
    return advance(n);
  }
  /// Writes zeros.
  Result<size_t> zero(size_t n);
  void skip(size_t n);
  /// Forgets all but the first n bytes of what remains.
  void limit(size_t n) { left = left < n ? left : n; }

private:
  /// Checked: one run of program memory, known to be in the program's range; a copy that faults is begun again by
  /// `move`, which counts.
  enum class Kind : uint8_t { Kernel, Checked, User, Vector };
  IoBuffer(void *p, size_t n, Kind kind) : at(static_cast<char *>(p)), left(n), kind(kind) {}
  template <bool In> OSV_COLD Result<size_t> move(void *mem, size_t n);
  /// Bytes to the end of the present run.
  size_t run() const {
    return kind != Kind::Vector ? left : static_cast<size_t>(static_cast<char *>(vec->iov_base) + vec->iov_len - at);
  }
  size_t advance(size_t n) {
    at += n;
    left -= n;
    return n;
  }
  /// To the next run when this one is at its end and there is more.
  void nextRun() {
    if (kind == Kind::Vector && left && run() == 0)
      at = static_cast<char *>((++vec)->iov_base);
  }

  char *at = nullptr;
  size_t left = 0;
  const struct iovec *vec; ///< Vector only: the present run
  Kind kind = Kind::Kernel;
};

class File : public RefCounted {
public:
  File();
  virtual ~File();
  File(const File &) = delete;
  int flags = 0;         ///< O_* status flags (O_APPEND, O_NONBLOCK, access mode)
  uint64_t position = 0; ///< under posLock
  Mutex posLock;
  WaitQueue pollQueue; ///< woken with EPOLL* bits when readiness changes
  Ref<Dentry> dentry;  ///< the name it was opened by; null for pipes, sockets, ...

  virtual Result<size_t> read(IoBuffer &io) { return Errno::Inval; }
  virtual Result<size_t> write(IoBuffer &io) { return Errno::Inval; }
  virtual Result<size_t> readAt(IoBuffer &io, uint64_t offset) { return Errno::SPipe; }
  virtual Result<size_t> writeAt(IoBuffer &io, uint64_t offset) { return Errno::SPipe; }
  virtual Result<uint64_t> seek(int64_t offset, int whence) { return Errno::SPipe; }
  virtual Result<long> ioctl(unsigned cmd, uint64_t arg) { return Errno::NoTty; }
  /// Of the inode when there is one; else that of an anonymous inode (`kind`).
  virtual Result<void> stat(struct stat &out);
  virtual Result<void> truncate(uint64_t size) { return Errno::Inval; }
  /// fallocate; EOPNOTSUPP for a regular file that lacks the mode.
  virtual Result<void> allocate(int mode, uint64_t offset, uint64_t len) { return Errno::NoDev; }
  virtual Result<size_t> readDirectory(IoBuffer &io) { return Errno::NotDir; } ///< getdents64 records
  virtual Result<Ref<MemoryObject>> memoryObject() { return Errno::NoDev; }    ///< mmap
  virtual Result<void> sync() { return Errno::Inval; }
  /// Ready events (EPOLLIN...) now. May take sleeping locks.
  virtual uint32_t poll() { return 0x1 | 0x4 | 0x40 | 0x100; }
  /// False: poll is always "ready" and epoll_ctl says EPERM (regular files, directories).
  virtual bool canPoll() const { return true; }
  /// Where changes of `poll()` are announced.
  virtual WaitQueue &readiness() { return pollQueue; }
  virtual const char *kind() const { return "anon_inode:[file]"; } ///< "anon_inode:[eventfd]" etc. for /proc/self/fd
  /// A new description of the same thing, for open("/proc/self/fd/N") of what has no name. ENXIO.
  virtual Result<Ref<File>> reopen(int flags) { return Errno::NxIo; }
  /// Opened with O_PATH: only a place in the tree.
  virtual bool isPath() const { return false; }
  virtual class PipeFile *asPipe() { return nullptr; }
  virtual class EpollFile *asEpoll() { return nullptr; }
  /// Is `position` a position in bytes (regular files)? Decides about pread on ordinary files and about sendfile.
  virtual bool seekable() const { return false; }

  bool readable() const { return (flags & O_ACCMODE) != O_WRONLY; }
  bool writable() const { return (flags & O_ACCMODE) != O_RDONLY; }
  bool nonBlocking() const { return flags & O_NONBLOCK; }
  Inode *inode() const; ///< null when there is no dentry

  /// Called by the last Ref: leaves every epoll set while the object is whole.
  void beforeDelete();
  EpollItem *watchers = nullptr; ///< epoll items on this file; Epoll.cpp's, under its lock
};

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// System calls on open files: reading, writing, positions, status, descriptors' life. Opening and names are in Open.cpp
// and Directories.cpp, copies between files in Transfer.cpp, fcntl in Fcntl.cpp.
#include "kernel/fs/FileLocks.h"
#include "kernel/fs/RegularFile.h"
#include "kernel/syscalls/FileArguments.h"
#include <algorithm>
#include <linux/close_range.h>

namespace osv {
namespace {

Result<Ref<File>> readableFile(int fd) {
  Ref<File> f = TRY(files().get(fd));
  return f->readable() ? Result<Ref<File>>(std::move(f)) : Result<Ref<File>>(Errno::BadF);
}
Result<Ref<File>> writableFile(int fd) {
  Ref<File> f = TRY(files().get(fd));
  return f->writable() || f->isPath() ? Result<Ref<File>>(std::move(f)) : Result<Ref<File>>(Errno::BadF);
}

/// Linux checks the whole range before it looks at the file, so that a bad pointer is EFAULT even at the end of a file.
Result<void> checkRange(VAddr p, size_t n) {
  if (n > arch::kUserMax.value || p.value > arch::kUserMax.value - n) [[unlikely]]
    return static_cast<ssize_t>(n) < 0 ? Errno::Inval : Errno::Fault;
  return {};
}
IoBuffer checkedBuffer(VAddr p, size_t n) { return IoBuffer::userBelowMax(p, std::min(n, kMaxTransfer)); }
Result<IoBuffer> userBuffer(VAddr p, size_t n) {
  TRY(checkRange(p, n));
  return checkedBuffer(p, n);
}

OSV_COLD bool isPlaceOnly(const File &f) { return f.isPath(); }

Result<long> count(Result<size_t> r) { return r.as<long>(); }

constexpr int kKnownRwFlags = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND;

Result<void> checkRwFlags(int flags, bool write) {
  if (flags & ~kKnownRwFlags)
    return Errno::OpNotSupp;
  if (flags & (RWF_NOWAIT | RWF_APPEND))
    return Errno::OpNotSupp; // Partial: neither is provided
  return {};
}

} // namespace

// The two most frequent calls, without the layers of Result that the others go through.

Result<long> sys_read(int fd, UserPtr<char> buffer, size_t n) {
  Ref<File> f = files().take(fd);
  if (!f || !f->readable()) [[unlikely]]
    return Errno::BadF;
  TRY(checkRange(buffer.addr(), n));
  IoBuffer io = checkedBuffer(buffer.addr(), n);
  return count(f->read(io));
}

Result<long> sys_write(int fd, UserPtr<const char> buffer, size_t n) {
  Ref<File> f = files().take(fd);
  if (!f || !(f->writable() || isPlaceOnly(*f))) [[unlikely]]
    return Errno::BadF;
  TRY(checkRange(buffer.addr(), n));
  IoBuffer io = checkedBuffer(buffer.addr(), n);
  return count(f->write(io));
}

Result<long> sys_readv(int fd, UserPtr<struct iovec> vec, size_t n) {
  Ref<File> f = TRY(readableFile(fd));
  UserVec v;
  TRY(v.read(vec, n));
  IoBuffer io = v.buffer();
  return count(f->read(io));
}

Result<long> sys_writev(int fd, UserPtr<struct iovec> vec, size_t n) {
  Ref<File> f = TRY(writableFile(fd));
  UserVec v;
  TRY(v.read(vec, n));
  IoBuffer io = v.buffer();
  return count(f->write(io));
}

Result<long> sys_pread64(int fd, UserPtr<char> buffer, size_t n, long offset) {
  if (offset < 0)
    return Errno::Inval;
  Ref<File> f = TRY(readableFile(fd));
  IoBuffer io = TRY(userBuffer(buffer.addr(), n));
  return count(f->readAt(io, static_cast<uint64_t>(offset)));
}

Result<long> sys_pwrite64(int fd, UserPtr<const char> buffer, size_t n, long offset) {
  if (offset < 0)
    return Errno::Inval;
  Ref<File> f = TRY(writableFile(fd));
  IoBuffer io = TRY(userBuffer(buffer.addr(), n));
  return count(f->writeAt(io, static_cast<uint64_t>(offset)));
}

Result<long> sys_preadv(int fd, UserPtr<struct iovec> vec, size_t n, long low, long) {
  if (low < 0)
    return Errno::Inval;
  Ref<File> f = TRY(readableFile(fd));
  UserVec v;
  TRY(v.read(vec, n));
  IoBuffer io = v.buffer();
  return count(f->readAt(io, static_cast<uint64_t>(low)));
}

Result<long> sys_pwritev(int fd, UserPtr<struct iovec> vec, size_t n, long low, long) {
  if (low < 0)
    return Errno::Inval;
  Ref<File> f = TRY(writableFile(fd));
  UserVec v;
  TRY(v.read(vec, n));
  IoBuffer io = v.buffer();
  return count(f->writeAt(io, static_cast<uint64_t>(low)));
}

Result<long> sys_preadv2(int fd, UserPtr<struct iovec> vec, size_t n, long low, long high, int flags) {
  TRY(checkRwFlags(flags, false));
  return low == -1 ? sys_readv(fd, vec, n) : sys_preadv(fd, vec, n, low, high);
}

Result<long> sys_pwritev2(int fd, UserPtr<struct iovec> vec, size_t n, long low, long high, int flags) {
  TRY(checkRwFlags(flags, true));
  return low == -1 ? sys_writev(fd, vec, n) : sys_pwritev(fd, vec, n, low, high);
}

Result<long> sys_lseek(int fd, long offset, int whence) {
  Ref<File> f = TRY(files().get(fd));
  return static_cast<long>(TRY(f->seek(offset, whence)));
}

Result<long> sys_ftruncate(int fd, long size) {
  if (size < 0)
    return Errno::Inval;
  Ref<File> f = TRY(files().get(fd));
  if (f->isPath())
    return Errno::BadF;
  if (!f->writable())
    return Errno::Inval;
  TRY(f->truncate(static_cast<uint64_t>(size)));
  return 0;
}

Result<long> sys_fallocate(int fd, int mode, long offset, long len) {
  if (offset < 0 || len <= 0)
    return Errno::Inval;
  Ref<File> f = TRY(files().get(fd));
  if (!f->writable())
    return Errno::BadF;
  if (f->asPipe())
    return Errno::SPipe;
  if (f->inode() && f->inode()->isDirectory())
    return Errno::IsDir;
  TRY(f->allocate(mode, static_cast<uint64_t>(offset), static_cast<uint64_t>(len)));
  return 0;
}

Result<long> sys_fsync(int fd) {
  TRY(TRY(files().get(fd))->sync());
  return 0;
}
Result<long> sys_fdatasync(int fd) { return sys_fsync(fd); }
Result<long> sys_sync() { return 0; }
Result<long> sys_syncfs(int fd) {
  TRY(files().get(fd));
  return 0;
}
Result<long> sys_sync_file_range(int fd, long offset, long n, unsigned flags) {
  if (offset < 0 || n < 0 || (flags & ~7u))
    return Errno::Inval;
  Ref<File> f = TRY(files().get(fd));
  return f->seekable() ? Result<long>(0) : Result<long>(Errno::SPipe);
}

Result<long> sys_fadvise64(int fd, long offset, size_t len, int advice) {
  Ref<File> f = TRY(files().get(fd));
  if (f->isPath())
    return Errno::BadF;
  if (f->asPipe())
    return Errno::SPipe;
  if (static_cast<ssize_t>(len) < 0 || static_cast<unsigned>(advice) > 5)
    return Errno::Inval;
  return 0; // all of it is memory already
}

Result<long> sys_readahead(int fd, long offset, size_t n) {
  Ref<File> f = TRY(readableFile(fd));
  return f->seekable() ? Result<long>(0) : Result<long>(Errno::Inval);
}

Result<long> sys_ioctl(int fd, unsigned command, uint64_t argument) {
  Ref<File> f = TRY(files().get(fd));
  if (f->isPath())
    return Errno::BadF;
  switch (command) {
  case 0x5451: // FIOCLEX
  case 0x5450: // FIONCLEX
    TRY(files().setCloseOnExec(fd, command == 0x5451));
    return 0;
  case 0x5421: { // FIONBIO
    int on = TRY(UserPtr<int>(argument).read());
    f->flags = on ? f->flags | O_NONBLOCK : f->flags & ~O_NONBLOCK;
    return 0;
  }
  case 0x5452: // FIOASYNC: no file here can send SIGIO, but all can be told not to
    if (TRY(UserPtr<int>(argument).read()))
      return Errno::NoTty;
    return 0;
  default:
    return f->ioctl(command, argument);
  }
}

Result<long> sys_close(int fd) {
  {
    Ref<File> f = TRY(files().get(fd));
    // POSIX: closing any descriptor of a file drops the process's record locks on it.
    if (Inode *inode = f->inode())
      if (LockList *locks = inode->locks.load(std::memory_order_acquire))
        locks->releaseOwner(&currentProcess(), LockStyle::Record);
  }
  TRY(files().close(fd));
  return 0;
}

Result<long> sys_close_range(unsigned first, unsigned last, unsigned flags) {
  if ((flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) || first > last)
    return Errno::Inval;
  if (first > INT32_MAX)
    return 0;
  for (int fd = files().next(static_cast<int>(first)); fd >= 0 && static_cast<unsigned>(fd) <= last;
       fd = files().next(fd + 1)) {
    if (flags & CLOSE_RANGE_CLOEXEC)
      (void)files().setCloseOnExec(fd, true);
    else
      (void)sys_close(fd);
  }
  return 0;
}

Result<long> sys_dup(int fd) { return TRY(files().install(TRY(files().get(fd)), false)); }

Result<long> sys_dup2(int from, int to) {
  Ref<File> f = TRY(files().get(from));
  if (from == to)
    return to;
  return TRY(files().replace(to, std::move(f), false));
}

Result<long> sys_dup3(int from, int to, int flags) {
  if ((flags & ~O_CLOEXEC) || from == to)
    return Errno::Inval;
  Ref<File> f = TRY(files().get(from));
  return TRY(files().replace(to, std::move(f), flags & O_CLOEXEC));
}

Result<long> sys_getdents64(int fd, UserPtr<void> buffer, unsigned n) {
  Ref<File> f = TRY(files().get(fd));
  IoBuffer io = TRY(userBuffer(buffer.addr(), n));
  return count(f->readDirectory(io));
}

Result<long> sys_getdents(int fd, UserPtr<void> buffer, unsigned n) {
  Ref<File> f = TRY(files().get(fd));
  if (!f->inode() || !f->inode()->isDirectory() || f->isPath())
    return f->isPath() ? Errno::BadF : Errno::NotDir;
  IoBuffer io = TRY(userBuffer(buffer.addr(), n));
  return count(static_cast<DirectoryFile &>(*f).readDirectory(io, true));
}

} // namespace osv

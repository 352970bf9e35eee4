// SPDX-License-Identifier: BSD-3-Clause
//
// IoBuffer, and what every open file has in common.
#include "kernel/fs/File.h"
#include "kernel/fs/Epoll.h"
#include "kernel/fs/FileLocks.h"
#include "kernel/fs/Inode.h"
#include <algorithm>
#include <cstring>

namespace osv {

IoBuffer IoBuffer::user(std::span<const struct iovec> vec) {
  IoBuffer io(vec.empty() ? nullptr : vec.front().iov_base, 0, Kind::Vector);
  io.vec = vec.data();
  for (const struct iovec &v : vec)
    io.left += v.iov_len;
  return io;
}

/// Copies one run; returns the bytes that could not be copied.
static size_t copyRun(bool in, bool isUser, void *mem, void *buffer, size_t n) {
  if (!isUser) {
    in ? memcpy(mem, buffer, n) : memcpy(buffer, mem, n);
    return 0;
  }
  if (!isUserRange(reinterpret_cast<uint64_t>(buffer), n))
    return n;
  return in ? arch::osv_user_copy(mem, buffer, n) : arch::osv_user_copy(buffer, mem, n);
}

template <bool In> Result<size_t> IoBuffer::move(void *mem, size_t n) {
  size_t done = 0;
  while (done < n && left) {
    size_t len = std::min({run(), n - done, left});
    size_t missed = len ? copyRun(In, kind != Kind::Kernel, static_cast<char *>(mem) + done, at, len) : 0;
    done += advance(len - missed);
    if (missed)
      return done ? Result<size_t>(done) : Result<size_t>(Errno::Fault);
    nextRun();
  }
  return done;
}
template Result<size_t> IoBuffer::move<true>(void *, size_t);
template Result<size_t> IoBuffer::move<false>(void *, size_t);

/// The source of zeros: read-only data, shared by everybody.
alignas(64) static const char kZeros[1024] = {};

Result<size_t> IoBuffer::zero(size_t n) {
  n = std::min(n, left);
  size_t done = 0;
  while (done < n) {
    size_t want = std::min(n - done, sizeof kZeros);
    auto moved = copyOut(kZeros, want);
    if (!moved)
      return done ? Result<size_t>(done) : moved;
    done += *moved;
    if (*moved < want)
      break;
  }
  return done;
}

void IoBuffer::skip(size_t n) {
  for (n = std::min(n, left); n;) {
    n -= advance(std::min(n, run()));
    nextRun();
  }
}

File::File() = default;
File::~File() = default;

Inode *File::inode() const { return dentry ? dentry->inode.get() : nullptr; }

void File::beforeDelete() {
  if (watchers)
    leaveEpollSets(*this);
  releaseFileLocks(*this);
}

Result<void> File::stat(struct stat &out) {
  if (Inode *i = inode()) {
    i->fillStat(out);
    return {};
  }
  // Linux's anonymous inode: no type bits, mode 0600, one shared inode number.
  out = {};
  out.st_dev = encodeDevice(0, 14);
  out.st_ino = 1;
  out.st_mode = 0600;
  out.st_nlink = 1;
  out.st_blksize = kPageSize;
  return {};
}

} // namespace osv

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
  IoBuffer io(nullptr, 0, true);
  io.vec = vec;
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
  if (vec.empty()) [[likely]] {
    n = std::min(n, left);
    if (n == 0)
      return n;
    size_t missed = copyRun(In, isUser, mem, static_cast<char *>(single.iov_base) + offset, n);
    if (missed == n)
      return Errno::Fault;
    offset += n - missed;
    left -= n - missed;
    return n - missed;
  }
  size_t done = 0;
  while (done < n && left) {
    const struct iovec &run = vec.front();
    size_t len = std::min({run.iov_len - offset, n - done, left});
    size_t missed =
        len ? copyRun(In, isUser, static_cast<char *>(mem) + done, static_cast<char *>(run.iov_base) + offset, len) : 0;
    done += len - missed;
    offset += len - missed;
    left -= len - missed;
    if (missed)
      return done ? Result<size_t>(done) : Result<size_t>(Errno::Fault);
    if (offset == run.iov_len) {
      vec = vec.subspan(1);
      offset = 0;
      if (vec.empty())
        break;
    }
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
  n = std::min(n, left);
  left -= n;
  if (vec.empty()) {
    offset += n;
    return;
  }
  while (n) {
    size_t run = std::min(n, vec.front().iov_len - offset);
    offset += run;
    n -= run;
    if (offset == vec.front().iov_len && vec.size() > 1) {
      vec = vec.subspan(1);
      offset = 0;
    }
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

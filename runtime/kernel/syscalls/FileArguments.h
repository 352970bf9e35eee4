// SPDX-License-Identifier: BSD-3-Clause
//
// What the file system calls have in common: descriptors, paths, buffers and iovecs as the program passes them.
#pragma once
#include "kernel/Process.h"
#include "kernel/fs/FileTable.h"
#include "kernel/fs/Vfs.h"
#include "kernel/syscalls/Handlers.h"
#include <linux/fcntl.h>

namespace osv {

/// Linux's MAX_RW_COUNT: no transfer is longer.
inline constexpr size_t kMaxTransfer = 0x7ffff000;

inline FileTable &files() { return *currentProcess().files; }
inline FsContext &fsContext() { return *currentProcess().fs; }

/// A path from the program, copied: short ones on the stack, long ones on the heap.
class UserPath {
public:
  UserPath() = default;
  UserPath(const UserPath &) = delete;
  ~UserPath();
  /// EFAULT, ENAMETOOLONG, ENOMEM. An empty path is ENOENT unless `mayBeEmpty`.
  Result<void> read(UserPtr<const char> p, bool mayBeEmpty = false);
  std::string_view view() const { return text; }
  bool empty() const { return text.empty(); }

private:
  std::string_view text;
  char *heap = nullptr;
  char small[192];
};

/// Where a relative path begins: AT_FDCWD, or the directory (EBADF, ENOTDIR) that `dirfd` is. Absolute paths do not
/// look at `dirfd`.
Result<Ref<Dentry>> startOf(int dirfd, std::string_view path);

/// What an *at call with AT_EMPTY_PATH or a path means: walks, or takes the descriptor's own place.
Result<void> findPlace(int dirfd, UserPtr<const char> path, int atFlags, bool followByDefault, Place &out);

/// The program's iovec array, checked. EINVAL, EFAULT, ENOMEM.
class UserVec {
public:
  UserVec() = default;
  UserVec(const UserVec &) = delete;
  ~UserVec();
  Result<void> read(UserPtr<struct iovec> p, size_t count);
  IoBuffer buffer() const { return IoBuffer::user(vec); }

private:
  std::span<struct iovec> vec;
  struct iovec *heap = nullptr;
  struct iovec small[8];
};

} // namespace osv

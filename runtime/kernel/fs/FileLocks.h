// SPDX-License-Identifier: BSD-3-Clause
//
// Advisory locks on an inode: flock(2) and record locks (fcntl). One list per inode that has ever been locked. Owners
// are compared only: the process for F_SETLK (so with one process they never conflict among themselves), the open file
// description for F_OFD_SETLK and flock.
#pragma once
#include "kernel/fs/File.h"
#include <linux/fcntl.h>

namespace osv {

enum class LockStyle : uint8_t { Flock, Record };

struct FileLock {
  const void *owner;
  uint64_t start, end; ///< [start, end], end ~0: to infinity
  LockStyle style;
  bool exclusive;
  FileLock *next = nullptr;
};

class LockList {
public:
  ~LockList();
  /// Takes, converts or (`type` F_UNLCK) releases. EAGAIN when it conflicts and `wait` is false; RestartSys when a
  /// signal ends the wait.
  Result<void> set(const void *owner, LockStyle style, int type, uint64_t start, uint64_t end, bool wait);
  /// The first lock that conflicts, for F_GETLK; false: none.
  bool conflict(const void *owner, LockStyle style, bool exclusive, uint64_t start, uint64_t end, FileLock *out);
  /// Drops everything of `owner`.
  void releaseOwner(const void *owner, LockStyle style);

private:
  const FileLock *findConflict(const void *owner, LockStyle style, bool exclusive, uint64_t start, uint64_t end) const;
  Result<void> apply(const void *owner, LockStyle style, int type, uint64_t start, uint64_t end);
  Mutex mutex;
  WaitQueue released;
  FileLock *first = nullptr;
};

/// The list of an inode, made on demand. ENOMEM.
Result<LockList *> locksOf(Inode &inode);
/// At the end of an open file description.
void releaseFileLocks(File &file);

} // namespace osv

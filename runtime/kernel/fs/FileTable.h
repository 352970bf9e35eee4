// SPDX-License-Identifier: BSD-3-Clause
//
// The descriptor table of a process: small integers to open file descriptions, with the close-on-exec flag of each.
// One spin lock, held for a few instructions; a File is never released under it.
#pragma once
#include "kernel/fs/File.h"

namespace osv {

class FileTable {
public:
  static Result<FileTable *> create();
  /// The file with a reference taken, or null. Inline: every system call on a descriptor begins with it.
  Ref<File> take(int fd) {
    arch::disableInterrupts(); // cheaper than preemption off and on again; nothing in between asks for a reschedule
    lock.lockRaw();
    Ref<File> f;
    if (static_cast<unsigned>(fd) < capacity) [[likely]]
      f = Ref<File>::share(slots[fd].file);
    lock.unlockRaw();
    arch::enableInterrupts();
    return f;
  }
  /// EBADF.
  Result<Ref<File>> get(int fd);
  /// Lowest free descriptor >= min. EMFILE (RLIMIT_NOFILE).
  Result<int> install(Ref<File> f, bool closeOnExec, int min = 0);
  Result<int> replace(int fd, Ref<File> f, bool closeOnExec); ///< dup2
  Result<void> close(int fd);
  Result<bool> closeOnExec(int fd);
  Result<void> setCloseOnExec(int fd, bool on);
  /// For /proc/self/fd and close_range: the first open descriptor >= fd, or -1.
  int next(int fd);

private:
  struct Slot {
    File *file;
    bool closeOnExec;
  };
  /// Makes slot `fd` exist. Called with the lock held; drops it to allocate.
  Result<void> grow(unsigned fd);

  SpinLock lock;
  Slot *slots = nullptr;
  unsigned capacity = 0;
  unsigned lowestFree = 0; ///< no descriptor below is free
};

/// RLIMIT_NOFILE of the running process. Defined with the system calls.
unsigned descriptorLimit();

} // namespace osv

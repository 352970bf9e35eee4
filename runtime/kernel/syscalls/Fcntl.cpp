// SPDX-License-Identifier: BSD-3-Clause
//
// fcntl and flock: descriptor and status flags, record locks, pipe sizes, memfd seals.
#include "kernel/fs/FileLocks.h"
#include "kernel/fs/Pipe.h"
#include "kernel/fs/RegularFile.h"
#include "kernel/syscalls/FileArguments.h"
#include <linux/memfd.h>

namespace osv {
namespace {

constexpr int kSettable = O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT | FASYNC;

/// The absolute range [start, end] of a struct flock. EINVAL, EOVERFLOW.
Result<void> rangeOf(File &f, const struct flock &l, uint64_t *start, uint64_t *end) {
  int64_t base = 0;
  if (l.l_whence == SEEK_CUR)
    base = static_cast<int64_t>(f.position);
  else if (l.l_whence == SEEK_END)
    base = f.inode() ? static_cast<int64_t>(f.inode()->size()) : 0;
  else if (l.l_whence != SEEK_SET)
    return Errno::Inval;
  int64_t from;
  if (__builtin_add_overflow(base, l.l_start, &from))
    return Errno::Overflow;
  if (from < 0)
    return Errno::Inval;
  int64_t to = INT64_MAX;
  if (l.l_len > 0) {
    if (__builtin_add_overflow(from, l.l_len - 1, &to))
      return Errno::Overflow;
  } else if (l.l_len < 0) {
    to = from - 1;
    from += l.l_len;
    if (from < 0)
      return Errno::Inval;
  }
  *start = static_cast<uint64_t>(from);
  *end = to == INT64_MAX ? ~0ull : static_cast<uint64_t>(to);
  return {};
}

Result<long> recordLock(File &f, int command, UserPtr<struct flock> argument) {
  bool ofd = command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
  const void *owner = ofd ? static_cast<const void *>(&f) : &currentProcess();
  struct flock l = TRY(argument.read());
  if (ofd && l.l_pid != 0)
    return Errno::Inval;
  if (l.l_type != F_RDLCK && l.l_type != F_WRLCK && l.l_type != F_UNLCK)
    return Errno::Inval;
  uint64_t start, end;
  TRY(rangeOf(f, l, &start, &end));
  if (!f.inode())
    return Errno::Inval; // Partial: pipes and sockets cannot be locked here
  LockList *locks = TRY(locksOf(*f.inode()));
  if (command == F_GETLK || command == F_OFD_GETLK) {
    if (l.l_type == F_UNLCK)
      return Errno::Inval;
    FileLock other;
    if (!locks->conflict(owner, LockStyle::Record, l.l_type == F_WRLCK, start, end, &other)) {
      l.l_type = F_UNLCK;
    } else {
      l.l_type = other.exclusive ? F_WRLCK : F_RDLCK;
      l.l_whence = SEEK_SET;
      l.l_start = static_cast<int64_t>(other.start);
      l.l_len = other.end == ~0ull ? 0 : static_cast<int64_t>(other.end - other.start + 1);
      l.l_pid = other.owner == &currentProcess() ? currentProcess().pid : -1;
    }
    TRY(argument.write(l));
    return 0;
  }
  if ((l.l_type == F_RDLCK && !f.readable()) || (l.l_type == F_WRLCK && !f.writable()))
    return Errno::BadF;
  TRY(locks->set(owner, LockStyle::Record, l.l_type, start, end, command == F_SETLKW || command == F_OFD_SETLKW));
  return 0;
}

Result<long> seals(File &f, bool add, unsigned wanted) {
  if (!f.inode() || f.inode()->fs != FsKind::Memfd)
    return Errno::Inval;
  FileData &data = *static_cast<RegularInode *>(f.inode())->data;
  if (!add)
    return data.seals;
  constexpr unsigned kKnown = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
  if (!f.writable() || (data.seals & F_SEAL_SEAL))
    return Errno::Perm;
  if (wanted & ~kKnown)
    return Errno::Inval;
  data.seals |= static_cast<int>(wanted);
  return 0;
}

} // namespace

Result<long> sys_fcntl(int fd, unsigned command, uint64_t argument) {
  Ref<File> f = TRY(files().get(fd));
  if (f->isPath() && command != F_DUPFD && command != F_DUPFD_CLOEXEC && command != F_GETFD && command != F_SETFD &&
      command != F_GETFL)
    return Errno::BadF;
  switch (command) {
  case F_DUPFD:
  case F_DUPFD_CLOEXEC:
    if (argument >= descriptorLimit())
      return Errno::Inval;
    return TRY(files().install(std::move(f), command == F_DUPFD_CLOEXEC, static_cast<int>(argument)));
  case F_GETFD:
    return TRY(files().closeOnExec(fd)) ? FD_CLOEXEC : 0;
  case F_SETFD:
    TRY(files().setCloseOnExec(fd, argument & FD_CLOEXEC));
    return 0;
  case F_GETFL:
    return f->flags;
  case F_SETFL:
    f->flags = (f->flags & ~kSettable) | (static_cast<int>(argument) & kSettable);
    return 0;
  case F_GETLK:
  case F_SETLK:
  case F_SETLKW:
  case F_OFD_GETLK:
  case F_OFD_SETLK:
  case F_OFD_SETLKW:
    return recordLock(*f, static_cast<int>(command), UserPtr<struct flock>(argument));
  case F_GETPIPE_SZ:
    return f->asPipe() ? Result<long>(f->asPipe()->pipe->capacity()) : Result<long>(Errno::BadF);
  case F_SETPIPE_SZ:
    return f->asPipe() ? static_cast<long>(TRY(f->asPipe()->pipe->setCapacity(static_cast<unsigned>(argument))))
                       : Result<long>(Errno::BadF);
  case F_ADD_SEALS:
    return seals(*f, true, static_cast<unsigned>(argument));
  case F_GET_SEALS:
    return seals(*f, false, 0);
  case F_GETLEASE:
    return F_UNLCK;
  case F_GETOWN:
  case F_GETSIG:
    return 0;
  default:
    return Errno::Inval;
  }
}

Result<long> sys_flock(int fd, unsigned operation) {
  Ref<File> f = TRY(files().get(fd));
  if (f->isPath())
    return Errno::BadF;
  bool wait = !(operation & LOCK_NB);
  int type;
  switch (operation & ~static_cast<unsigned>(LOCK_NB)) {
  case LOCK_SH:
    type = F_RDLCK;
    break;
  case LOCK_EX:
    type = F_WRLCK;
    break;
  case LOCK_UN:
    type = F_UNLCK;
    break;
  default:
    return Errno::Inval;
  }
  if (!f->inode())
    return Errno::Inval; // Partial: pipes and sockets cannot be locked here
  LockList *locks = TRY(locksOf(*f->inode()));
  TRY(locks->set(f.get(), LockStyle::Flock, type, 0, ~0ull, wait));
  return 0;
}

} // namespace osv

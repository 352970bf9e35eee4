// SPDX-License-Identifier: BSD-3-Clause
//
// System calls that change the tree or the attributes of what is in it, and the working directory.
#include "kernel/mm/Heap.h"
#include "kernel/syscalls/FileArguments.h"
#include "kernel/time/Time.h"
#include <algorithm>

namespace osv {
namespace {

/// Room for a whole path, on the heap: the kernel stack is small.
struct PathBuffer {
  static constexpr size_t kSize = 4096;
  char *bytes = static_cast<char *>(heapAlloc(kSize));
  ~PathBuffer() {
    if (bytes)
      heapFree(bytes);
  }
};

/// UserPath and where it begins.
struct Named {
  UserPath path;
  Ref<Dentry> start;
  Result<void> read(int dirfd, UserPtr<const char> p) {
    TRY(path.read(p));
    start = TRY(startOf(dirfd, path.view()));
    return {};
  }
};

Result<Ref<Inode>> inodeAt(int dirfd, UserPtr<const char> path, int flags, bool follow) {
  Place place;
  TRY(findPlace(dirfd, path, flags, follow, place));
  if (!place.entry)
    return Errno::OpNotSupp; // a pipe or socket by its magic link
  return place.entry->inode;
}

Result<long> changeMode(Inode &inode, unsigned mode) {
  if (inode.isSymlink())
    return Errno::OpNotSupp;
  if (inode.fs == FsKind::Proc || inode.fs == FsKind::Sys)
    return Errno::Perm;
  inode.mode = (inode.mode & S_IFMT) | (mode & 07777);
  inode.changeTime = realtimeNow();
  return 0;
}

Result<long> changeOwner(Inode &inode, unsigned uid, unsigned gid) {
  if (inode.fs == FsKind::Proc || inode.fs == FsKind::Sys)
    return Errno::Perm;
  if (uid != ~0u)
    inode.uid = uid;
  if (gid != ~0u)
    inode.gid = gid;
  // Linux takes set-user-id away from an executable that changes hands.
  if (inode.isRegular() && (inode.mode & 0111))
    inode.mode &= ~(S_ISUID | (inode.mode & S_IXGRP ? S_ISGID : 0));
  inode.changeTime = realtimeNow();
  return 0;
}

constexpr long kUtimeNow = (1l << 30) - 1, kUtimeOmit = (1l << 30) - 2;

Result<long> setTimes(Inode &inode, const __kernel_timespec times[2]) {
  Nanos now = realtimeNow();
  auto apply = [&](const __kernel_timespec &t, Nanos &field) {
    if (t.tv_nsec == kUtimeNow)
      field = now;
    else if (t.tv_nsec != kUtimeOmit)
      field = t.tv_sec * 1'000'000'000 + t.tv_nsec;
  };
  for (int i = 0; i < 2; i++)
    if (times[i].tv_nsec != kUtimeNow && times[i].tv_nsec != kUtimeOmit &&
        static_cast<unsigned long>(times[i].tv_nsec) > 999'999'999)
      return Errno::Inval;
  if (times[0].tv_nsec == kUtimeOmit && times[1].tv_nsec == kUtimeOmit)
    return 0;
  if (inode.fs == FsKind::Sys || inode.fs == FsKind::Proc)
    return Errno::Perm;
  apply(times[0], inode.accessTime);
  apply(times[1], inode.modifyTime);
  inode.changeTime = now;
  return 0;
}

Result<long> link(int fromFd, UserPtr<const char> from, int toFd, UserPtr<const char> to, int flags) {
  if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
    return Errno::Inval;
  Ref<Inode> inode;
  {
    Place place;
    TRY(findPlace(fromFd, from, flags, false, place));
    if (!place.entry)
      return Errno::XDev;
    inode = place.entry->inode;
  }
  Named target;
  TRY(target.read(toFd, to));
  TRY(makeLink(fsContext(), target.start, target.path.view(), std::move(inode)));
  return 0;
}

Result<long> rename(int fromFd, UserPtr<const char> from, int toFd, UserPtr<const char> to, unsigned flags) {
  Named source, target;
  TRY(source.read(fromFd, from));
  TRY(target.read(toFd, to));
  TRY(renamePath(fsContext(), source.start, source.path.view(), target.start, target.path.view(), flags));
  return 0;
}

} // namespace

Result<long> sys_mkdirat(int dirfd, UserPtr<const char> path, unsigned mode) {
  Named n;
  TRY(n.read(dirfd, path));
  TRY(makeDirectory(fsContext(), n.start, n.path.view(), mode));
  return 0;
}
Result<long> sys_mkdir(UserPtr<const char> path, unsigned mode) { return sys_mkdirat(AT_FDCWD, path, mode); }

Result<long> sys_mknodat(int dirfd, UserPtr<const char> path, unsigned mode, unsigned device) {
  Named n;
  TRY(n.read(dirfd, path));
  TRY(makeNode(fsContext(), n.start, n.path.view(), mode, device));
  return 0;
}
Result<long> sys_mknod(UserPtr<const char> path, unsigned mode, unsigned device) {
  return sys_mknodat(AT_FDCWD, path, mode, device);
}

Result<long> sys_unlinkat(int dirfd, UserPtr<const char> path, int flags) {
  if (flags & ~AT_REMOVEDIR)
    return Errno::Inval;
  Named n;
  TRY(n.read(dirfd, path));
  TRY(flags & AT_REMOVEDIR ? removeDirectory(fsContext(), n.start, n.path.view())
                           : removeName(fsContext(), n.start, n.path.view()));
  return 0;
}
Result<long> sys_unlink(UserPtr<const char> path) { return sys_unlinkat(AT_FDCWD, path, 0); }
Result<long> sys_rmdir(UserPtr<const char> path) { return sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

Result<long> sys_renameat2(int fromFd, UserPtr<const char> from, int toFd, UserPtr<const char> to, unsigned flags) {
  return rename(fromFd, from, toFd, to, flags);
}
Result<long> sys_renameat(int fromFd, UserPtr<const char> from, int toFd, UserPtr<const char> to) {
  return rename(fromFd, from, toFd, to, 0);
}
Result<long> sys_rename(UserPtr<const char> from, UserPtr<const char> to) {
  return rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}

Result<long> sys_linkat(int fromFd, UserPtr<const char> from, int toFd, UserPtr<const char> to, int flags) {
  return link(fromFd, from, toFd, to, flags);
}
Result<long> sys_link(UserPtr<const char> from, UserPtr<const char> to) {
  return link(AT_FDCWD, from, AT_FDCWD, to, 0);
}

Result<long> sys_symlinkat(UserPtr<const char> target, int dirfd, UserPtr<const char> path) {
  UserPath text;
  TRY(text.read(target));
  Named n;
  TRY(n.read(dirfd, path));
  TRY(makeSymlink(fsContext(), n.start, n.path.view(), text.view()));
  return 0;
}
Result<long> sys_symlink(UserPtr<const char> target, UserPtr<const char> path) {
  return sys_symlinkat(target, AT_FDCWD, path);
}

Result<long> sys_readlinkat(int dirfd, UserPtr<const char> path, UserPtr<char> out, int size) {
  if (size <= 0)
    return Errno::Inval;
  Place place;
  TRY(findPlace(dirfd, path, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, true, place));
  if (!place.entry || !place.entry->inode->isSymlink())
    return Errno::Inval;
  PathBuffer text;
  if (!text.bytes)
    return Errno::NoMem;
  size_t n = TRY(place.entry->inode->readLink({text.bytes, std::min(PathBuffer::kSize, static_cast<size_t>(size))}));
  TRY(out.write(std::span<const char>(text.bytes, n)));
  return static_cast<long>(n);
}
Result<long> sys_readlink(UserPtr<const char> path, UserPtr<char> out, int size) {
  return sys_readlinkat(AT_FDCWD, path, out, size);
}

Result<long> sys_chmod(UserPtr<const char> path, unsigned mode) {
  return changeMode(*TRY(inodeAt(AT_FDCWD, path, 0, true)), mode);
}
Result<long> sys_fchmodat(int dirfd, UserPtr<const char> path, unsigned mode) {
  return changeMode(*TRY(inodeAt(dirfd, path, 0, true)), mode);
}
Result<long> sys_fchmod(int fd, unsigned mode) {
  Ref<File> f = TRY(files().get(fd));
  if (f->isPath())
    return Errno::BadF;
  return f->inode() ? changeMode(*f->inode(), mode) : Result<long>(0);
}

Result<long> sys_chown(UserPtr<const char> path, unsigned uid, unsigned gid) {
  return changeOwner(*TRY(inodeAt(AT_FDCWD, path, 0, true)), uid, gid);
}
Result<long> sys_lchown(UserPtr<const char> path, unsigned uid, unsigned gid) {
  return changeOwner(*TRY(inodeAt(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, true)), uid, gid);
}
Result<long> sys_fchownat(int dirfd, UserPtr<const char> path, unsigned uid, unsigned gid, int flags) {
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
    return Errno::Inval;
  return changeOwner(*TRY(inodeAt(dirfd, path, flags, true)), uid, gid);
}
Result<long> sys_fchown(int fd, unsigned uid, unsigned gid) {
  Ref<File> f = TRY(files().get(fd));
  if (f->isPath())
    return Errno::BadF;
  return f->inode() ? changeOwner(*f->inode(), uid, gid) : Result<long>(0);
}

Result<long> sys_utimensat(int dirfd, UserPtr<const char> path, UserPtr<__kernel_timespec> argument, int flags) {
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
    return Errno::Inval;
  __kernel_timespec times[2] = {{0, kUtimeNow}, {0, kUtimeNow}};
  if (argument)
    TRY(argument.read(std::span(times)));
  if (path)
    return setTimes(*TRY(inodeAt(dirfd, path, flags, true)), times);
  if (dirfd == AT_FDCWD)
    return Errno::Fault;
  Ref<File> f = TRY(files().get(dirfd));
  if (f->isPath())
    return Errno::BadF;
  return f->inode() ? setTimes(*f->inode(), times) : Result<long>(0);
}

Result<long> sys_futimesat(int dirfd, UserPtr<const char> path, UserPtr<__kernel_old_timeval> argument) {
  __kernel_timespec times[2] = {{0, kUtimeNow}, {0, kUtimeNow}};
  if (argument) {
    __kernel_old_timeval old[2];
    TRY(argument.read(std::span(old)));
    for (int i = 0; i < 2; i++) {
      if (old[i].tv_usec < 0 || old[i].tv_usec >= 1'000'000)
        return Errno::Inval;
      times[i] = {old[i].tv_sec, old[i].tv_usec * 1000};
    }
  }
  return setTimes(*TRY(inodeAt(dirfd, path, 0, true)), times);
}
Result<long> sys_utimes(UserPtr<const char> path, UserPtr<__kernel_old_timeval> times) {
  return sys_futimesat(AT_FDCWD, path, times);
}

Result<long> sys_utime(UserPtr<const char> path, UserPtr<long> argument) {
  __kernel_timespec times[2] = {{0, kUtimeNow}, {0, kUtimeNow}};
  if (argument) {
    long seconds[2];
    TRY(argument.read(std::span(seconds)));
    times[0] = {seconds[0], 0};
    times[1] = {seconds[1], 0};
  }
  return setTimes(*TRY(inodeAt(AT_FDCWD, path, 0, true)), times);
}

Result<long> sys_truncate(UserPtr<const char> path, long size) {
  if (size < 0)
    return Errno::Inval;
  Ref<Inode> inode = TRY(inodeAt(AT_FDCWD, path, 0, true));
  if (inode->isDirectory())
    return Errno::IsDir;
  TRY(inode->truncate(static_cast<uint64_t>(size)));
  return 0;
}

Result<long> sys_umask(unsigned mask) { return static_cast<long>(fsContext().umask.exchange(mask & 0777)); }

Result<long> sys_getcwd(UserPtr<char> out, size_t size) {
  PathBuffer path;
  if (!path.bytes)
    return Errno::NoMem;
  Ref<Dentry> cwd = fsContext().cwd();
  size_t n;
  {
    TreeReadGuard tree;
    if (cwd->parent && !cwd->linked)
      return Errno::NoEnt;
    n = pathOfLocked(*cwd, {path.bytes, PathBuffer::kSize - 1}, false);
  }
  path.bytes[n++] = '\0';
  if (n > size)
    return Errno::Range;
  TRY(out.write(std::span<const char>(path.bytes, n)));
  return static_cast<long>(n);
}

static Result<Ref<Dentry>> directoryAt(UserPtr<const char> path) {
  Place place;
  TRY(findPlace(AT_FDCWD, path, 0, true, place));
  if (!place.entry || !place.entry->inode->isDirectory())
    return Errno::NotDir;
  return place.entry;
}

Result<long> sys_chdir(UserPtr<const char> path) {
  fsContext().setCwd(TRY(directoryAt(path)));
  return 0;
}
Result<long> sys_fchdir(int fd) {
  Ref<File> f = TRY(files().get(fd));
  if (!f->dentry || !f->dentry->inode->isDirectory())
    return Errno::NotDir;
  fsContext().setCwd(f->dentry);
  return 0;
}
Result<long> sys_chroot(UserPtr<const char> path) {
  fsContext().setRoot(TRY(directoryAt(path)));
  return 0;
}

} // namespace osv

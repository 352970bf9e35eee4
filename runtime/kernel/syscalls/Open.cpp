// SPDX-License-Identifier: BSD-3-Clause
//
// System calls that make descriptors from names, and that ask about names: the open and stat families, access, statfs,
// memfd_create.
#include "kernel/syscalls/FileArguments.h"
#include <asm/statfs.h>
#include <linux/memfd.h>
#include <linux/openat2.h>

namespace osv {
namespace {

constexpr int kOpenFlags = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_DSYNC |
                           FASYNC | O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_SYNC |
                           O_PATH | O_TMPFILE;

Result<long> open(int dirfd, UserPtr<const char> pathArgument, int flags, unsigned mode, unsigned how) {
  UserPath path;
  TRY(path.read(pathArgument));
  Ref<File> f =
      TRY(openPath(fsContext(), TRY(startOf(dirfd, path.view())), path.view(), flags & kOpenFlags, mode & 07777, how));
  return TRY(files().install(std::move(f), flags & O_CLOEXEC));
}

Result<void> statPlace(Place &place, struct stat &out) {
  if (place.entry) {
    place.entry->inode->fillStat(out);
    return {};
  }
  return place.file->stat(out);
}

Result<void> statAt(int dirfd, UserPtr<const char> path, int flags, struct stat &out) {
  // fstat(fd) as fstatat(fd, "", AT_EMPTY_PATH), and what has its own idea of stat although it has a name (terminals,
  // pipes).
  if (flags & AT_EMPTY_PATH) {
    UserPath text;
    TRY(text.read(path, true));
    if (text.empty() && dirfd != AT_FDCWD)
      return TRY(files().get(dirfd))->stat(out);
  }
  Place place;
  TRY(findPlace(dirfd, path, flags, true, place));
  return statPlace(place, out);
}

Result<long> access(int dirfd, UserPtr<const char> path, unsigned mode, int flags) {
  if ((mode & ~7u) || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
    return Errno::Inval;
  Place place;
  TRY(findPlace(dirfd, path, flags, true, place));
  if (!place.entry)
    return 0;
  Inode &inode = *place.entry->inode;
  // Root may read and write everything, but executes a file only when somebody may.
  if ((mode & 1) && !inode.isDirectory() && !(inode.mode & 0111))
    return Errno::Acces;
  if ((mode & 2) && (inode.fs == FsKind::Sys))
    return inode.isDirectory() ? Errno::Acces : Result<long>(Errno::RoFs);
  return 0;
}

} // namespace

Result<long> sys_open(UserPtr<const char> path, int flags, unsigned mode) {
  return open(AT_FDCWD, path, flags, mode, 0);
}
Result<long> sys_creat(UserPtr<const char> path, unsigned mode) {
  return open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode, 0);
}
Result<long> sys_openat(int dirfd, UserPtr<const char> path, int flags, unsigned mode) {
  return open(dirfd, path, flags, mode, 0);
}

Result<long> sys_openat2(int dirfd, UserPtr<const char> path, UserPtr<struct open_how> howArgument, size_t size) {
  if (size < sizeof(struct open_how))
    return Errno::Inval;
  if (size > kPageSize)
    return Errno::TooBig;
  for (size_t at = sizeof(struct open_how); at < size; at++) // fields of later versions must be zero
    if (TRY(UserPtr<char>(howArgument.addr().value + at).read()))
      return Errno::TooBig;
  struct open_how how = TRY(howArgument.read());
  constexpr uint64_t kResolve =
      RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT;
  if ((how.flags & ~static_cast<uint64_t>(kOpenFlags)) || (how.resolve & ~(kResolve | RESOLVE_CACHED)) ||
      (how.mode & ~uint64_t{07777}))
    return Errno::Inval;
  bool creates = (how.flags & O_CREAT) || (how.flags & O_TMPFILE) == O_TMPFILE;
  if ((how.mode && !creates) ||
      (how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) == (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
    return Errno::Inval;
  if (how.resolve & (RESOLVE_NO_XDEV | RESOLVE_CACHED))
    return how.resolve & RESOLVE_CACHED ? Errno::Again
                                        : Errno::XDev; // Partial: "cannot promise" is a permitted answer to both
  unsigned walkFlags = (how.resolve & RESOLVE_NO_MAGICLINKS ? kNoMagic : 0) |
                       (how.resolve & RESOLVE_NO_SYMLINKS ? kNoSymlinks | kNoMagic : 0) |
                       (how.resolve & RESOLVE_BENEATH ? kBeneath : 0) | (how.resolve & RESOLVE_IN_ROOT ? kInRoot : 0);
  return open(dirfd, path, static_cast<int>(how.flags), static_cast<unsigned>(how.mode), walkFlags);
}

Result<long> sys_stat(UserPtr<const char> path, UserPtr<struct stat> out) {
  struct stat s;
  TRY(statAt(AT_FDCWD, path, 0, s));
  TRY(out.write(s));
  return 0;
}
Result<long> sys_lstat(UserPtr<const char> path, UserPtr<struct stat> out) {
  struct stat s;
  TRY(statAt(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, s));
  TRY(out.write(s));
  return 0;
}
Result<long> sys_fstat(int fd, UserPtr<struct stat> out) {
  struct stat s;
  TRY(TRY(files().get(fd))->stat(s));
  TRY(out.write(s));
  return 0;
}
Result<long> sys_newfstatat(int dirfd, UserPtr<const char> path, UserPtr<struct stat> out, int flags) {
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
    return Errno::Inval;
  struct stat s;
  TRY(statAt(dirfd, path, flags, s));
  TRY(out.write(s));
  return 0;
}

Result<long> sys_statx(int dirfd, UserPtr<const char> path, int flags, unsigned mask, UserPtr<struct statx> out) {
  if (mask & STATX__RESERVED)
    return Errno::Inval;
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)) ||
      (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
    return Errno::Inval;
  struct stat s;
  TRY(statAt(dirfd, path, flags & ~AT_STATX_SYNC_TYPE, s));
  struct statx x = {};
  auto time = [](unsigned long seconds, unsigned long nanos) {
    return statx_timestamp{static_cast<int64_t>(seconds), static_cast<uint32_t>(nanos), 0};
  };
  auto major = [](uint64_t d) { return static_cast<uint32_t>(d >> 8 & 0xfff); };
  auto minor = [](uint64_t d) { return static_cast<uint32_t>((d & 0xff) | (d >> 12 & ~0xffu)); };
  x.stx_mask = STATX_BASIC_STATS;
  x.stx_blksize = static_cast<uint32_t>(s.st_blksize);
  x.stx_nlink = static_cast<uint32_t>(s.st_nlink);
  x.stx_uid = s.st_uid;
  x.stx_gid = s.st_gid;
  x.stx_mode = static_cast<uint16_t>(s.st_mode);
  x.stx_ino = s.st_ino;
  x.stx_size = static_cast<uint64_t>(s.st_size);
  x.stx_blocks = static_cast<uint64_t>(s.st_blocks);
  x.stx_atime = time(s.st_atime, s.st_atime_nsec);
  x.stx_mtime = time(s.st_mtime, s.st_mtime_nsec);
  x.stx_ctime = time(s.st_ctime, s.st_ctime_nsec);
  x.stx_rdev_major = major(s.st_rdev);
  x.stx_rdev_minor = minor(s.st_rdev);
  x.stx_dev_major = major(s.st_dev);
  x.stx_dev_minor = minor(s.st_dev);
  TRY(out.write(x));
  return 0;
}

Result<long> sys_access(UserPtr<const char> path, unsigned mode) { return access(AT_FDCWD, path, mode, 0); }
Result<long> sys_faccessat(int dirfd, UserPtr<const char> path, unsigned mode) { return access(dirfd, path, mode, 0); }
Result<long> sys_faccessat2(int dirfd, UserPtr<const char> path, unsigned mode, int flags) {
  return access(dirfd, path, mode, flags);
}

Result<long> sys_statfs(UserPtr<const char> path, UserPtr<struct statfs> out) {
  Place place;
  TRY(findPlace(AT_FDCWD, path, 0, true, place));
  struct statfs s;
  fillStatfs(place.entry ? place.entry->inode->fs : FsKind::Root, s);
  TRY(out.write(s));
  return 0;
}
Result<long> sys_fstatfs(int fd, UserPtr<struct statfs> out) {
  Ref<File> f = TRY(files().get(fd));
  struct statfs s;
  fillStatfs(f->inode() ? f->inode()->fs : FsKind::Root, s);
  TRY(out.write(s));
  return 0;
}

Result<long> sys_memfd_create(UserPtr<const char> name, unsigned flags) {
  if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING))
    return Errno::Inval;
  UserPath text;
  if (auto r = text.read(name, true); !r)
    return r.error() == Errno::NameTooLong ? Errno::Inval : r.error();
  if (text.view().size() > 249)
    return Errno::Inval;
  char shown[256] = "memfd:";
  size_t n = 6 + text.view().copy(shown + 6, sizeof shown - 6);
  Ref<File> f = TRY(openUnnamed(FsKind::Memfd, rootDentry(), {shown, n}, 0777, O_RDWR | O_LARGEFILE));
  static_cast<RegularInode *>(f->inode())->data->seals = flags & MFD_ALLOW_SEALING ? 0 : F_SEAL_SEAL;
  return TRY(files().install(std::move(f), flags & MFD_CLOEXEC));
}

} // namespace osv

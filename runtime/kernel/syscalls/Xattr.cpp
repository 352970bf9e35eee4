// SPDX-License-Identifier: BSD-3-Clause
//
// Extended attributes (man 7 xattr): no file system here has any. The calls check their arguments and answer as Linux
// does for such a file system: there is nothing to list, and what has no support is EOPNOTSUPP. Programs that copy
// files cope with that, and not with ENOSYS.
#include "kernel/fs/Mode.h"
#include "kernel/syscalls/FileArguments.h"
#include <linux/limits.h>
#include <linux/xattr.h>

namespace osv {
namespace {

/// What an attribute is asked for: a name in the tree, or an open file.
class Target {
public:
  Result<void> find(UserPtr<const char> path, bool follow) {
    TRY(findPlace(AT_FDCWD, path, follow ? 0 : AT_SYMLINK_NOFOLLOW, true, place));
    file = place.file;
    return {};
  }
  Result<void> find(int fd) {
    file = TRY(files().get(fd));
    return file->isPath() ? Result<void>(Errno::BadF) : Result<void>();
  }
  /// Only files and directories may have `user.` attributes.
  Result<bool> mayHaveUserAttributes() {
    struct stat s;
    if (place.entry)
      place.entry->inode->fillStat(s);
    else
      TRY(file->stat(s));
    return (s.st_mode & S_IFMT) == S_IFREG || (s.st_mode & S_IFMT) == S_IFDIR;
  }

private:
  Place place;
  Ref<File> file;
};

/// ERANGE, EFAULT; else the error of the missing support, or `denied` for a `user.` attribute that cannot be.
Errno refusal(Target &target, UserPtr<const char> name, Errno denied) {
  char text[XATTR_NAME_MAX + 1];
  Result<size_t> length = copyStringFromUser(text, name.addr());
  if (!length.ok())
    return length.error() == Errno::NameTooLong ? Errno::Range : length.error();
  if (*length == 0)
    return Errno::Range;
  if (!std::string_view(text, *length).starts_with(XATTR_USER_PREFIX))
    return Errno::OpNotSupp;
  Result<bool> may = target.mayHaveUserAttributes();
  return !may.ok() ? may.error() : *may ? Errno::OpNotSupp : denied;
}

Result<long> set(Target &target, UserPtr<const char> name, UserPtr<const char> value, size_t size, int flags) {
  if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
    return Errno::Inval;
  Errno error = refusal(target, name, Errno::Perm);
  if (error == Errno::Range || error == Errno::Fault)
    return error;
  if (size > XATTR_SIZE_MAX)
    return Errno::TooBig;
  char part[256]; // what is not kept must be readable all the same
  for (size_t at = 0; at < size; at += sizeof part)
    TRY(copyFromUser(part, value.addr() + at, std::min(size - at, sizeof part)));
  return error;
}

} // namespace

Result<long> sys_setxattr(UserPtr<const char> path, UserPtr<const char> name, UserPtr<const char> value, size_t size,
                          int flags) {
  Target target;
  TRY(target.find(path, true));
  return set(target, name, value, size, flags);
}
Result<long> sys_lsetxattr(UserPtr<const char> path, UserPtr<const char> name, UserPtr<const char> value, size_t size,
                           int flags) {
  Target target;
  TRY(target.find(path, false));
  return set(target, name, value, size, flags);
}
Result<long> sys_fsetxattr(int fd, UserPtr<const char> name, UserPtr<const char> value, size_t size, int flags) {
  Target target;
  TRY(target.find(fd));
  return set(target, name, value, size, flags);
}

Result<long> sys_getxattr(UserPtr<const char> path, UserPtr<const char> name, UserPtr<char> value, size_t size) {
  Target target;
  TRY(target.find(path, true));
  return refusal(target, name, Errno::NoData);
}
Result<long> sys_lgetxattr(UserPtr<const char> path, UserPtr<const char> name, UserPtr<char> value, size_t size) {
  Target target;
  TRY(target.find(path, false));
  return refusal(target, name, Errno::NoData);
}
Result<long> sys_fgetxattr(int fd, UserPtr<const char> name, UserPtr<char> value, size_t size) {
  Target target;
  TRY(target.find(fd));
  return refusal(target, name, Errno::NoData);
}

Result<long> sys_listxattr(UserPtr<const char> path, UserPtr<char> list, size_t size) {
  Target target;
  TRY(target.find(path, true));
  return 0L;
}
Result<long> sys_llistxattr(UserPtr<const char> path, UserPtr<char> list, size_t size) {
  Target target;
  TRY(target.find(path, false));
  return 0L;
}
Result<long> sys_flistxattr(int fd, UserPtr<char> list, size_t size) {
  Target target;
  TRY(target.find(fd));
  return 0L;
}

Result<long> sys_removexattr(UserPtr<const char> path, UserPtr<const char> name) {
  Target target;
  TRY(target.find(path, true));
  return refusal(target, name, Errno::Perm);
}
Result<long> sys_lremovexattr(UserPtr<const char> path, UserPtr<const char> name) {
  Target target;
  TRY(target.find(path, false));
  return refusal(target, name, Errno::Perm);
}
Result<long> sys_fremovexattr(int fd, UserPtr<const char> name) {
  Target target;
  TRY(target.find(fd));
  return refusal(target, name, Errno::Perm);
}

} // namespace osv

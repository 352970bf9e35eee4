// SPDX-License-Identifier: BSD-3-Clause
//
// Copies paths and iovecs in, and finds what a descriptor or path argument means. See FileArguments.h.
#include "kernel/syscalls/FileArguments.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/mm/Heap.h"
#include <algorithm>
#include <limits.h>

namespace osv {

unsigned descriptorLimit() {
  return static_cast<unsigned>(std::min<uint64_t>(currentProcess().limits[RLIMIT_NOFILE].rlim_cur, 1u << 20));
}

void fileTruncated(const MemoryObject &object, uint64_t firstPage) {
  currentProcess().addressSpace->zapObject(object, firstPage);
}

UserPath::~UserPath() {
  if (heap)
    heapFree(heap);
}

Result<void> UserPath::read(UserPtr<const char> p, bool mayBeEmpty) {
  auto n = copyStringFromUser(small, p.addr());
  if (n) {
    text = {small, *n};
  } else if (n.error() != Errno::NameTooLong) {
    return n.error();
  } else {
    constexpr size_t kPathMax = 4096;
    heap = static_cast<char *>(heapAlloc(kPathMax));
    if (!heap)
      return Errno::NoMem;
    text = {heap, TRY(copyStringFromUser({heap, kPathMax}, p.addr()))};
  }
  return text.empty() && !mayBeEmpty ? Result<void>(Errno::NoEnt) : Result<void>();
}

Result<Ref<Dentry>> startOf(int dirfd, std::string_view path) {
  if (path.starts_with('/') || dirfd == AT_FDCWD)
    return fsContext().cwd();
  Ref<File> f = TRY(files().get(dirfd));
  if (!f->dentry || !f->dentry->inode->isDirectory())
    return Errno::NotDir;
  return f->dentry;
}

Result<void> findPlace(int dirfd, UserPtr<const char> pathArgument, int atFlags, bool followByDefault, Place &out) {
  UserPath path;
  TRY(path.read(pathArgument, atFlags & AT_EMPTY_PATH));
  if (path.empty()) {
    if (dirfd == AT_FDCWD) {
      out.entry = fsContext().cwd();
      return {};
    }
    Ref<File> f = TRY(files().get(dirfd));
    out.entry = f->dentry;
    if (!f->dentry)
      out.file = std::move(f);
    return {};
  }
  bool follow = followByDefault ? !(atFlags & AT_SYMLINK_NOFOLLOW) : atFlags & AT_SYMLINK_FOLLOW;
  return walk(fsContext(), TRY(startOf(dirfd, path.view())), path.view(), follow ? kFollow : 0, out);
}

UserVec::~UserVec() {
  if (heap)
    heapFree(heap);
}

Result<void> UserVec::read(UserPtr<struct iovec> p, size_t count) {
  if (count > 1024) // UIO_MAXIOV
    return Errno::Inval;
  struct iovec *at = small;
  if (count > std::size(small)) {
    at = heap = static_cast<struct iovec *>(heapAlloc(count * sizeof(struct iovec)));
    if (!heap)
      return Errno::NoMem;
  }
  vec = {at, count};
  TRY(p.read(vec));
  size_t total = 0;
  for (struct iovec &v : vec) {
    if (static_cast<ssize_t>(v.iov_len) < 0)
      return Errno::Inval;
    if (reinterpret_cast<uint64_t>(v.iov_base) + v.iov_len > arch::kUserMax.value && v.iov_len)
      return Errno::Fault;
    v.iov_len = std::min(v.iov_len, kMaxTransfer - total);
    total += v.iov_len;
  }
  return {};
}

} // namespace osv

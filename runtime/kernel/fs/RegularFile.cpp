// SPDX-License-Identifier: BSD-3-Clause
//
// The open-file side of in-memory regular files: position, O_APPEND, lseek, mmap.
#include "kernel/fs/RegularFile.h"
#include "kernel/fs/Vfs.h"
#include "kernel/mm/Heap.h"
#include "kernel/time/Time.h"
#include <algorithm>
#include <asm/ioctls.h>
#include <cstring>
#include <linux/memfd.h>

namespace osv {

Result<Ref<File>> RegularInode::open(int flags) {
  auto *f = TRY(make<RegularFile>(Ref<RegularInode>::share(this)));
  return Ref<File>(Ref<RegularFile>::adopt(f));
}

Result<void> RegularInode::truncate(uint64_t size) {
  TRY(data->truncate(size));
  touchModified();
  return {};
}

Result<size_t> RegularFile::readFrom(IoBuffer &io, uint64_t offset) {
  size_t n = TRY(node->data->read(io, offset));
  // relatime, as Linux mounts by default: only when the access time is older than the last change.
  if (n && !(flags & O_NOATIME) && node->accessTime <= node->modifyTime)
    node->accessTime = realtimeNow();
  return n;
}

Result<size_t> RegularFile::read(IoBuffer &io) {
  MutexGuard g(posLock);
  size_t n = TRY(readFrom(io, position));
  position += n;
  return n;
}

Result<size_t> RegularFile::readAt(IoBuffer &io, uint64_t offset) { return readFrom(io, offset); }

Result<size_t> RegularFile::write(IoBuffer &io) {
  MutexGuard g(posLock);
  uint64_t end = position;
  size_t n = TRY(node->data->write(io, flags & O_APPEND ? FileData::kAppend : position, &end));
  if (n) {
    position = end;
    node->touchModified();
  }
  return n;
}

Result<size_t> RegularFile::writeAt(IoBuffer &io, uint64_t offset) {
  uint64_t end;
  size_t n = TRY(node->data->write(io, flags & O_APPEND ? FileData::kAppend : offset, &end));
  if (n)
    node->touchModified();
  return n;
}

Result<uint64_t> RegularFile::seek(int64_t offset, int whence) {
  MutexGuard g(posLock);
  int64_t base = 0;
  switch (whence) {
  case SEEK_SET:
    break;
  case SEEK_CUR:
    base = static_cast<int64_t>(position);
    break;
  case SEEK_END:
    base = static_cast<int64_t>(node->size());
    break;
  case SEEK_DATA:
  case SEEK_HOLE:
    if (offset < 0)
      return Errno::NxIo;
    return position = TRY(node->data->seekData(static_cast<uint64_t>(offset), whence == SEEK_HOLE));
  default:
    return Errno::Inval;
  }
  int64_t target;
  if (__builtin_add_overflow(base, offset, &target))
    return Errno::Inval;
  if (target < 0)
    return Errno::Inval;
  return position = static_cast<uint64_t>(target);
}

Result<void> RegularFile::truncate(uint64_t size) { return node->truncate(size); }

Result<void> RegularFile::allocate(int mode, uint64_t offset, uint64_t len) {
  TRY(node->data->allocate(mode, offset, len));
  node->touchModified();
  return {};
}

Result<Ref<MemoryObject>> RegularFile::memoryObject() {
  if (node->data->name().empty()) {
    char path[512];
    size_t n = dentry ? pathOf(*dentry, path) : 0;
    node->data->setMappedName(node->number, {path, n});
  }
  return Ref<MemoryObject>(Ref<FileData>(node->data));
}

Result<long> RegularFile::ioctl(unsigned cmd, uint64_t arg) {
  if (cmd != FIONREAD)
    return Errno::NoTty;
  MutexGuard g(posLock);
  int left = static_cast<int>(static_cast<int64_t>(node->size()) - static_cast<int64_t>(position));
  TRY(UserPtr<int>(arg).write(left));
  return 0;
}

} // namespace osv

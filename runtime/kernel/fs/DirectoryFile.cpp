// SPDX-License-Identifier: BSD-3-Clause
//
// Reading directories: the position is the cookie of the next entry (0 ".", 1 "..", then what the inode hands out), so
// an entry that is there during the whole scan is returned exactly once whatever else is created or removed meanwhile.
#include "kernel/fs/RegularFile.h"
#include "kernel/fs/Vfs.h"
#include "kernel/mm/Heap.h"
#include <cstring>

namespace osv {

Result<Ref<File>> Directory::open(int) { return openDirectoryFile(); }

Result<Ref<File>> openDirectoryFile() {
  auto *f = TRY(make<DirectoryFile>());
  return Ref<File>(Ref<DirectoryFile>::adopt(f));
}

Result<uint64_t> DirectoryFile::seek(int64_t offset, int whence) {
  MutexGuard g(posLock);
  if (whence == SEEK_CUR)
    offset += static_cast<int64_t>(position);
  else if (whence != SEEK_SET)
    return Errno::Inval;
  if (offset < 0)
    return Errno::Inval;
  return position = static_cast<uint64_t>(offset);
}

Result<size_t> DirectoryFile::readDirectory(IoBuffer &io) { return readDirectory(io, false); }

Result<size_t> DirectoryFile::readDirectory(IoBuffer &io, bool legacy) {
  MutexGuard g(posLock);
  size_t done = 0;
  for (;;) {
    DirectoryEntry entry;
    uint64_t next = position;
    {
      TreeReadGuard tree;
      if (!dentry->linked && dentry->parent)
        return done ? Result<size_t>(done) : Result<size_t>(Errno::NoEnt);
      Inode &dir = *dentry->inode;
      if (position < 2) {
        bool up = position == 1;
        Inode &shown = up && dentry->parent ? *dentry->parent->inode : dir;
        entry.inode = shown.number;
        entry.type = 4;
        entry.nameLength = up ? 2 : 1;
        memcpy(entry.name, "..", 2);
        next = position + 1;
      } else if (!dir.nextEntry(&next, entry)) {
        return done;
      }
    }
    // d_ino, d_off, d_reclen, then d_type and the name (getdents64), or the name and d_type in the last byte
    // (getdents).
    struct {
      uint64_t inode, offset;
      uint16_t length;
      char rest[262];
    } record;
    constexpr size_t kHeader = 18;
    size_t size = roundUp(kHeader + 1 + entry.nameLength + 1, 8);
    if (size > io.remaining())
      return done ? Result<size_t>(done) : Result<size_t>(Errno::Inval);
    memset(&record, 0, sizeof record);
    record.inode = entry.inode;
    record.offset = next;
    record.length = static_cast<uint16_t>(size);
    memcpy(record.rest + !legacy, entry.name, entry.nameLength);
    (legacy ? reinterpret_cast<char *>(&record)[size - 1] : record.rest[0]) = static_cast<char>(entry.type);
    size_t moved = TRY(io.copyOut(&record, size));
    if (moved < size)
      return done ? Result<size_t>(done) : Result<size_t>(Errno::Fault);
    position = next;
    done += size;
  }
}

} // namespace osv

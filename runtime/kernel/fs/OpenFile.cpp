// SPDX-License-Identifier: BSD-3-Clause
//
// open(2): what each O_* flag means for each kind of inode. Order of the errors as in do_open of Linux 6.1.
#include "kernel/fs/Vfs.h"
#include "kernel/mm/Heap.h"
#include <linux/fcntl.h>

namespace osv {
namespace {

/// What F_GETFL shows: the creation flags are gone, and a 64-bit program has O_LARGEFILE.
int statusFlags(int flags) { return (flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC)) | O_LARGEFILE; }

/// O_PATH: names a place, does nothing else.
class PathFile : public File {
public:
  Result<size_t> read(IoBuffer &) override { return Errno::BadF; }
  Result<size_t> write(IoBuffer &) override { return Errno::BadF; }
  Result<size_t> readAt(IoBuffer &, uint64_t) override { return Errno::BadF; }
  Result<size_t> writeAt(IoBuffer &, uint64_t) override { return Errno::BadF; }
  Result<uint64_t> seek(int64_t, int) override { return Errno::BadF; }
  Result<long> ioctl(unsigned, uint64_t) override { return Errno::BadF; }
  Result<void> truncate(uint64_t) override { return Errno::BadF; }
  Result<void> allocate(int, uint64_t, uint64_t) override { return Errno::BadF; }
  Result<size_t> readDirectory(IoBuffer &) override { return Errno::BadF; }
  Result<Ref<MemoryObject>> memoryObject() override { return Errno::BadF; }
  Result<void> sync() override { return Errno::BadF; }
  bool canPoll() const override { return false; }
  bool isPath() const override { return true; }
};

Result<Ref<File>> createAndOpen(FsContext &fs, Place &place, int flags, uint32_t mode) {
  if (place.trailingSlash)
    return Errno::IsDir;
  Dentry &dir = *place.parent;
  if (dir.inode->fs == FsKind::Proc || dir.inode->fs == FsKind::Sys)
    return dir.inode->fs == FsKind::Proc ? Errno::NoEnt : Errno::Acces;
  if (dir.parent && !dir.linked)
    return Errno::NoEnt;
  auto data = Ref<FileData>::adopt(TRY(make<FileData>()));
  auto inode =
      Ref<RegularInode>::adopt(TRY(make<RegularInode>(dir.inode->fs, mode & ~fs.umask & 07777, std::move(data))));
  auto file = TRY(inode->open(flags));
  file->flags = statusFlags(flags);
  file->dentry = TRY(addEntry(dir, place.lastName(), Ref<Inode>(inode)));
  dir.inode->touchModified();
  return file;
}

} // namespace

Result<Ref<File>> openPlace(Place &place, int flags) {
  if (place.file) { // a magic link to a pipe, socket, ...
    if (flags & O_DIRECTORY)
      return Errno::NotDir;
    Ref<File> file = TRY(place.file->reopen(flags));
    file->flags = statusFlags(flags);
    return file;
  }
  Inode &inode = *place.entry->inode;
  Ref<File> file;
  if (flags & O_PATH) {
    if ((flags & O_DIRECTORY) && !inode.isDirectory())
      return Errno::NotDir;
    file = Ref<PathFile>::adopt(TRY(make<PathFile>()));
    file->flags = flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW);
    file->dentry = place.entry;
    return file;
  }
  if (inode.isSymlink())
    return Errno::Loop;
  bool writes = (flags & O_ACCMODE) != O_RDONLY;
  if (inode.isDirectory() && (writes || (flags & (O_CREAT | O_TRUNC))))
    return Errno::IsDir;
  if ((flags & O_DIRECTORY) && !inode.isDirectory())
    return Errno::NotDir;
  file = TRY(inode.open(flags));
  file->flags = statusFlags(flags);
  file->dentry = place.entry;
  if ((flags & O_TRUNC) && inode.isRegular() && inode.size())
    TRY(inode.truncate(0));
  return file;
}

Result<Ref<File>> openPath(FsContext &fs, Ref<Dentry> start, std::string_view path, int flags, uint32_t mode,
                           unsigned how) {
  if (flags & O_PATH)
    flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  bool exclusive = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
  if (!(flags & O_NOFOLLOW) && !exclusive)
    how |= kFollow;
  bool tmpfile = (flags & O_TMPFILE) == O_TMPFILE && !(flags & O_PATH);
  if (tmpfile) {
    if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_CREAT))
      return Errno::Inval;
    Place place;
    TRY(walk(fs, std::move(start), path, how, place));
    if (!place.entry || !place.entry->inode->isDirectory())
      return Errno::NotDir;
    FsKind kind = place.entry->inode->fs;
    if (!place.entry->inode->asDirectory() || kind == FsKind::Proc || kind == FsKind::Sys)
      return Errno::OpNotSupp;
    Ref<File> file = TRY(openUnnamed(kind, place.entry, "#tmpfile", mode & ~fs.umask & 07777, statusFlags(flags)));
    file->inode()->linkable = !(flags & O_EXCL);
    return file;
  }
  if ((flags & O_CREAT) && (flags & O_DIRECTORY))
    return Errno::Inval;
  Place place;
  {
    TreeReadGuard tree;
    TRY(walkLocked(fs, start, path, how | (flags & O_CREAT ? kMayBeMissing : 0), place));
  }
  if (flags & O_CREAT) {
    if (place.trailingSlash || place.last != Place::Last::Normal)
      if (!place.entry || place.entry->inode->isDirectory())
        return Errno::IsDir;
    if (!place.entry && !place.file) {
      TreeWriteGuard tree;
      TRY(walkLocked(fs, start, path, how | kMayBeMissing, place)); // again: nobody else may have made it meanwhile
      if (!place.entry && !place.file)
        return createAndOpen(fs, place, flags, mode);
    }
    if (exclusive)
      return Errno::Exist;
  }
  return openPlace(place, flags);
}

} // namespace osv

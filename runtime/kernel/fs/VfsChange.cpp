// SPDX-License-Identifier: BSD-3-Clause
//
// Operations that change the tree: make, link, rename, remove. Each walks and acts under one exclusive hold of the tree
// lock, so there is nothing to re-check. Order of the errors as in fs/namei.c of Linux 6.1, which programs and
// test-suites observe.
#include "kernel/fs/Vfs.h"
#include "kernel/mm/Heap.h"
#include "kernel/mm/PageAllocator.h"
#include <asm/statfs.h>
#include <linux/magic.h>
#include <linux/memfd.h>

namespace osv {
namespace {

/// Can names be made or removed in `dir`? The generated trees refuse as Linux's do.
Result<Directory *> changeable(Dentry &dir, bool create) {
  switch (dir.inode->fs) {
  case FsKind::Proc:
    return create ? Errno::NoEnt : Errno::Perm;
  case FsKind::Sys:
    return Errno::Perm;
  default:
    break;
  }
  Directory *d = dir.inode->asDirectory();
  if (!d)
    return Errno::NotDir;
  if (dir.parent && !dir.linked) // the directory itself is gone
    return Errno::NoEnt;
  return d;
}

/// Walks to the parent of a name to be made; EEXIST when it is there, ENOENT for "name/" unless a directory is made.
Result<Directory *> placeForNew(FsContext &fs, Ref<Dentry> start, std::string_view path, bool isDirectory,
                                Place &place) {
  TRY(walkLocked(fs, std::move(start), path, kParent, place));
  if (place.last != Place::Last::Normal || place.entry || place.file)
    return Errno::Exist;
  if (place.trailingSlash && !isDirectory)
    return Errno::NoEnt;
  return changeable(*place.parent, true);
}

Result<void> enter(Place &place, Ref<Inode> inode) {
  TRY(addEntry(*place.parent, place.lastName(), std::move(inode)));
  place.parent->inode->touchModified();
  return {};
}

void takeOut(Dentry &parent, Dentry &entry) {
  parent.inode->asDirectory()->remove(entry);
  parent.inode->touchModified();
  entry.inode->changeTime = parent.inode->changeTime;
}

bool isBelow(Dentry &d, Dentry &ancestor) {
  for (Dentry *at = &d; at; at = at->parent.get())
    if (at == &ancestor)
      return true;
  return false;
}

bool isMountPoint(Dentry &d) { return !d.parent || d.inode->fs != d.parent->inode->fs; }

} // namespace

Result<void> makeNode(FsContext &fs, Ref<Dentry> start, std::string_view path, uint32_t mode, uint64_t device) {
  if ((mode & S_IFMT) == 0)
    mode |= S_IFREG;
  TreeWriteGuard tree;
  Place place;
  TRY(placeForNew(fs, std::move(start), path, false, place));
  FsKind kind = place.parent->inode->fs;
  uint32_t permissions = mode & ~fs.umask & 07777;
  Ref<Inode> inode;
  switch (mode & S_IFMT) {
  case S_IFREG:
    inode = Ref<RegularInode>::adopt(
        TRY(make<RegularInode>(kind, permissions, Ref<FileData>::adopt(TRY(make<FileData>())))));
    break;
  case S_IFIFO:
    inode = Ref<FifoInode>::adopt(TRY(make<FifoInode>(kind, permissions)));
    break;
  case S_IFCHR:
  case S_IFBLK:
  case S_IFSOCK:
    inode = Ref<SpecialInode>::adopt(TRY(make<SpecialInode>(kind, (mode & S_IFMT) | permissions, device)));
    break;
  case S_IFDIR:
    return Errno::Perm;
  default:
    return Errno::Inval;
  }
  return enter(place, std::move(inode));
}

Result<void> makeDirectory(FsContext &fs, Ref<Dentry> start, std::string_view path, uint32_t mode) {
  TreeWriteGuard tree;
  Place place;
  TRY(placeForNew(fs, std::move(start), path, true, place));
  auto *inode = TRY(make<Directory>(place.parent->inode->fs, mode & ~fs.umask & 01777));
  return enter(place, Ref<Inode>(Ref<Directory>::adopt(inode)));
}

Result<void> makeSymlink(FsContext &fs, Ref<Dentry> start, std::string_view path, std::string_view target) {
  if (target.empty())
    return Errno::NoEnt;
  TreeWriteGuard tree;
  Place place;
  TRY(placeForNew(fs, std::move(start), path, false, place));
  return enter(place, TRY(SymlinkInode::create(place.parent->inode->fs, target)));
}

Result<void> makeLink(FsContext &fs, Ref<Dentry> start, std::string_view path, Ref<Inode> inode) {
  TreeWriteGuard tree;
  Place place;
  TRY(placeForNew(fs, std::move(start), path, false, place));
  if (inode->fs != place.parent->inode->fs)
    return Errno::XDev;
  if (inode->isDirectory())
    return Errno::Perm;
  if (inode->links == 0 && !inode->linkable)
    return Errno::NoEnt;
  TRY(enter(place, inode));
  inode->links++;
  inode->changeTime = place.parent->inode->changeTime;
  return {};
}

Result<void> removeName(FsContext &fs, Ref<Dentry> start, std::string_view path) {
  Place place; // its references are dropped after the lock
  TreeWriteGuard tree;
  TRY(walkLocked(fs, std::move(start), path, kParent, place));
  if (place.last != Place::Last::Normal)
    return Errno::IsDir;
  if (!place.entry)
    return Errno::NoEnt;
  if (place.trailingSlash)
    return place.entry->inode->isDirectory() ? Errno::IsDir : Errno::NotDir;
  TRY(changeable(*place.parent, false));
  if (place.entry->inode->isDirectory())
    return Errno::IsDir;
  takeOut(*place.parent, *place.entry);
  place.entry->inode->links--;
  return {};
}

Result<void> removeDirectory(FsContext &fs, Ref<Dentry> start, std::string_view path) {
  Place place;
  TreeWriteGuard tree;
  TRY(walkLocked(fs, std::move(start), path, kParent, place));
  switch (place.last) {
  case Place::Last::Dot:
    return Errno::Inval;
  case Place::Last::DotDot:
    return Errno::NotEmpty;
  case Place::Last::Root:
    return Errno::Busy;
  case Place::Last::Normal:
    break;
  }
  if (!place.entry)
    return Errno::NoEnt;
  TRY(changeable(*place.parent, false));
  if (!place.entry->inode->isDirectory())
    return Errno::NotDir;
  if (isMountPoint(*place.entry))
    return Errno::Busy;
  Directory *victim = place.entry->inode->asDirectory();
  if (!victim)
    return Errno::Perm;
  if (!victim->empty())
    return Errno::NotEmpty;
  takeOut(*place.parent, *place.entry);
  victim->links = 0;
  place.parent->inode->links--;
  return {};
}

Result<void> renamePath(FsContext &fs, Ref<Dentry> from, std::string_view oldPath, Ref<Dentry> to,
                        std::string_view newPath, unsigned flags) {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
    return Errno::Inval;
  Place src, dst;
  TreeWriteGuard tree;
  TRY(walkLocked(fs, std::move(from), oldPath, kParent, src));
  TRY(walkLocked(fs, std::move(to), newPath, kParent, dst));
  if (src.last != Place::Last::Normal)
    return Errno::Busy;
  if (dst.last != Place::Last::Normal)
    return flags & RENAME_NOREPLACE ? Errno::Exist : Errno::Busy;
  if (src.parent->inode->fs != dst.parent->inode->fs)
    return Errno::XDev;
  if (!src.entry)
    return Errno::NoEnt;
  if ((flags & RENAME_NOREPLACE) && dst.entry)
    return Errno::Exist;
  if ((flags & RENAME_EXCHANGE) && !dst.entry)
    return Errno::NoEnt;
  Directory *srcDir = TRY(changeable(*src.parent, false)), *dstDir = TRY(changeable(*dst.parent, true));
  Inode &moved = *src.entry->inode;
  bool exchange = flags & RENAME_EXCHANGE;
  if (!moved.isDirectory() && (src.trailingSlash || (!exchange && dst.trailingSlash)))
    return Errno::NotDir;
  if (exchange && dst.trailingSlash && !dst.entry->inode->isDirectory())
    return Errno::NotDir;
  if (isBelow(*dst.parent, *src.entry))
    return Errno::Inval;
  if (dst.entry && isBelow(*src.parent, *dst.entry))
    return exchange ? Errno::Inval : Errno::NotEmpty;
  if (dst.entry && dst.entry->inode == src.entry->inode)
    return {};
  if (isMountPoint(*src.entry) || (dst.entry && isMountPoint(*dst.entry)))
    return Errno::Busy;
  if (dst.entry && !exchange) {
    Inode &victim = *dst.entry->inode;
    if (moved.isDirectory() && !victim.isDirectory())
      return Errno::NotDir;
    if (!moved.isDirectory() && victim.isDirectory())
      return Errno::IsDir;
    if (victim.isDirectory() && !victim.asDirectory()->empty())
      return Errno::NotEmpty;
  }
  // The moved dentry takes the new name: its storage comes from a dentry made for that, or from the other one.
  Ref<Dentry> name = dst.entry;
  if (!exchange)
    name = TRY(Dentry::create({}, dst.lastName(), {}));
  int srcDirectories = 0, dstDirectories = 0; // change of the parents' link counts
  takeOut(*src.parent, *src.entry);
  srcDirectories -= moved.isDirectory();
  if (dst.entry) {
    takeOut(*dst.parent, *dst.entry);
    dstDirectories -= dst.entry->inode->isDirectory();
    if (!exchange)
      dst.entry->inode->links = dst.entry->inode->isDirectory() ? 0 : dst.entry->inode->links - 1;
  }
  src.entry->swapName(*name);
  src.entry->parent = dst.parent;
  dstDir->insert(*src.entry);
  dstDirectories += moved.isDirectory();
  if (exchange) {
    dst.entry->parent = src.parent;
    srcDir->insert(*dst.entry);
    srcDirectories += dst.entry->inode->isDirectory();
  }
  src.parent->inode->links += static_cast<uint32_t>(srcDirectories);
  dst.parent->inode->links += static_cast<uint32_t>(dstDirectories);
  dst.parent->inode->touchModified();
  return {};
}

Result<Ref<File>> openUnnamed(FsKind kind, Ref<Dentry> parent, std::string_view name, uint32_t mode, int flags) {
  auto data = Ref<FileData>::adopt(TRY(make<FileData>()));
  auto inode = Ref<RegularInode>::adopt(TRY(make<RegularInode>(kind, mode, std::move(data))));
  inode->links = 0;
  auto file = TRY(inode->open(flags));
  file->dentry = TRY(Dentry::create(std::move(parent), name, Ref<Inode>(inode)));
  file->flags = flags;
  return file;
}

void fillStatfs(FsKind kind, struct statfs &out) {
  out = {};
  out.f_bsize = out.f_frsize = kPageSize;
  out.f_namelen = 255;
  out.f_flags = 0x20; // ST_VALID
  out.f_fsid.val[0] = 16 + static_cast<int>(kind);
  switch (kind) {
  case FsKind::Proc:
    out.f_type = PROC_SUPER_MAGIC;
    return;
  case FsKind::Sys:
    out.f_type = SYSFS_MAGIC;
    return;
  default:
    break;
  }
  MemoryStats memory = memoryStats();
  out.f_type = TMPFS_MAGIC;
  out.f_blocks = static_cast<int64_t>(memory.totalPages);
  out.f_bfree = out.f_bavail = static_cast<int64_t>(memory.freePages);
  out.f_files = static_cast<int64_t>(memory.totalPages);
  out.f_ffree = static_cast<int64_t>(memory.freePages);
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Inodes, dentries and in-memory directories: attributes and containers. Path rules are Vfs.cpp's.
#include "kernel/fs/Inode.h"
#include "kernel/fs/FileLocks.h"
#include "kernel/lib/Log.h"
#include "kernel/mm/Heap.h"
#include "kernel/time/Time.h"
#include <algorithm>
#include <cstring>

namespace osv {

static std::atomic<uint64_t> nextInodeNumber{2};

Inode::Inode(FsKind fs, uint32_t mode)
    : number(nextInodeNumber.fetch_add(1, std::memory_order_relaxed)), fs(fs), mode(mode) {
  accessTime = modifyTime = changeTime = birthTime = realtimeNow();
}

Inode::~Inode() { delete locks.load(); }

void Inode::fillStat(struct stat &out) {
  out = {};
  out.st_dev = encodeDevice(0, 16 + static_cast<unsigned>(fs));
  out.st_ino = number;
  out.st_nlink = links;
  out.st_mode = mode;
  out.st_uid = uid;
  out.st_gid = gid;
  out.st_rdev = device;
  out.st_size = static_cast<int64_t>(size());
  out.st_blksize = kPageSize;
  out.st_blocks = static_cast<int64_t>(blocks());
  auto split = [](Nanos t, unsigned long &seconds, unsigned long &nanos) {
    int64_t s = t / 1'000'000'000, n = t % 1'000'000'000;
    if (n < 0) {
      n += 1'000'000'000;
      s--;
    }
    seconds = static_cast<unsigned long>(s);
    nanos = static_cast<unsigned long>(n);
  };
  split(accessTime, out.st_atime, out.st_atime_nsec);
  split(modifyTime, out.st_mtime, out.st_mtime_nsec);
  split(changeTime, out.st_ctime, out.st_ctime_nsec);
}

void Inode::touchModified() { modifyTime = changeTime = realtimeNow(); }

Result<Ref<Dentry>> Dentry::create(Ref<Dentry> parent, std::string_view name, Ref<Inode> inode) {
  Ref<Dentry> d = Ref<Dentry>::adopt(new (std::nothrow) Dentry);
  if (!d)
    return Errno::NoMem;
  if (!name.empty()) {
    d->text = static_cast<char *>(heapAlloc(name.size()));
    if (!d->text)
      return Errno::NoMem;
    memcpy(d->text, name.data(), name.size());
  }
  d->length = name.size();
  d->parent = std::move(parent);
  d->inode = std::move(inode);
  return d;
}

Dentry::~Dentry() {
  if (text)
    heapFree(text);
}

Directory::Directory(FsKind fs, uint32_t permissions) : Inode(fs, S_IFDIR | permissions) { links = 2; }
Directory::~Directory() { VERIFY(byName.empty()); }

Dentry *Directory::find(std::string_view name) {
  auto it = byName.find(name);
  return it == byName.end() ? nullptr : &*it;
}

Result<Ref<Dentry>> Directory::lookup(Dentry &, std::string_view name) { return Ref<Dentry>::share(find(name)); }

bool Directory::nextEntry(uint64_t *cookie, DirectoryEntry &out) {
  auto it = byCookie.lower_bound(*cookie);
  if (it == byCookie.end())
    return false;
  *cookie = it->cookie + 1;
  out.nameLength = it->name().copy(out.name, sizeof out.name);
  out.inode = it->inode->number;
  out.type = static_cast<uint8_t>(it->inode->type() >> 12);
  return true;
}

void Directory::insert(Dentry &entry) {
  entry.retain();
  entry.cookie = nextCookie++;
  entry.linked = true;
  byName.insert(entry);
  byCookie.insert(entry);
  count++;
}

void Directory::remove(Dentry &entry) {
  byName.erase(byName.iterator_to(entry));
  byCookie.erase(byCookie.iterator_to(entry));
  entry.linked = false;
  count--;
  bool last = entry.release();
  VERIFY(!last);
}

Result<Ref<Inode>> SymlinkInode::create(FsKind fs, std::string_view target) {
  char *copy = static_cast<char *>(heapAlloc(std::max<size_t>(target.size(), 1)));
  if (!copy)
    return Errno::NoMem;
  memcpy(copy, target.data(), target.size());
  auto *inode = new (std::nothrow) SymlinkInode(fs, copy, target.size());
  if (!inode) {
    heapFree(copy);
    return Errno::NoMem;
  }
  return Ref<Inode>(Ref<SymlinkInode>::adopt(inode));
}
SymlinkInode::~SymlinkInode() { heapFree(text); }

Result<size_t> SymlinkInode::readLink(std::span<char> out) {
  size_t n = std::min(out.size(), length);
  memcpy(out.data(), text, n);
  return n;
}

} // namespace osv

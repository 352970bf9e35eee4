// SPDX-License-Identifier: BSD-3-Clause
//
// Unpacks a `newc` cpio archive (magic 070701, 070702 with a checksum that is not looked at) into the tree. File
// contents stay where they are in the image; only names and attributes are copied. Hard links are entries with the same
// inode number; the contents come with the last of them.
#include "kernel/fs/Vfs.h"
#include "kernel/mm/Heap.h"
#include <cstring>

namespace osv {
namespace {

constexpr size_t kHeaderSize = 110;

/// One entry's header: 13 fields of 8 hexadecimal digits after the magic.
struct Header {
  uint32_t inode, mode, uid, gid, links, mtime, size, devMajor, devMinor, rdevMajor, rdevMinor, nameSize;

  static bool parse(const uint8_t *p, Header &h) {
    uint32_t v[13];
    if (memcmp(p, "070701", 6) != 0 && memcmp(p, "070702", 6) != 0)
      return false;
    p += 6;
    for (uint32_t &field : v) {
      field = 0;
      for (int i = 0; i < 8; i++, p++) {
        unsigned digit = *p - '0';
        if (digit > 9) {
          digit = (*p | 32) - 'a' + 10u;
          if (digit < 10 || digit > 15)
            return false;
        }
        field = field << 4 | digit;
      }
    }
    h = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11]};
    return true;
  }
};

/// The inodes of hard-linked files seen so far: few, so a list.
struct LinkGroup {
  uint32_t inode, devMajor, devMinor;
  Ref<Dentry> entry;
  LinkGroup *next;
};

class Unpacker {
public:
  explicit Unpacker(Dentry &root) : root(root) {}
  ~Unpacker() {
    while (LinkGroup *g = groups) {
      groups = g->next;
      delete g;
    }
  }
  Result<void> add(const Header &h, std::string_view path, const char *data);

private:
  Result<Ref<Inode>> makeInode(const Header &h, const char *data);
  LinkGroup *findGroup(const Header &h) {
    for (LinkGroup *g = groups; g; g = g->next)
      if (g->inode == h.inode && g->devMajor == h.devMajor && g->devMinor == h.devMinor)
        return g;
    return nullptr;
  }
  Dentry &root;
  LinkGroup *groups = nullptr;
};

Result<Ref<Inode>> Unpacker::makeInode(const Header &h, const char *data) {
  uint32_t permissions = h.mode & 07777;
  uint64_t device = encodeDevice(h.rdevMajor, h.rdevMinor);
  switch (h.mode & S_IFMT) {
  case S_IFREG: {
    auto bytes = Ref<FileData>::adopt(TRY(make<FileData>(data, h.size)));
    return Ref<Inode>(Ref<RegularInode>::adopt(TRY(make<RegularInode>(FsKind::Root, permissions, std::move(bytes)))));
  }
  case S_IFLNK:
    return SymlinkInode::create(FsKind::Root, {data, h.size});
  case S_IFIFO:
    return Ref<Inode>(Ref<FifoInode>::adopt(TRY(make<FifoInode>(FsKind::Root, permissions))));
  case S_IFCHR:
  case S_IFBLK:
  case S_IFSOCK:
    return Ref<Inode>(
        Ref<SpecialInode>::adopt(TRY(make<SpecialInode>(FsKind::Root, (h.mode & S_IFMT) | permissions, device))));
  default:
    return Errno::Inval;
  }
}

Result<void> Unpacker::add(const Header &h, std::string_view path, const char *data) {
  while (!path.empty() && path.back() == '/')
    path.remove_suffix(1);
  size_t cut = path.rfind('/');
  std::string_view name = cut == std::string_view::npos ? path : path.substr(cut + 1);
  auto setAttributes = [&](Inode &inode) {
    inode.mode = h.mode;
    inode.uid = h.uid;
    inode.gid = h.gid;
    inode.accessTime = inode.modifyTime = inode.changeTime = Nanos{h.mtime} * 1'000'000'000;
  };
  if (name.empty() || name == ".") {
    if ((h.mode & S_IFMT) == S_IFDIR)
      setAttributes(*root.inode);
    return {};
  }
  if (name.size() > 255)
    return Errno::Inval;
  Ref<Dentry> dir = TRY(
      ensureDirectories(root, cut == std::string_view::npos ? std::string_view{} : path.substr(0, cut), FsKind::Root));
  Directory *holder = dir->inode->asDirectory();
  if (!holder)
    return Errno::Inval;
  if (Dentry *existing = holder->find(name)) {
    bool bothDirectories = existing->inode->isDirectory() && (h.mode & S_IFMT) == S_IFDIR;
    if (bothDirectories)
      setAttributes(*existing->inode);
    return bothDirectories ? Result<void>() : Result<void>(Errno::Inval);
  }
  if ((h.mode & S_IFMT) == S_IFDIR) {
    Ref<Dentry> made = TRY(addDirectory(*dir, name, FsKind::Root, h.mode & 07777));
    setAttributes(*made->inode);
    return {};
  }
  bool grouped = h.links > 1 && (h.mode & S_IFMT) == S_IFREG;
  LinkGroup *group = grouped ? findGroup(h) : nullptr;
  if (group && h.size == 0) {
    TRY(addEntry(*dir, name, group->entry->inode));
    group->entry->inode->links++;
    return {};
  }
  Ref<Inode> inode = TRY(makeInode(h, data));
  setAttributes(*inode);
  Ref<Dentry> made = TRY(addEntry(*dir, name, inode));
  if (!group && grouped) {
    auto *g = TRY(make<LinkGroup>());
    *g = {h.inode, h.devMajor, h.devMinor, made, groups};
    groups = g;
  } else if (group) { // the contents come now: the earlier names get them too
    // Every earlier name holds the group's empty inode; give that one the contents.
    auto &first = static_cast<RegularInode &>(*group->entry->inode);
    TRY(first.adoptContents(static_cast<RegularInode &>(*inode)));
    made->inode = group->entry->inode;
    first.links++;
  }
  return {};
}

} // namespace

Result<void> unpackCpio(Dentry &root, std::span<const uint8_t> archive) {
  Unpacker unpacker(root);
  size_t at = 0;
  while (at < archive.size()) {
    if (archive.size() - at < kHeaderSize)
      return Errno::Inval;
    Header h;
    if (!Header::parse(archive.data() + at, h))
      return Errno::Inval;
    uint64_t nameEnd = at + kHeaderSize + uint64_t{h.nameSize};
    uint64_t dataStart = roundUp(nameEnd, 4), dataEnd = dataStart + h.size;
    if (h.nameSize < 1 || nameEnd > archive.size() || dataEnd > archive.size())
      return Errno::Inval;
    std::string_view name(reinterpret_cast<const char *>(archive.data()) + at + kHeaderSize, h.nameSize - 1);
    if (name == "TRAILER!!!")
      return {};
    while (name.starts_with('/') || name.starts_with("./"))
      name.remove_prefix(1);
    TRY(unpacker.add(h, name, reinterpret_cast<const char *>(archive.data()) + dataStart));
    at = roundUp(dataEnd, 4);
  }
  return archive.empty() ? Result<void>() : Result<void>(Errno::Inval); // no trailer: truncated
}

} // namespace osv

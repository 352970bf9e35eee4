// SPDX-License-Identifier: BSD-3-Clause
//
// What names lead to. An `Inode` is a thing with attributes (file, directory, symbolic link, device, fifo, generated
// file); a `Dentry` is a name in a directory, and as in Linux's tmpfs the dentries *are* the directory. A dentry keeps
// its parent alive, so that the path of an open or current directory can be told even after it was removed.
//
// Locks: the tree (parents, names, directory contents, link counts) is guarded by Vfs::treeLock, shared to look up,
// exclusive to change. Attributes are single words changed by whoever may; times and modes tolerate racing writers as
// in Linux.
#pragma once
#include "kernel/fs/File.h"
#include "kernel/fs/FileData.h"
#include "kernel/fs/Mode.h"
#include "kernel/lib/Types.h"
#include <boost/intrusive/set.hpp>
#include <string_view>

struct statx;

namespace osv {

class Pipe;
class LockList;

/// Linux's dev_t as user space sees it.
constexpr uint64_t encodeDevice(unsigned major, unsigned minor) {
  return (minor & 0xff) | (uint64_t{major} << 8) | (uint64_t{minor & ~0xffu} << 12);
}

/// Which file system an inode belongs to: st_dev, statfs and "may a link cross".
enum class FsKind : uint8_t { Root, Dev, Proc, Sys, Shm, Memfd };

struct DirectoryEntry {
  char name[256];
  size_t nameLength;
  uint64_t inode;
  uint8_t type; ///< DT_*
};

class Inode : public RefCounted {
public:
  Inode(FsKind fs, uint32_t mode);
  virtual ~Inode();
  Inode(const Inode &) = delete;

  const uint64_t number;
  const FsKind fs;
  std::atomic<uint32_t> mode; ///< type and permissions
  std::atomic<uint32_t> links{1};
  uint32_t uid = 0, gid = 0;
  uint64_t device = 0; ///< st_rdev
  Nanos accessTime, modifyTime, changeTime, birthTime;
  std::atomic<LockList *> locks{nullptr}; ///< flock and OFD locks (FileLocks.cpp)
  bool linkable = false;                  ///< O_TMPFILE: may get its first name although links is 0

  uint32_t type() const { return mode & S_IFMT; }
  bool isDirectory() const { return type() == S_IFDIR; }
  bool isSymlink() const { return type() == S_IFLNK; }
  bool isRegular() const { return type() == S_IFREG; }
  virtual uint64_t size() { return 0; }
  virtual uint64_t blocks() { return 0; } ///< of 512 bytes
  void fillStat(struct stat &out);
  void touchModified();

  /// A new open description; `flags` are open's. The caller fills in dentry and flags.
  virtual Result<Ref<File>> open(int flags) { return Errno::NxIo; }
  virtual Result<void> truncate(uint64_t size) { return Errno::Inval; }

  // ---- directories; treeLock held shared
  /// Null when there is no such name.
  virtual Result<Ref<Dentry>> lookup(Dentry &self, std::string_view name) { return Errno::NotDir; }
  /// The first entry at or after *cookie (2 is the first); advances *cookie beyond it. False at the end.
  virtual bool nextEntry(uint64_t *cookie, DirectoryEntry &out) { return false; }
  virtual class Directory *asDirectory() { return nullptr; } ///< only where names can be made

  // ---- symbolic links
  virtual Result<size_t> readLink(std::span<char> out) { return Errno::Inval; }
  /// A link that leads to an object, not to a path (/proc/self/fd/N): one of `*place` and `*file` is set. False: an
  /// ordinary link.
  virtual Result<bool> follow(Ref<Dentry> *place, Ref<File> *file) { return false; }
};

class Dentry : public RefCounted {
public:
  /// `name` is copied. ENOMEM.
  static Result<Ref<Dentry>> create(Ref<Dentry> parent, std::string_view name, Ref<Inode> inode);
  ~Dentry();
  std::string_view name() const { return {text, length}; }

  Ref<Dentry> parent; ///< null: the root
  Ref<Inode> inode;
  bool linked = false; ///< is in its directory (always true for generated entries); false: deleted
  uint64_t cookie = 0;
  boost::intrusive::set_member_hook<> nameHook, cookieHook;

  /// Renaming: takes over the other's name storage. treeLock exclusive.
  void swapName(Dentry &o) {
    std::swap(text, o.text);
    std::swap(length, o.length);
  }

private:
  Dentry() = default;
  char *text = nullptr;
  size_t length = 0;
};

/// A directory that holds its entries.
class Directory : public Inode {
public:
  Directory(FsKind fs, uint32_t permissions);
  ~Directory() override;
  Directory *asDirectory() override { return this; }
  Result<Ref<Dentry>> lookup(Dentry &self, std::string_view name) override;
  bool nextEntry(uint64_t *cookie, DirectoryEntry &out) override;
  uint64_t size() override { return 40 + 20 * count; }
  Result<Ref<File>> open(int flags) override;
  bool empty() const { return count == 0; }
  /// Takes the entry in; the name is not there yet. treeLock exclusive.
  void insert(Dentry &entry);
  /// Takes it out and marks it deleted. The caller holds a reference.
  void remove(Dentry &entry);
  Dentry *find(std::string_view name);

private:
  struct ByName {
    using type = std::string_view;
    std::string_view operator()(const Dentry &d) const { return d.name(); }
  };
  struct ByCookie {
    using type = uint64_t;
    uint64_t operator()(const Dentry &d) const { return d.cookie; }
  };
  boost::intrusive::set<Dentry,
                        boost::intrusive::member_hook<Dentry, boost::intrusive::set_member_hook<>, &Dentry::nameHook>,
                        boost::intrusive::key_of_value<ByName>, boost::intrusive::constant_time_size<false>>
      byName;
  boost::intrusive::set<Dentry,
                        boost::intrusive::member_hook<Dentry, boost::intrusive::set_member_hook<>, &Dentry::cookieHook>,
                        boost::intrusive::key_of_value<ByCookie>, boost::intrusive::constant_time_size<false>>
      byCookie;
  uint64_t nextCookie = 2;
  size_t count = 0;
};

/// A regular in-memory file.
class RegularInode : public Inode {
public:
  RegularInode(FsKind fs, uint32_t permissions, Ref<FileData> data)
      : Inode(fs, S_IFREG | permissions), data(std::move(data)) {}
  uint64_t size() override { return data->size(); }
  uint64_t blocks() override { return data->allocatedPages() * 8; }
  Result<Ref<File>> open(int flags) override;
  Result<void> truncate(uint64_t size) override;
  /// Takes over the contents of `o`, which nobody has open (hard links in the archive). EINVAL when this one has
  /// contents already.
  Result<void> adoptContents(RegularInode &o) {
    if (size())
      return Errno::Inval;
    data = o.data;
    return {};
  }
  Ref<FileData> data; ///< does not change once the tree is in use
};

class SymlinkInode : public Inode {
public:
  /// `target` is copied. ENOMEM.
  static Result<Ref<Inode>> create(FsKind fs, std::string_view target);
  ~SymlinkInode() override;
  uint64_t size() override { return length; }
  Result<size_t> readLink(std::span<char> out) override;

private:
  SymlinkInode(FsKind fs, char *text, size_t length) : Inode(fs, S_IFLNK | 0777), text(text), length(length) {}
  char *text;
  size_t length;
};

/// A fifo made by mknod; the pipe exists while somebody has it open.
class FifoInode : public Inode {
public:
  FifoInode(FsKind fs, uint32_t permissions) : Inode(fs, S_IFIFO | permissions) {}
  ~FifoInode() override;
  Result<Ref<File>> open(int flags) override;

private:
  Mutex lock;
  Pipe *pipe = nullptr; ///< owns a reference while open descriptions exist
};

/// An inode that can be looked at but not opened (a socket's name, a device nobody drives): ENXIO.
class SpecialInode : public Inode {
public:
  SpecialInode(FsKind fs, uint32_t mode, uint64_t rdev) : Inode(fs, mode) { device = rdev; }
};

/// A character device: `make` opens it.
class DeviceInode : public Inode {
public:
  using Open = Result<Ref<File>> (*)(int flags);
  DeviceInode(FsKind fs, uint32_t permissions, unsigned major, unsigned minor, Open make)
      : Inode(fs, S_IFCHR | permissions), make(make) {
    device = encodeDevice(major, minor);
  }
  Result<Ref<File>> open(int flags) override { return make(flags); }

private:
  Open make;
};

} // namespace osv

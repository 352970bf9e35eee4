// SPDX-License-Identifier: BSD-3-Clause
//
// Names: the in-memory root file system (from the image's cpio archive), /proc, /dev, /sys bits that programs read,
// path lookup, and the operations that change the tree. All take kernel strings; user pointers stay in syscalls/. The
// tree lock is never held while program memory is touched.
#pragma once
#include "abi/Image.h"
#include "kernel/fs/File.h"
#include "kernel/fs/Inode.h"
#include <string_view>

namespace osv {

/// Root, working directory and umask of a process.
class FsContext {
public:
  FsContext(Ref<Dentry> root) : rootDir(root), workDir(root) {}
  Ref<Dentry> root();
  Ref<Dentry> cwd();
  void setCwd(Ref<Dentry> d);
  void setRoot(Ref<Dentry> d);
  std::atomic<uint32_t> umask{022};

private:
  SpinLock lock;
  Ref<Dentry> rootDir, workDir;
};

/// Builds the root: the archive's tree, /dev (null zero full random urandom tty console stdin..., shm), /proc, /sys,
/// /tmp, /etc defaults when missing. ENOMEM, EINVAL (bad archive).
Result<void> initVfs(const abi::ImageHeader &image);
Result<FsContext *> createFsContext();
/// The console as an open file: descriptor 0, 1 or 2 (stdin/stdout/stderr).
Result<Ref<File>> openConsole(int which);

// ---- the tree

struct TreeReadGuard {
  TreeReadGuard();
  ~TreeReadGuard();
};
struct TreeWriteGuard {
  TreeWriteGuard();
  ~TreeWriteGuard();
};

Ref<Dentry> rootDentry();
/// The path from the root, with " (deleted)" where Linux has it; truncated to `out`. Takes the tree lock.
size_t pathOf(Dentry &d, std::span<char> out);
/// As above for callers that hold the tree lock; `deletedSuffix` as for getcwd (no).
size_t pathOfLocked(Dentry &d, std::span<char> out, bool deletedSuffix);

/// What a path led to.
struct Place {
  Ref<Dentry> parent; ///< directory of the last component
  Ref<Dentry> entry;  ///< null: there is no such name in `parent`
  Ref<File> file;     ///< instead of entry: a magic link to something without a name
  enum class Last : uint8_t { Normal, Dot, DotDot, Root } last = Last::Root;
  bool trailingSlash = false;
  size_t nameLength = 0;
  char name[256];
  std::string_view lastName() const { return {name, nameLength}; }
};

enum WalkFlags : unsigned {
  kFollow = 1,       ///< follow a symbolic link in the last component
  kMayBeMissing = 2, ///< a missing last component is not an error
  kNoMagic = 4,      ///< RESOLVE_NO_MAGICLINKS
  kNoSymlinks = 8,   ///< RESOLVE_NO_SYMLINKS
  kBeneath = 16,     ///< RESOLVE_BENEATH
  kInRoot = 32,      ///< RESOLVE_IN_ROOT: `start` is the root
  kParent =
      64, ///< the last component is only looked up: never followed, not checked for its trailing slash, may be missing
};

/// Follows `path` from `start` (absolute paths from the context's root). ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EXDEV,
/// ENOMEM. Tree lock held.
Result<void> walkLocked(FsContext &fs, Ref<Dentry> start, std::string_view path, unsigned how, Place &out);
/// The same with the lock taken shared.
Result<void> walk(FsContext &fs, Ref<Dentry> start, std::string_view path, unsigned how, Place &out);

/// open(2): `flags` as the program gave them. `how`: further WalkFlags.
Result<Ref<File>> openPath(FsContext &fs, Ref<Dentry> start, std::string_view path, int flags, uint32_t mode,
                           unsigned how = 0);
/// Opens what a walk found (exists).
Result<Ref<File>> openPlace(Place &place, int flags);

Result<void> makeNode(FsContext &fs, Ref<Dentry> start, std::string_view path, uint32_t mode, uint64_t device);
Result<void> makeDirectory(FsContext &fs, Ref<Dentry> start, std::string_view path, uint32_t mode);
Result<void> makeSymlink(FsContext &fs, Ref<Dentry> start, std::string_view path, std::string_view target);
/// A further name for an inode (hard link).
Result<void> makeLink(FsContext &fs, Ref<Dentry> start, std::string_view path, Ref<Inode> inode);
Result<void> removeName(FsContext &fs, Ref<Dentry> start, std::string_view path);
Result<void> removeDirectory(FsContext &fs, Ref<Dentry> start, std::string_view path);
/// `flags`: RENAME_NOREPLACE, RENAME_EXCHANGE.
Result<void> renamePath(FsContext &fs, Ref<Dentry> from, std::string_view oldPath, Ref<Dentry> to,
                        std::string_view newPath, unsigned flags);
/// An unnamed regular file (memfd_create, O_TMPFILE); shown as `name`.
Result<Ref<File>> openUnnamed(FsKind kind, Ref<Dentry> parent, std::string_view name, uint32_t mode, int flags);
void fillStatfs(FsKind kind, struct statfs &out);

// ---- building blocks for dev, proc and sys

/// Enters `inode` as `name` into directory `dir`; no lock needed while booting.
Result<Ref<Dentry>> addEntry(Dentry &dir, std::string_view name, Ref<Inode> inode);
Result<Ref<Dentry>> addDirectory(Dentry &dir, std::string_view name, FsKind kind, uint32_t permissions);
Result<void> addSymlink(Dentry &dir, std::string_view name, FsKind kind, std::string_view target);
/// Finds or makes the directories of `path` below `dir`.
Result<Ref<Dentry>> ensureDirectories(Dentry &dir, std::string_view path, FsKind kind);
Result<Ref<File>> openDirectoryFile();

Result<void> populateDev(Dentry &dev);
Result<void> populateProc(Dentry &proc);
Result<void> populateSys(Dentry &sys);
Result<void> populateDefaults(Dentry &root);
/// Unpacks the archive. EINVAL when it is malformed.
Result<void> unpackCpio(Dentry &root, std::span<const uint8_t> archive) __asm__("osv_unpack_cpio");

} // namespace osv

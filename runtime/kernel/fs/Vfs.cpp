// SPDX-License-Identifier: BSD-3-Clause
//
// The tree's root and lock, and path lookup. The rules are Linux's (path_resolution(7)): at most 40 symbolic links,
// ".." stays at the root, a trailing slash means "must be a directory" and follows a final link, names of at most 255
// bytes.
#include "kernel/fs/Vfs.h"
#include "kernel/lib/Log.h"
#include "kernel/mm/Heap.h"
#include <algorithm>
#include <cstring>

/// Made by osv-rewrite for each image: unpackCpio, or null when there is nothing to unpack, so that the linker drops
/// it.
extern "C" osv::Result<void> (*const osv_unpack_rootfs)(osv::Dentry &, std::span<const uint8_t>);

namespace osv {
namespace {

struct Vfs {
  RwMutex treeLock;
  Ref<Dentry> root;
};
/// Made by initVfs; the runtime has no dynamic initialisers.
constinit Vfs *vfs = nullptr;

constexpr size_t kNameMax = 255;
constexpr unsigned kMaxLinks = 40;
constexpr size_t kLinkMax = 4096;

/// The text that is still to be walked; a followed link puts its target in front of it.
class Remaining {
public:
  explicit Remaining(std::string_view path) : text(path) {}
  ~Remaining() {
    if (owned)
      heapFree(owned);
  }
  std::string_view text;

  Result<void> prepend(Inode &link) {
    char *buffer = static_cast<char *>(heapAlloc(kLinkMax + 1 + text.size()));
    if (!buffer)
      return Errno::NoMem;
    auto n = link.readLink({buffer, kLinkMax});
    if (!n) {
      heapFree(buffer);
      return n.error();
    }
    memcpy(buffer + *n, text.data(), text.size()); // text is empty or begins with '/'
    size_t total = *n + text.size();
    if (owned)
      heapFree(owned);
    owned = buffer;
    text = {buffer, total};
    return {};
  }

private:
  char *owned = nullptr;
};

} // namespace

TreeReadGuard::TreeReadGuard() { vfs->treeLock.lockShared(); }
TreeReadGuard::~TreeReadGuard() { vfs->treeLock.unlockShared(); }
TreeWriteGuard::TreeWriteGuard() { vfs->treeLock.lock(); }
TreeWriteGuard::~TreeWriteGuard() { vfs->treeLock.unlock(); }

Ref<Dentry> rootDentry() { return vfs->root; }

Ref<Dentry> FsContext::root() {
  SpinGuard g(lock);
  return rootDir;
}
Ref<Dentry> FsContext::cwd() {
  SpinGuard g(lock);
  return workDir;
}
void FsContext::setCwd(Ref<Dentry> d) {
  SpinGuard g(lock);
  std::swap(workDir, d);
}
void FsContext::setRoot(Ref<Dentry> d) {
  SpinGuard g(lock);
  std::swap(rootDir, d);
}

size_t pathOfLocked(Dentry &d, std::span<char> out, bool deletedSuffix) {
  // Measured first, then written from the end, so that a path that is too long loses its tail.
  size_t length = 0;
  bool deleted = false;
  for (Dentry *at = &d; at->parent; at = at->parent.get()) {
    length += 1 + at->name().size();
    deleted |= !at->linked;
  }
  size_t end = length;
  for (Dentry *at = &d; at->parent; at = at->parent.get()) {
    end -= 1 + at->name().size();
    if (end >= out.size())
      continue;
    out[end] = '/';
    at->name().copy(out.data() + end + 1, out.size() - end - 1);
  }
  if (length == 0 && !out.empty()) {
    out[0] = '/';
    length = 1;
  }
  if (deleted && deletedSuffix) {
    static constexpr std::string_view kSuffix = " (deleted)";
    if (length < out.size())
      kSuffix.copy(out.data() + length, out.size() - length);
    length += kSuffix.size();
  }
  return std::min(length, out.size());
}

size_t pathOf(Dentry &d, std::span<char> out) {
  TreeReadGuard tree;
  return pathOfLocked(d, out, true);
}

Result<void> walkLocked(FsContext &fs, Ref<Dentry> start, std::string_view path, unsigned how, Place &out) {
  if (path.empty())
    return Errno::NoEnt;
  Ref<Dentry> root = how & (kInRoot | kBeneath) ? start : fs.root();
  Ref<Dentry> at = start;
  Remaining rest(path);
  unsigned links = 0;
  out.last = Place::Last::Root;
  out.trailingSlash = false;
  out.nameLength = 0;
  out.parent = {};
  out.file = {};
  auto skipSlashes = [&] {
    size_t n = std::min(rest.text.find_first_not_of('/'), rest.text.size());
    rest.text.remove_prefix(n);
    return n != 0;
  };
  if (rest.text[0] == '/') {
    if (how & kBeneath)
      return Errno::XDev;
    at = root;
    skipSlashes();
  }
  while (!rest.text.empty()) {
    size_t length = std::min(rest.text.find('/'), rest.text.size());
    std::string_view name = rest.text.substr(0, length);
    if (length > kNameMax)
      return Errno::NameTooLong;
    if (!at->inode->isDirectory())
      return Errno::NotDir;
    memcpy(out.name, name.data(), length); // survives `rest`
    name = {out.name, length};
    out.nameLength = length;
    rest.text.remove_prefix(length);
    // Whether this is the last component, without losing the slashes that a link's target needs in front of the rest.
    bool last = rest.text.find_first_not_of('/') == std::string_view::npos;
    bool slash = !rest.text.empty();
    out.trailingSlash = last && slash;
    out.parent = at;
    if (name == ".") {
      out.last = Place::Last::Dot;
      skipSlashes();
      continue;
    }
    if (name == "..") {
      out.last = Place::Last::DotDot;
      if (at == root && (how & kBeneath))
        return Errno::XDev;
      if (at != root && at->parent)
        at = at->parent;
      skipSlashes();
      continue;
    }
    out.last = Place::Last::Normal;
    Ref<Dentry> child = TRY(at->inode->lookup(*at, name));
    if (!child || (last && (how & kParent))) {
      if (!last || !(how & (kMayBeMissing | kParent)))
        return Errno::NoEnt;
      out.entry = std::move(child);
      return {};
    }
    if (child->inode->isSymlink() && (!last || slash || (how & kFollow))) {
      if (++links > kMaxLinks || (how & kNoSymlinks))
        return Errno::Loop;
      Ref<Dentry> place;
      Ref<File> file;
      if (TRY(child->inode->follow(&place, &file))) {
        if (how & (kNoMagic | kBeneath | kInRoot))
          return how & kNoMagic ? Errno::Loop : Errno::XDev;
        if (file) {
          if (slash)
            return Errno::NotDir;
          out.entry = {};
          out.file = std::move(file);
          return {};
        }
        at = std::move(place);
        skipSlashes();
        continue;
      }
      TRY(rest.prepend(*child->inode));
      if (rest.text.empty())
        return Errno::NoEnt;
      if (rest.text[0] == '/') {
        if (how & kBeneath)
          return Errno::XDev;
        at = root;
        out.last = Place::Last::Root;
        out.parent = {};
        skipSlashes();
      }
      continue;
    }
    at = std::move(child);
    skipSlashes();
  }
  if (out.trailingSlash && !(how & kParent) && !at->inode->isDirectory())
    return Errno::NotDir;
  out.entry = std::move(at);
  return {};
}

Result<void> walk(FsContext &fs, Ref<Dentry> start, std::string_view path, unsigned how, Place &out) {
  TreeReadGuard tree;
  return walkLocked(fs, std::move(start), path, how, out);
}

Result<Ref<Dentry>> addEntry(Dentry &dir, std::string_view name, Ref<Inode> inode) {
  Directory *holder = dir.inode->asDirectory();
  if (!holder)
    return Errno::NotDir;
  Ref<Dentry> entry = TRY(Dentry::create(Ref<Dentry>::share(&dir), name, std::move(inode)));
  holder->insert(*entry);
  if (entry->inode->isDirectory())
    holder->links++;
  return entry;
}

Result<Ref<Dentry>> addDirectory(Dentry &dir, std::string_view name, FsKind kind, uint32_t permissions) {
  auto *inode = TRY(make<Directory>(kind, permissions));
  return addEntry(dir, name, Ref<Inode>(Ref<Directory>::adopt(inode)));
}

Result<void> addSymlink(Dentry &dir, std::string_view name, FsKind kind, std::string_view target) {
  TRY(addEntry(dir, name, TRY(SymlinkInode::create(kind, target))));
  return {};
}

Result<Ref<Dentry>> ensureDirectories(Dentry &dir, std::string_view path, FsKind kind) {
  Ref<Dentry> at = Ref<Dentry>::share(&dir);
  while (!path.empty()) {
    size_t length = std::min(path.find('/'), path.size());
    std::string_view name = path.substr(0, length);
    path.remove_prefix(std::min(length + 1, path.size()));
    if (name.empty() || name == ".")
      continue;
    if (name == "..")
      return Errno::Inval;
    Ref<Dentry> child = TRY(at->inode->lookup(*at, name));
    at = child ? child : TRY(addDirectory(*at, name, kind, 0755));
  }
  return at;
}

Result<void> initVfs(const abi::ImageHeader &image) {
  VERIFY(!vfs);
  vfs = TRY(make<Vfs>());
  auto *top = TRY(make<Directory>(FsKind::Root, 0755));
  vfs->root = TRY(Dentry::create({}, {}, Ref<Inode>(Ref<Directory>::adopt(top))));
  vfs->root->linked = true;
  if (osv_unpack_rootfs)
    TRY(osv_unpack_rootfs(*vfs->root, {image.rootfs.begin(), image.rootfs.count}));
  return populateDefaults(*vfs->root);
}

Result<FsContext *> createFsContext() { return make<FsContext>(vfs->root); }

} // namespace osv

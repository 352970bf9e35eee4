// SPDX-License-Identifier: BSD-3-Clause
//
// What every root has, whatever the archive brought: the mount points with their generated contents, /tmp, and the few
// files of /etc that C libraries look at. What the archive has stays as it is.
#include "kernel/fs/Vfs.h"
#include "kernel/mm/Heap.h"

namespace osv {
namespace {

struct DefaultFile {
  std::string_view name, contents;
};
constexpr DefaultFile kEtc[] = {
    {"passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
    {"group", "root:x:0:\nnogroup:x:65534:\n"},
    {"hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"},
    {"resolv.conf", "nameserver 10.0.2.3\n"}, // QEMU's user network
    {"nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
    {"hostname", "osv\n"},
};

/// An empty directory of file system `kind` at `name`. What the archive may have there is hidden, as under any mount.
Result<Ref<Dentry>> mountPoint(Dentry &root, std::string_view name, FsKind kind, uint32_t permissions) {
  if (Ref<Dentry> there = TRY(root.inode->lookup(root, name))) {
    root.inode->asDirectory()->remove(*there);
    if (there->inode->isDirectory())
      root.inode->links--;
    there.leak(); // its contents stay, out of sight
  }
  return addDirectory(root, name, kind, permissions);
}

} // namespace

Result<void> populateDefaults(Dentry &root) {
  TRY(populateDev(*TRY(mountPoint(root, "dev", FsKind::Dev, 0755))));
  TRY(populateProc(*TRY(mountPoint(root, "proc", FsKind::Proc, 0555))));
  TRY(populateSys(*TRY(mountPoint(root, "sys", FsKind::Sys, 0555))));
  if (!TRY(root.inode->lookup(root, "tmp")))
    TRY(addDirectory(root, "tmp", FsKind::Root, 01777));
  Ref<Dentry> etc = TRY(root.inode->lookup(root, "etc"));
  if (!etc)
    etc = TRY(addDirectory(root, "etc", FsKind::Root, 0755));
  if (!etc->inode->asDirectory())
    return {};
  for (const DefaultFile &f : kEtc) {
    if (TRY(etc->inode->lookup(*etc, f.name)))
      continue;
    auto data = Ref<FileData>::adopt(TRY(make<FileData>(f.contents.data(), f.contents.size())));
    TRY(addEntry(*etc, f.name,
                 Ref<Inode>(Ref<RegularInode>::adopt(TRY(make<RegularInode>(FsKind::Root, 0644, std::move(data)))))));
  }
  return {};
}

} // namespace osv

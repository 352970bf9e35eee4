// SPDX-License-Identifier: BSD-3-Clause
//
// Open regular files and open directories.
#pragma once
#include "kernel/fs/Inode.h"

namespace osv {

class RegularFile : public File {
public:
  explicit RegularFile(Ref<RegularInode> inode) : node(std::move(inode)) {}
  Result<size_t> read(IoBuffer &io) override;
  Result<size_t> write(IoBuffer &io) override;
  Result<size_t> readAt(IoBuffer &io, uint64_t offset) override;
  Result<size_t> writeAt(IoBuffer &io, uint64_t offset) override;
  Result<uint64_t> seek(int64_t offset, int whence) override;
  Result<void> truncate(uint64_t size) override;
  Result<void> allocate(int mode, uint64_t offset, uint64_t len) override;
  Result<Ref<MemoryObject>> memoryObject() override;
  Result<long> ioctl(unsigned cmd, uint64_t arg) override;
  Result<void> sync() override { return {}; }
  bool canPoll() const override { return false; }
  bool seekable() const override { return true; }
  FileData &data() { return *node->data; }

private:
  Result<size_t> readFrom(IoBuffer &io, uint64_t offset);
  Ref<RegularInode> node;
};

class DirectoryFile : public File {
public:
  Result<size_t> read(IoBuffer &) override { return Errno::IsDir; }
  Result<size_t> readAt(IoBuffer &, uint64_t) override { return Errno::IsDir; }
  Result<size_t> write(IoBuffer &) override { return Errno::BadF; }
  Result<size_t> writeAt(IoBuffer &, uint64_t) override { return Errno::BadF; }
  Result<uint64_t> seek(int64_t offset, int whence) override;
  Result<size_t> readDirectory(IoBuffer &io) override;
  Result<size_t> readDirectory(IoBuffer &io, bool legacy); ///< legacy: getdents records
  Result<void> sync() override { return {}; }
  bool canPoll() const override { return false; }
};

} // namespace osv

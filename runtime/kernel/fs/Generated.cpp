// SPDX-License-Identifier: BSD-3-Clause
//
// Text, and the open-file side of generated files.
#include "kernel/fs/Generated.h"
#include "kernel/fs/Vfs.h"
#include "kernel/mm/Heap.h"
#include <algorithm>
#include <cstring>

namespace osv {

Text::~Text() {
  if (bytes)
    heapFree(bytes);
}

void Text::add(std::string_view s) {
  if (used + s.size() > capacity) {
    size_t wanted = std::max(capacity * 2, roundUp(used + s.size(), 512));
    auto *fresh = static_cast<char *>(heapAlloc(wanted));
    if (!fresh) {
      outOfMemory = true;
      return;
    }
    if (bytes) {
      memcpy(fresh, bytes, used);
      heapFree(bytes);
    }
    bytes = fresh;
    capacity = wanted;
  }
  if (!s.empty())
    memcpy(bytes + used, s.data(), s.size());
  used += s.size();
}

void Text::printArgs(std::string_view fmt, FormatArgs args) {
  char line[256];
  add({line, formatArgs(line, fmt, args)});
}

void Text::hex(uint64_t n, unsigned digits) {
  char text[16];
  unsigned count = 0;
  for (; n || count < digits; n >>= 4)
    text[15 - count++] = "0123456789abcdef"[n & 15];
  add({text + 16 - count, count});
}

void Text::decimal(uint64_t n, unsigned width, char fill) {
  char text[32];
  unsigned count = 0;
  do {
    text[31 - count++] = static_cast<char>('0' + n % 10);
    n /= 10;
  } while (n);
  for (; count < width && count < sizeof text; count++)
    text[31 - count] = fill;
  add({text + 32 - count, count});
}

void Text::pad(size_t column) {
  size_t lineStart = used;
  while (lineStart && bytes[lineStart - 1] != '\n')
    lineStart--;
  do
    add(' ');
  while (!outOfMemory && used - lineStart < column);
}

namespace {

class GeneratedFile : public File {
public:
  explicit GeneratedFile(Ref<GeneratedInode> node) : node(std::move(node)) {}

  Result<size_t> read(IoBuffer &io) override {
    MutexGuard g(posLock);
    size_t n = TRY(readLocked(io, position));
    position += n;
    return n;
  }
  Result<size_t> readAt(IoBuffer &io, uint64_t offset) override {
    MutexGuard g(posLock);
    return readLocked(io, offset);
  }
  Result<size_t> write(IoBuffer &io) override {
    if (!node->store)
      return Errno::Inval;
    char text[256];
    size_t total = io.remaining();
    size_t n = TRY(io.copyIn(text, sizeof text));
    TRY(node->store({text, n}, node->arg));
    return total;
  }
  Result<size_t> writeAt(IoBuffer &io, uint64_t) override { return write(io); }
  Result<uint64_t> seek(int64_t offset, int whence) override {
    MutexGuard g(posLock);
    if (whence == SEEK_CUR)
      offset += static_cast<int64_t>(position);
    else if (whence != SEEK_SET)
      return Errno::Inval;
    if (offset < 0)
      return Errno::Inval;
    return position = static_cast<uint64_t>(offset);
  }
  Result<void> sync() override { return Errno::Inval; }
  bool canPoll() const override { return false; }
  bool seekable() const override { return true; }

private:
  Result<size_t> readLocked(IoBuffer &io, uint64_t offset) {
    if (offset == 0 || !made) {
      text.clear();
      TRY(node->make(text, node->arg));
      if (text.failed())
        return Errno::NoMem;
      made = true;
    }
    std::string_view all = text.view();
    if (offset >= all.size())
      return size_t{0};
    return io.copyOut(all.data() + offset, std::min<size_t>(all.size() - offset, io.remaining()));
  }
  Ref<GeneratedInode> node;
  Text text;
  bool made = false;
};

} // namespace

Result<Ref<File>> GeneratedInode::open(int flags) {
  bool writes = (flags & O_ACCMODE) != O_RDONLY;
  if (writes && !store)
    return fs == FsKind::Sys ? Errno::Acces : Errno::Perm;
  auto *f = TRY(osv::make<GeneratedFile>(Ref<GeneratedInode>::share(this)));
  return Ref<File>(Ref<GeneratedFile>::adopt(f));
}

Result<Ref<File>> GeneratedDirectory::open(int) { return openDirectoryFile(); }

Result<void> addGenerated(Dentry &dir, FsKind kind, std::span<const GeneratedRow> rows, uint64_t arg) {
  for (const GeneratedRow &row : rows) {
    auto *inode = TRY(make<GeneratedInode>(kind, row.permissions, row.make, row.store, arg));
    TRY(addEntry(dir, row.name, Ref<Inode>(Ref<GeneratedInode>::adopt(inode))));
  }
  return {};
}

Result<Ref<Dentry>> transientEntry(Dentry &parent, std::string_view name, Ref<Inode> inode) {
  Ref<Dentry> d = TRY(Dentry::create(Ref<Dentry>::share(&parent), name, std::move(inode)));
  d->linked = true;
  return d;
}

int64_t parseDecimal(std::string_view text) {
  if (text.empty() || text.size() > 10 || (text.size() > 1 && text[0] == '0'))
    return -1;
  int64_t n = 0;
  for (char c : text) {
    if (c < '0' || c > '9')
      return -1;
    n = n * 10 + (c - '0');
  }
  return n <= INT32_MAX ? n : -1;
}

} // namespace osv

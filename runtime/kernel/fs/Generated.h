// SPDX-License-Identifier: BSD-3-Clause
//
// Files whose contents are made when they are read: /proc and /sys. As Linux's seq_file does, contents are made at the
// first read and again when a read begins at offset 0, so that one pass over a file sees one state.
#pragma once
#include "kernel/fs/Inode.h"
#include "kernel/lib/Log.h"

namespace osv {

/// A growing text on the heap. Running out of memory is remembered and reported by the reader.
class Text {
public:
  Text() = default;
  Text(const Text &) = delete;
  ~Text();
  void add(std::string_view s);
  void add(char c) { add(std::string_view(&c, 1)); }
  /// log()'s formats: {} and {x}.
  template <typename... Ts> [[gnu::always_inline]] void print(std::string_view fmt, const Ts &...ts) {
    printArgs(fmt, {FormatArg(ts)...});
  }
  void printArgs(std::string_view fmt, FormatArgs args);
  /// Plain hexadecimal, at least `digits` of them, filled with '0'.
  void hex(uint64_t n, unsigned digits = 1);
  /// Decimal, right-aligned in `width`.
  void decimal(uint64_t n, unsigned width, char fill = ' ');
  void pad(size_t column); ///< blanks up to `column` of the current line
  void clear() { used = 0; }
  std::string_view view() const { return {bytes, used}; }
  bool failed() const { return outOfMemory; }

private:
  char *bytes = nullptr;
  size_t used = 0, capacity = 0;
  bool outOfMemory = false;
};

/// A file with generated contents. `arg` is the maker's (a thread id, a descriptor).
class GeneratedInode : public Inode {
public:
  using Make = Result<void> (*)(Text &out, uint64_t arg);
  using Store = Result<void> (*)(std::string_view text, uint64_t arg);
  GeneratedInode(FsKind fs, uint32_t permissions, Make make, Store store = nullptr, uint64_t arg = 0)
      : Inode(fs, S_IFREG | permissions), make(make), store(store), arg(arg) {}
  uint64_t size() override { return fs == FsKind::Sys ? kPageSize : 0; }
  Result<Ref<File>> open(int flags) override;
  Result<void> truncate(uint64_t) override { return {}; }

  const Make make;
  const Store store;
  const uint64_t arg;
};

/// A directory whose entries are made when they are looked up.
class GeneratedDirectory : public Inode {
public:
  GeneratedDirectory(FsKind fs, uint32_t permissions) : Inode(fs, S_IFDIR | permissions) { links = 2; }
  Result<Ref<File>> open(int) override;
};

/// A link whose text is made when it is read, and that may lead straight to an object.
class GeneratedLink : public Inode {
public:
  GeneratedLink(FsKind fs) : Inode(fs, S_IFLNK | 0777) {}
};

/// Row of a table of generated files.
struct GeneratedRow {
  const char *name;
  uint32_t permissions;
  GeneratedInode::Make make;
  GeneratedInode::Store store = nullptr;
};
Result<void> addGenerated(Dentry &dir, FsKind kind, std::span<const GeneratedRow> rows, uint64_t arg = 0);
/// A dentry for an entry made on lookup; it is in no directory.
Result<Ref<Dentry>> transientEntry(Dentry &parent, std::string_view name, Ref<Inode> inode);
/// A decimal number without leading zeros, or -1.
int64_t parseDecimal(std::string_view text);

/// What /proc has of the process (ProcTask.cpp).
Result<void> populateProcess(Dentry &proc);

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Where finding code begins: what the file's own tables say about functions. Not for other stages than FindCode.
#pragma once
#include "rewriter/CodeMap.h"

namespace osv::analysis {

struct Roots {
  std::vector<Function> functions; ///< unsorted, may repeat
  std::vector<VAddr> strict;       ///< instructions that are certainly executed: entry, initialisers, landing pads
  std::vector<VAddr> pointers;     ///< values that relocations make pointers into executable segments
};

/// FDEs of .eh_frame with their landing pads.
void addEhFrame(const elf::Image &image, Roots &roots);
/// Go's function table, also in stripped files. Formats of Go 1.16 to 1.26.
void addGoTable(const elf::Image &image, Roots &roots);
/// Entry, symbols, initialiser arrays, relocations.
void addElfTables(const elf::Image &image, Roots &roots);

/// A reader of little-endian data that never leaves its bytes: past the end it returns 0 and `failed` stays set.
class ByteReader {
public:
  explicit ByteReader(llvm::ArrayRef<uint8_t> bytes, size_t at = 0) : bytes(bytes), at(at) {}
  uint64_t take(unsigned size);
  uint64_t uleb();
  int64_t sleb();
  llvm::StringRef string();
  void skip(uint64_t count) { seek(count > bytes.size() - at ? bytes.size() + 1 : at + count); }
  void seek(size_t to) {
    failed |= to > bytes.size();
    at = to > bytes.size() ? bytes.size() : to;
  }
  size_t position() const { return at; }
  bool atEnd() const { return at >= bytes.size(); }

  bool failed = false;

private:
  llvm::ArrayRef<uint8_t> bytes;
  size_t at;
};

} // namespace osv::analysis

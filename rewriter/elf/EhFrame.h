// SPDX-License-Identifier: BSD-3-Clause
//
// Reads .eh_frame (Linux Standard Base, "Exception Frames"): where functions are, how to unwind them, and where their
// LSDA is. Knows no call-frame instructions; patch/Unwind does.
#pragma once
#include "rewriter/elf/Image.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace osv::elf {

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

/// A pointer as .eh_frame encodes it; `here` is its own address. 0 when it is null or indirect.
uint64_t takeEncoded(ByteReader &reader, uint8_t encoding, VAddr here);

struct Cie {
  uint64_t codeAlign = 0, returnRegister = 0;
  int64_t dataAlign = 0;
  uint8_t version = 0;
  bool hasAugmentation = false, isSignalFrame = false;
  uint8_t pointerEncoding, lsdaEncoding; ///< DW_EH_PE_*
  llvm::ArrayRef<uint8_t> initial;       ///< call-frame instructions
};

struct Fde {
  AddrRange range; ///< not empty
  Cie cie;
  llvm::ArrayRef<uint8_t> program; ///< call-frame instructions
  VAddr lsda;                      ///< 0 when there is none
};

/// Calls `f` with each FDE in the order of the file. Without section headers PT_GNU_EH_FRAME leads to them. Damage ends
/// the reading; what is not understood is passed over.
void forEachFde(const Image &image, llvm::function_ref<void(const Fde &)> f);

} // namespace osv::elf

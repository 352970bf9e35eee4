// SPDX-License-Identifier: BSD-3-Clause
//
// Function bounds and landing pads from .eh_frame and .gcc_except_table (Linux Standard Base, "Exception Frames").
//
// Nearly every function of a static C, C++ or Rust program has an FDE, also in a stripped file, and a stripped file
// without section headers still has PT_GNU_EH_FRAME, which leads to .eh_frame.
#include "rewriter/elf/EhFrame.h"
#include "rewriter/analysis/Roots.h"
#include "llvm/BinaryFormat/Dwarf.h"

using namespace llvm;
using namespace llvm::dwarf;

namespace osv::analysis {

/// The landing pads of one function's LSDA.
static void addLandingPads(const elf::Image &image, VAddr lsda, AddrRange function, Roots &roots) {
  ArrayRef<uint8_t> bytes = image.bytesFrom(lsda);
  elf::ByteReader reader(bytes);
  uint8_t startEncoding = reader.take(1);
  uint64_t landingBase = function.begin.raw();
  if (startEncoding != DW_EH_PE_omit)
    landingBase = elf::takeEncoded(reader, startEncoding, lsda + reader.position());
  uint8_t typeEncoding = reader.take(1);
  if (typeEncoding != DW_EH_PE_omit)
    reader.uleb();
  uint8_t callEncoding = reader.take(1);
  uint64_t tableSize = reader.uleb();
  size_t end = reader.position() + tableSize;
  // Entries have at least four bytes, so a damaged size cannot keep us busy for longer than the file is.
  while (!reader.failed && tableSize <= bytes.size() && reader.position() < end) {
    uint8_t plain = callEncoding & 0x0f;
    elf::takeEncoded(reader, plain, VAddr());
    elf::takeEncoded(reader, plain, VAddr());
    uint64_t pad = elf::takeEncoded(reader, plain, VAddr());
    reader.uleb();
    if (pad && !reader.failed && function.contains(VAddr(landingBase + pad)))
      roots.strict.push_back(VAddr(landingBase + pad));
  }
}

void addEhFrame(const elf::Image &image, Roots &roots) {
  elf::forEachFde(image, [&](const elf::Fde &fde) {
    VAddr begin = fde.range.begin;
    uint64_t size = fde.range.size();
    if (!image.isExecutable(begin) || !image.isExecutable(fde.range.end - 1))
      return;
    // Old unwinders look up the byte before a return address even where nothing was called, so glibc's FDE of the code
    // that signal handlers return to begins in the padding before it.
    static constexpr uint8_t kSigReturn[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05}; // mov $15, %rax; syscall
    if (fde.cie.isSignalFrame && size > 1 &&
        image.bytesFrom(begin + 1).take_front(sizeof kSigReturn) == ArrayRef(kSigReturn)) {
      begin = begin + 1;
      size--;
    }
    AddrRange range{begin, begin + size};
    roots.functions.push_back({range, {}, FunctionSource::Fde});
    if (fde.lsda.raw())
      addLandingPads(image, fde.lsda, range, roots);
  });
}

} // namespace osv::analysis

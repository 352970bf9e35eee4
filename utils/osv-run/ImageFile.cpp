// SPDX-License-Identifier: BSD-3-Clause
//
// Looks at the program headers only: all loaded bytes are there, and a note names the PVH entry. 32-bit files count
// too: a guest of another origin (test/Inputs/stub-guest.c) is welcome.
#include "ImageFile.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Object/ELF.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace llvm;
using namespace llvm::object;
namespace osv::run {

namespace {
constexpr uint32_t kPvhEntry = 18; ///< XEN_ELFNOTE_PHYS32_ENTRY

template <typename ELFT> bool isPvhNote(const typename ELFT::Note &note) {
  return note.getType() == kPvhEntry && note.getName() == "Xen";
}

/// Bytes of an -m: a number with K, M (also without a letter), G or T. Other forms: nothing is too much.
uint64_t memorySize(StringRef text) {
  uint64_t number;
  if (text.consumeInteger(10, number) || text.size() > 1)
    return ~0ull;
  unsigned shift =
      StringSwitch<unsigned>(text.lower()).Case("k", 10).Cases("", "m", 20).Case("g", 30).Case("t", 40).Default(64);
  return shift == 64 || number > ~0ull >> shift ? ~0ull : number << shift;
}

template <typename ELFT> Error checkElf(StringRef bytes, uint64_t &loadedEnd) {
  Expected<ELFFile<ELFT>> file = ELFFile<ELFT>::create(bytes);
  if (!file)
    return file.takeError();
  auto headers = file->program_headers();
  if (!headers)
    return headers.takeError();
  bool bootable = false;
  for (const auto &header : *headers) {
    uint64_t offset = header.p_offset, size = header.p_filesz;
    if (offset > bytes.size() || size > bytes.size() - offset)
      return createStringError("the file is cut off: " + Twine(bytes.size()) + " bytes are there, a segment ends at " +
                               Twine(offset + size));
    if (header.p_type == ELF::PT_LOAD)
      loadedEnd = std::max(loadedEnd, uint64_t(header.p_paddr) + header.p_memsz);
    if (header.p_type != ELF::PT_NOTE)
      continue;
    Error damage = Error::success();
    for (const auto &note : file->notes(header, damage))
      bootable |= isPvhNote<ELFT>(note);
    if (damage)
      return damage;
  }
  if (!bootable)
    return createStringError("no PVH entry; osv-rewrite makes an image of a program");
  return Error::success();
}
} // namespace

Error checkImage(const std::string &path, StringRef memory) {
  if (sys::fs::is_directory(path))
    return createStringError("cannot read '" + path + "': Is a directory");
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return createStringError("cannot read '" + path + "': " + buffer.getError().message());
  StringRef bytes = (*buffer)->getBuffer();
  bool narrow = bytes.size() > ELF::EI_CLASS && bytes[ELF::EI_CLASS] == ELF::ELFCLASS32;
  uint64_t loadedEnd = 0;
  Error wrong = !bytes.starts_with(ELF::ElfMagic) ? createStringError("no ELF file; osv-rewrite makes images")
                : narrow                          ? checkElf<ELF32LE>(bytes, loadedEnd)
                                                  : checkElf<ELF64LE>(bytes, loadedEnd);
  if (wrong)
    return createStringError("'" + path + "' is not an image: " + toString(std::move(wrong)));
  if (uint64_t size = memorySize(memory); loadedEnd > size)
    return createStringError("'" + path + "' takes the first " + Twine((loadedEnd >> 20) + 1) +
                             " MiB of memory, and -m gives " + Twine(size >> 20));
  return Error::success();
}

} // namespace osv::run

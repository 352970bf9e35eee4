// SPDX-License-Identifier: BSD-3-Clause
//
// Looks at the program headers only: all loaded bytes are there, and a note names the PVH entry. 32-bit files count
// too: a guest of another origin (test/Inputs/stub-guest.c) is welcome.
#include "ImageFile.h"
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

template <typename ELFT> Error checkElf(StringRef bytes) {
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

Error checkImage(const std::string &path) {
  if (sys::fs::is_directory(path))
    return createStringError("cannot read '" + path + "': Is a directory");
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return createStringError("cannot read '" + path + "': " + buffer.getError().message());
  StringRef bytes = (*buffer)->getBuffer();
  bool narrow = bytes.size() > ELF::EI_CLASS && bytes[ELF::EI_CLASS] == ELF::ELFCLASS32;
  Error wrong = !bytes.starts_with(ELF::ElfMagic) ? createStringError("no ELF file; osv-rewrite makes images")
                : narrow                          ? checkElf<ELF32LE>(bytes)
                                                  : checkElf<ELF64LE>(bytes);
  if (wrong)
    return createStringError("'" + path + "' is not an image: " + toString(std::move(wrong)));
  return Error::success();
}

} // namespace osv::run

// SPDX-License-Identifier: BSD-3-Clause
//
// Dynamic section, relocations, notes, sections and symbols of the input. See Reader.cpp for the attitude.
#include "rewriter/elf/Tables.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Object/ELFTypes.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"
#include <map>

using namespace llvm;
using namespace llvm::ELF;
using object::ELF64LE;
using support::endian::read32le;
using support::endian::read64le;

namespace osv::elf {

namespace {

/// The dynamic tags that occur once and that we use.
using TagMap = std::map<uint64_t, uint64_t>;

uint64_t tagOr0(const TagMap &tags, uint64_t tag) {
  auto it = tags.find(tag);
  return it == tags.end() ? 0 : it->second;
}

Error badDynamic(const Twine &what) { return findingError(DiagId::BadDynamic, "dynamic section: " + what); }

/// The bytes of a table that a pair of tags describes; empty when absent.
Expected<ArrayRef<uint8_t>> dynamicTable(const Image &image, const TagMap &tags, uint64_t addrTag, uint64_t sizeTag,
                                         const char *name) {
  uint64_t size = tagOr0(tags, sizeTag);
  if (!tags.count(addrTag) || size == 0)
    return ArrayRef<uint8_t>();
  VAddr addr(tagOr0(tags, addrTag));
  ArrayRef<uint8_t> bytes = image.bytesAt(addr, size);
  if (bytes.empty())
    return badDynamic(Twine(name) + " at " + hex(addr) + " with " + hex(size) + " bytes is in no segment");
  return bytes;
}

Error readRela(Image &image, DynamicInfo &info, ArrayRef<uint8_t> table) {
  if (table.size() % sizeof(ELF64LE::Rela))
    return badDynamic("the size of a relocation table is no multiple of " + Twine(sizeof(ELF64LE::Rela)));
  for (size_t at = 0; at < table.size(); at += sizeof(ELF64LE::Rela)) {
    VAddr place(read64le(&table[at]));
    uint32_t type = read32le(&table[at + 8]);
    uint64_t addend = read64le(&table[at + 16]);
    if (type == R_X86_64_RELATIVE)
      info.relatives.push_back({place, addend});
    else if (type == R_X86_64_IRELATIVE)
      info.irelatives.push_back(VAddr(addend));
    if (type != R_X86_64_RELATIVE && type != R_X86_64_NONE && !info.foreignType)
      info.foreignType = type;
  }
  return Error::success();
}

/// RELR: an even word is the address of a relative relocation; an odd word is a bitmap of the 63 words after the last
/// one.
Error readRelr(Image &image, DynamicInfo &info, ArrayRef<uint8_t> table) {
  if (table.size() % 8)
    return badDynamic("the size of DT_RELR is no multiple of 8");
  // Each relocation has 8 bytes of its own in the file; more than that is an attempt to make us run out of memory.
  size_t most = image.buffer->getBufferSize() / 8;
  VAddr next;
  auto add = [&](VAddr place) {
    ArrayRef<uint8_t> bytes = image.bytesAt(place, 8);
    if (bytes.empty() || info.relatives.size() >= most)
      return false;
    info.relatives.push_back({place, read64le(bytes.data())});
    return true;
  };
  for (size_t at = 0; at < table.size(); at += 8) {
    uint64_t word = read64le(&table[at]);
    if ((word & 1) == 0) {
      next = VAddr(word) + 8;
      if (!add(VAddr(word)))
        return badDynamic("DT_RELR relocates " + hex(word) + ", which is in no segment");
      continue;
    }
    for (unsigned bit = 0; bit < 63; bit++)
      if ((word >> (bit + 1)) & 1)
        if (VAddr place = next + bit * 8; !add(place))
          return badDynamic("DT_RELR relocates " + hex(place) + ", which is in no segment");
    next += 63 * 8;
  }
  return Error::success();
}

} // namespace

Error readDynamic(Image &image, const ProgramHeader &ph) {
  if (image.dynamic)
    return badDynamic("there is a second PT_DYNAMIC");
  ArrayRef<uint8_t> table = image.bytesAt(ph.vaddr, ph.filesz);
  if (table.empty())
    return badDynamic("its " + hex(ph.filesz) + " bytes at " + hex(ph.vaddr) + " are in no segment");

  DynamicInfo info;
  info.table = {ph.vaddr, ph.vaddr + ph.filesz};
  TagMap tags;
  std::vector<uint64_t> needed;
  bool terminated = false;
  for (size_t at = 0; at + 16 <= table.size() && !terminated; at += 16) {
    uint64_t tag = read64le(&table[at]), value = read64le(&table[at + 8]);
    terminated = tag == DT_NULL;
    if (tag == DT_NEEDED)
      needed.push_back(value);
    else
      tags[tag] = value;
  }
  if (!terminated)
    return badDynamic("it has no DT_NULL at its end");
  info.isLibrary = tags.count(DT_SONAME) && !(tagOr0(tags, DT_FLAGS_1) & DF_1_PIE);

  if (!needed.empty()) {
    Expected<ArrayRef<uint8_t>> strings = dynamicTable(image, tags, DT_STRTAB, DT_STRSZ, "DT_STRTAB");
    if (!strings)
      return strings.takeError();
    StringRef text = toStringRef(*strings);
    for (uint64_t offset : needed) {
      size_t end = offset < text.size() ? text.find('\0', offset) : StringRef::npos;
      if (end == StringRef::npos)
        return badDynamic("DT_NEEDED is at " + hex(offset) + ", outside the string table");
      info.needed.push_back(text.slice(offset, end));
    }
  }
  Expected<ArrayRef<uint8_t>> rela = dynamicTable(image, tags, DT_RELA, DT_RELASZ, "DT_RELA");
  if (!rela)
    return rela.takeError();
  if (Error error = readRela(image, info, *rela))
    return error;
  if (tags.count(DT_PLTREL) && tagOr0(tags, DT_PLTREL) != DT_RELA)
    return badDynamic("DT_PLTREL is not DT_RELA");
  Expected<ArrayRef<uint8_t>> plt = dynamicTable(image, tags, DT_JMPREL, DT_PLTRELSZ, "DT_JMPREL");
  if (!plt)
    return plt.takeError();
  // Some linkers count the PLT's relocations in DT_RELASZ as well; applying one twice is harmless for RELATIVE.
  if (Error error = readRela(image, info, *plt))
    return error;
  if (tags.count(DT_REL) && tagOr0(tags, DT_RELSZ))
    return badDynamic("DT_REL is not used on x86-64");
  Expected<ArrayRef<uint8_t>> relr = dynamicTable(image, tags, DT_RELR, DT_RELRSZ, "DT_RELR");
  if (!relr)
    return relr.takeError();
  if (Error error = readRelr(image, info, *relr))
    return error;
  image.dynamic = std::move(info);
  return Error::success();
}

void readNotes(Image &image, const ProgramHeader &ph, Diag &diag) {
  ArrayRef<uint8_t> file = image.fileBytes();
  auto damaged = [&] {
    diag.report(Finding(DiagId::MalformedTable, "the notes at offset " + hex(ph.offset) + " are damaged; ignored"));
  };
  if (ph.offset.raw() > file.size() || ph.filesz > file.size() - ph.offset.raw())
    return damaged();
  ArrayRef<uint8_t> rest = file.slice(ph.offset.raw(), ph.filesz);
  uint64_t align = ph.align == 8 ? 8 : 4;
  while (rest.size() >= 12) {
    uint64_t nameSize = read32le(rest.data()), descSize = read32le(rest.data() + 4);
    uint64_t descAt = alignTo(12 + nameSize, align), end = descAt + descSize;
    if (end > rest.size())
      return damaged();
    StringRef owner = toStringRef(rest.slice(12, nameSize)).rtrim('\0');
    image.notes.push_back({owner, read32le(rest.data() + 8), rest.slice(descAt, descSize)});
    rest = rest.drop_front(std::min<uint64_t>(alignTo(end, align), rest.size()));
  }
}

/// The NUL-terminated string at `offset` of a string table; nothing when it is not there.
static std::optional<StringRef> stringAt(ArrayRef<uint8_t> table, uint64_t offset) {
  StringRef text = toStringRef(table);
  size_t end = offset < text.size() ? text.find('\0', offset) : StringRef::npos;
  if (end == StringRef::npos)
    return std::nullopt;
  return text.slice(offset, end);
}

void readSections(Image &image, uint64_t offset, unsigned count, unsigned entrySize, unsigned namesIndex, Diag &diag) {
  if (offset == 0 || count == 0)
    return;
  auto damaged = [&](const Twine &what) {
    diag.report(Finding(DiagId::MalformedTable, "the section headers are damaged and ignored: " + what));
    image.sections.clear();
  };
  if (entrySize != sizeof(ELF64LE::Shdr))
    return damaged("e_shentsize is " + Twine(entrySize));
  if (namesIndex >= count)
    return damaged("e_shstrndx " + Twine(namesIndex) + " is not below their number " + Twine(count));
  ArrayRef<uint8_t> file = image.fileBytes();
  const auto *headers = reinterpret_cast<const ELF64LE::Shdr *>(file.data() + offset);
  auto bytesOf = [&](const ELF64LE::Shdr &sh) -> std::optional<ArrayRef<uint8_t>> {
    if (sh.sh_type == SHT_NOBITS || sh.sh_type == SHT_NULL)
      return ArrayRef<uint8_t>();
    if (sh.sh_offset > file.size() || sh.sh_size > file.size() - sh.sh_offset)
      return std::nullopt;
    return file.slice(sh.sh_offset, sh.sh_size);
  };
  std::optional<ArrayRef<uint8_t>> names = bytesOf(headers[namesIndex]);
  if (!names)
    return damaged("their names are outside the file");
  for (unsigned i = 1; i < count; i++) {
    const ELF64LE::Shdr &sh = headers[i];
    std::optional<ArrayRef<uint8_t>> bytes = bytesOf(sh);
    std::optional<StringRef> name = stringAt(*names, sh.sh_name);
    if (!bytes || !name)
      return damaged("section " + Twine(i) + (name ? " lies outside the file" : " has no valid name"));
    if (sh.sh_addr + sh.sh_size < sh.sh_addr)
      return damaged("the size of section '" + *name + "' overflows");
    image.sections.push_back({*name, VAddr(sh.sh_addr), FileOff(sh.sh_offset), sh.sh_size, sh.sh_type, sh.sh_flags,
                              sh.sh_link, sh.sh_info, sh.sh_entsize, *bytes});
  }
}

void readSymbols(Image &image, Diag &diag) {
  const Section *table = nullptr;
  for (const Section &section : image.sections)
    if (section.type == SHT_SYMTAB || (section.type == SHT_DYNSYM && !table))
      table = &section;
  if (!table)
    return;
  auto damaged = [&](const Twine &what) {
    diag.report(Finding(DiagId::MalformedTable, "'" + table->name + "' is damaged and ignored: " + what));
    image.symbols.clear();
  };
  if (table->entsize != sizeof(ELF64LE::Sym))
    return damaged("the entry size is " + Twine(table->entsize));
  // Section i of the file is sections[i - 1].
  if (table->link == 0 || table->link > image.sections.size() || image.sections[table->link - 1].type != SHT_STRTAB)
    return damaged("it names no string table");
  ArrayRef<uint8_t> names = image.sections[table->link - 1].bytes;
  if (names.empty() || names.back() != 0)
    return damaged("its string table is not terminated");

  size_t count = table->bytes.size() / sizeof(ELF64LE::Sym);
  const auto *syms = reinterpret_cast<const ELF64LE::Sym *>(table->bytes.data());
  for (const ELF64LE::Sym &sym : ArrayRef(syms, count)) {
    uint8_t type = sym.getType();
    if (sym.st_shndx == SHN_UNDEF || sym.st_shndx == SHN_COMMON || type == STT_FILE || type == STT_SECTION)
      continue;
    if (sym.st_name >= names.size())
      return damaged("a name is outside the string table");
    StringRef name(reinterpret_cast<const char *>(names.data()) + sym.st_name);
    if (name.empty())
      continue;
    image.symbols.push_back({name, VAddr(sym.st_value), sym.st_size, type, sym.getBinding(), sym.st_shndx});
  }
  // Of several names for an address the order of the string table decides, so that two runs agree.
  llvm::sort(image.symbols, [](const Symbol &a, const Symbol &b) {
    return std::pair(a.addr, a.name.data()) < std::pair(b.addr, b.name.data());
  });
}

} // namespace osv::elf

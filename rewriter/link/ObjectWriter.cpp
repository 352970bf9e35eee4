// SPDX-License-Identifier: BSD-3-Clause
//
// File layout: ELF header, contents of each section at its alignment, relocations, symbol table, strings, section
// headers. Relocation sections follow their sections' numbers: user sections are 1..n, .rela for some, then .symtab and
// .strtab, which also holds the section names.
#include "rewriter/link/ObjectWriter.h"
#include "rewriter/Diag.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace llvm::ELF;

namespace osv::link {

unsigned ObjectWriter::addSection(StringRef name, uint64_t flags, uint64_t align, Chunks chunks) {
  uint64_t size = 0;
  for (ArrayRef<uint8_t> chunk : chunks)
    size += chunk.size();
  unsigned number = sections.size() + 1;
  sections.push_back({name.str(), flags, align, size, std::move(chunks), 0, {}});
  sections.back().symbol = addSymbol("", number, 0, 0, STT_SECTION);
  return number;
}

unsigned ObjectWriter::addSymbol(StringRef name, unsigned section, uint64_t value, uint64_t size, uint8_t info) {
  uint32_t nameAt = 0;
  if (!name.empty()) {
    nameAt = strings.size();
    strings.append(name.data(), name.size()).push_back('\0');
  }
  symbols.push_back({nameAt, section, value, size, info});
  return symbols.size() - 1;
}

void ObjectWriter::addReloc(unsigned section, uint64_t offset, unsigned symbol, uint32_t type, int64_t addend) {
  VERIFY(section - 1 < sections.size() && symbol < symbols.size());
  sections[section - 1].relocs.push_back({offset, symbol, type, addend});
}

Error ObjectWriter::write(int fd) {
  raw_fd_ostream os(fd, /*shouldClose=*/false);
  os.SetBufferSize(1 << 16);
  uint64_t at = 0;
  auto put = [&](const void *data, size_t size) {
    os.write(static_cast<const char *>(data), size);
    at += size;
  };
  auto padTo = [&](uint64_t offset) {
    os.write_zeros(offset - at);
    at = offset;
  };

  // ELF wants local symbols first.
  std::vector<unsigned> order, globals, position(symbols.size());
  for (unsigned i = 0; i < symbols.size(); i++)
    (symbols[i].info >> 4 == STB_LOCAL ? order : globals).push_back(i);
  unsigned localCount = order.size();
  append_range(order, globals);
  for (auto [index, symbol] : enumerate(order))
    position[symbol] = index + 1;

  std::vector<Elf64_Shdr> headers(1);
  auto nameOf = [&](const Twine &name) {
    uint32_t nameAt = strings.size();
    strings += name.str();
    strings.push_back('\0');
    return nameAt;
  };
  // Places: everything but the header's e_shoff is known before the first byte is written.
  uint64_t offset = sizeof(Elf64_Ehdr);
  for (const Section &s : sections) {
    offset = alignTo(offset, std::max<uint64_t>(s.align, 1));
    headers.push_back({nameOf(s.name), SHT_PROGBITS, s.flags, 0, offset, s.size, 0, 0, s.align, 0});
    offset += s.size;
  }
  unsigned relaCount = count_if(sections, [](const Section &s) { return !s.relocs.empty(); });
  unsigned symtab = headers.size() + relaCount;
  for (auto [index, s] : enumerate(sections)) {
    if (s.relocs.empty())
      continue;
    offset = alignTo(offset, 8);
    uint64_t size = s.relocs.size() * sizeof(Elf64_Rela);
    headers.push_back({nameOf(".rela" + s.name), SHT_RELA, SHF_INFO_LINK, 0, offset, size, symtab, uint32_t(index + 1),
                       8, sizeof(Elf64_Rela)});
    offset += size;
  }
  offset = alignTo(offset, 8);
  uint64_t symSize = (symbols.size() + 1) * sizeof(Elf64_Sym);
  headers.push_back(
      {nameOf(".symtab"), SHT_SYMTAB, 0, 0, offset, symSize, symtab + 1, localCount + 1, 8, sizeof(Elf64_Sym)});
  offset += symSize;
  uint32_t strtabName = nameOf(".strtab");
  headers.push_back({strtabName, SHT_STRTAB, 0, 0, offset, strings.size(), 0, 0, 1, 0});
  offset = alignTo(offset + strings.size(), 8);

  Elf64_Ehdr header = {};
  std::copy_n(ElfMagic, 4, header.e_ident);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_REL;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = headers.size();
  header.e_shstrndx = headers.size() - 1;
  header.e_shoff = offset;

  put(&header, sizeof header);
  for (auto [index, s] : enumerate(sections)) {
    padTo(headers[index + 1].sh_offset);
    for (ArrayRef<uint8_t> chunk : s.chunks)
      put(chunk.data(), chunk.size());
  }
  for (const Section &s : sections) {
    if (s.relocs.empty())
      continue;
    padTo(alignTo(at, 8));
    for (const Reloc &r : s.relocs) {
      Elf64_Rela rela = {r.offset, 0, r.addend};
      rela.setSymbolAndType(position[r.symbol], r.type);
      put(&rela, sizeof rela);
    }
  }
  padTo(headers[symtab].sh_offset);
  Elf64_Sym null = {};
  put(&null, sizeof null);
  for (unsigned i : order) {
    const Symbol &s = symbols[i];
    Elf64_Sym sym = {s.name, s.info, STV_DEFAULT, uint16_t(s.section), s.value, s.size};
    put(&sym, sizeof sym);
  }
  put(strings.data(), strings.size());
  padTo(header.e_shoff);
  put(headers.data(), headers.size() * sizeof(Elf64_Shdr));
  os.flush();
  if (std::error_code ec = os.error()) {
    os.clear_error();
    return errorCodeToError(ec);
  }
  return Error::success();
}

} // namespace osv::link

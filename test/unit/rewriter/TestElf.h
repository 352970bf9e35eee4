// SPDX-License-Identifier: BSD-3-Clause
//
// Makes small ELF programs in memory for the tests of the reader.
#pragma once
#include "rewriter/elf/Reader.h"
#include "llvm/BinaryFormat/ELF.h"
#include <cstring>

namespace osv::test {

struct TestElf {
  llvm::ELF::Elf64_Ehdr header = {};
  std::vector<llvm::ELF::Elf64_Phdr> segments;
  std::string tail; ///< bytes from offset 0x1000 on

  TestElf() {
    std::memcpy(header.e_ident, llvm::ELF::ElfMagic, 4);
    header.e_ident[llvm::ELF::EI_CLASS] = llvm::ELF::ELFCLASS64;
    header.e_ident[llvm::ELF::EI_DATA] = llvm::ELF::ELFDATA2LSB;
    header.e_ident[llvm::ELF::EI_VERSION] = header.e_version = llvm::ELF::EV_CURRENT;
    header.e_type = llvm::ELF::ET_EXEC;
    header.e_machine = llvm::ELF::EM_X86_64;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(llvm::ELF::Elf64_Phdr);
    header.e_entry = 0x401000;
  }
  TestElf &add(uint32_t type, uint32_t flags, uint64_t offset, uint64_t vaddr, uint64_t filesz, uint64_t memsz,
               uint64_t align = 0x1000) {
    segments.push_back({type, flags, offset, vaddr, vaddr, filesz, memsz, align});
    return *this;
  }
  std::string bytes() const {
    llvm::ELF::Elf64_Ehdr h = header;
    h.e_phnum = segments.size();
    std::string out(0x1000, '\0');
    std::memcpy(out.data(), &h, sizeof h);
    std::memcpy(out.data() + sizeof h, segments.data(), segments.size() * sizeof segments[0]);
    return out + tail;
  }
  llvm::Expected<elf::Image> parse(Diag &diag) const {
    return elf::parseImage(llvm::MemoryBuffer::getMemBufferCopy(bytes(), "test"), "test", diag);
  }
};

} // namespace osv::test

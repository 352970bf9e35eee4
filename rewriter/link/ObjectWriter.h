// SPDX-License-Identifier: BSD-3-Clause
//
// Writes one ELF64 relocatable object straight to a file descriptor: sections, symbols, relocations. Just what is
// needed to hand the program to LLD. Section contents may be 100 MB of somebody's mapping, so they are referenced,
// written once, and never copied.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace osv::link {

class ObjectWriter {
public:
  /// A run of bytes of a section; they must live until `write`.
  using Chunks = std::vector<llvm::ArrayRef<uint8_t>>;
  static constexpr unsigned kAbsolute = 0xfff1; ///< SHN_ABS, as a section number

  /// Adds a section and returns its number. `flags` are SHF_*.
  unsigned addSection(llvm::StringRef name, uint64_t flags, uint64_t align, Chunks chunks);
  /// Adds a symbol and returns its handle. `info` is st_info; `section` 0 means undefined.
  unsigned addSymbol(llvm::StringRef name, unsigned section, uint64_t value, uint64_t size, uint8_t info);
  /// The field at `offset` of `section` becomes `symbol` + addend by ELF relocation type `type`.
  void addReloc(unsigned section, uint64_t offset, unsigned symbol, uint32_t type, int64_t addend);
  /// The handle of the (local) section symbol.
  unsigned sectionSymbol(unsigned section) const { return sections[section - 1].symbol; }

  llvm::Error write(int fd);

private:
  struct Reloc {
    uint64_t offset;
    unsigned symbol;
    uint32_t type;
    int64_t addend;
  };
  struct Section {
    std::string name;
    uint64_t flags, align, size;
    Chunks chunks;
    unsigned symbol;
    std::vector<Reloc> relocs;
  };
  struct Symbol {
    uint32_t name;
    unsigned section;
    uint64_t value, size;
    uint8_t info;
  };
  std::vector<Section> sections;
  std::vector<Symbol> symbols;
  std::string strings = std::string(1, '\0');
};

} // namespace osv::link

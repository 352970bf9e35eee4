// SPDX-License-Identifier: BSD-3-Clause
//
// Roots that the ELF tables name: the entry point, function symbols, initialisers, and what relocations point to.
#include "rewriter/analysis/Roots.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Support/Endian.h"

using namespace llvm;
using namespace llvm::support::endian;

namespace osv::analysis {

static void addSymbols(const elf::Image &image, Roots &roots) {
  for (const elf::Symbol &symbol : image.symbols) {
    if (!symbol.isFunction() || !image.isExecutable(symbol.addr))
      continue;
    VAddr end = symbol.addr + symbol.size;
    if (symbol.size && (end < symbol.addr || !image.isExecutable(end - 1)))
      end = symbol.addr;
    roots.functions.push_back({{symbol.addr, end}, symbol.name, FunctionSource::Symbol});
  }
}

static void addInitialisers(const elf::Image &image, Roots &roots) {
  for (const elf::Section &section : image.sections) {
    bool isArray = section.type == ELF::SHT_INIT_ARRAY || section.type == ELF::SHT_FINI_ARRAY ||
                   section.type == ELF::SHT_PREINIT_ARRAY;
    if (isArray)
      for (size_t at = 0; at + 8 <= section.bytes.size(); at += 8)
        if (VAddr to(read64le(&section.bytes[at])); image.isExecutable(to))
          roots.strict.push_back(to);
    if ((section.name == ".init" || section.name == ".fini") && image.isExecutable(section.addr))
      roots.strict.push_back(section.addr);
    // A static program that is no PIE has its IFUNC relocations in a plain section, found by __rela_iplt_start.
    if (section.type == ELF::SHT_RELA && (section.flags & ELF::SHF_ALLOC))
      for (size_t at = 0; at + 24 <= section.bytes.size(); at += 24)
        if (read32le(&section.bytes[at + 8]) == ELF::R_X86_64_IRELATIVE)
          if (VAddr to(read64le(&section.bytes[at + 16])); image.isExecutable(to))
            roots.strict.push_back(to);
  }
}

void addElfTables(const elf::Image &image, Roots &roots) {
  roots.strict.push_back(image.entry);
  addSymbols(image, roots);
  addInitialisers(image, roots);
  if (!image.dynamic)
    return;
  for (VAddr resolver : image.dynamic->irelatives)
    if (image.isExecutable(resolver))
      roots.strict.push_back(resolver);
  for (const elf::RelativeReloc &reloc : image.dynamic->relatives)
    if (image.isExecutable(VAddr(reloc.addend)))
      roots.pointers.push_back(VAddr(reloc.addend));
}

} // namespace osv::analysis

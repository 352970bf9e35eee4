// SPDX-License-Identifier: BSD-3-Clause
//
// The parsed model of the input program: what the other stages know about its ELF file. `Reader` makes it and has
// checked all that is here: every range lies in the file, every segment is sorted, disjoint and free of overflow, so
// that nobody downstream validates again. Knows ELF, not x86.
//
// All addresses are the file's own (VAddr, see Address.h), also for PIE. The bytes are a read-only mapping of the input
// and never change; edits are recorded in Context and applied when the image is linked.
#pragma once
#include "rewriter/elf/Address.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/MemoryBuffer.h"
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace osv::elf {

/// The four kinds of program that are accepted.
enum class Kind {
  Static,    ///< ET_EXEC without interpreter
  StaticPie, ///< ET_DYN without interpreter; its own start-up code applies its relocations
  GoPie,     ///< ET_DYN with interpreter but nothing to load: the rewriter applies its RELATIVE relocations
};

/// A PT_LOAD.
struct Segment {
  VAddr vaddr;
  FileOff offset;
  uint64_t filesz, memsz, align;
  uint32_t flags;                ///< PF_R | PF_W | PF_X
  llvm::ArrayRef<uint8_t> bytes; ///< the `filesz` bytes of the file

  VAddr fileEnd() const { return vaddr + filesz; }
  VAddr end() const { return vaddr + memsz; }
  AddrRange range() const { return {vaddr, end()}; }
  bool isExec() const { return flags & 1; }
  bool isWrite() const { return flags & 2; }
};

struct Section {
  llvm::StringRef name;
  VAddr addr; ///< 0 when not loaded
  FileOff offset;
  uint64_t size;
  uint32_t type;       ///< SHT_*
  uint64_t flags;      ///< SHF_*
  uint32_t link, info; ///< as in the header
  uint64_t entsize;
  llvm::ArrayRef<uint8_t> bytes; ///< empty for SHT_NOBITS

  AddrRange range() const { return {addr, addr + size}; }
};

struct Symbol {
  llvm::StringRef name;
  VAddr addr; ///< for STT_TLS: the offset in the TLS template
  uint64_t size;
  uint8_t type;    ///< STT_*
  uint8_t binding; ///< STB_*
  uint16_t section;

  bool isFunction() const { return type == 2 /*STT_FUNC*/ || type == 10 /*STT_GNU_IFUNC*/; }
  bool isTls() const { return type == 6 /*STT_TLS*/; }
};

/// PT_TLS: the initial contents of each thread's block.
struct TlsTemplate {
  VAddr vaddr;
  uint64_t filesz, memsz, align;

  /// What lies between the beginning of a thread's block and its thread pointer: the template, and the padding behind
  /// it that puts the thread pointer at an address congruent to the template's, as every linker counts it.
  uint64_t blockSize() const { return memsz + ((0 - vaddr.raw() - memsz) & (align - 1)); }
};

struct Note {
  llvm::StringRef owner; ///< without the NUL
  uint32_t type;
  llvm::ArrayRef<uint8_t> desc;
};

/// An R_X86_64_RELATIVE: the 8 bytes at `place` become `addend` + bias. The addend is a VAddr in all but pathological
/// files.
struct RelativeReloc {
  VAddr place;
  uint64_t addend;
};

/// PT_DYNAMIC. Of a static-PIE it is what the program's own start-up code will apply.
struct DynamicInfo {
  AddrRange table; ///< the dynamic section itself
  std::vector<llvm::StringRef> needed;
  std::vector<RelativeReloc> relatives; ///< RELA and RELR, in file order
  std::vector<VAddr> irelatives;        ///< IRELATIVE resolver functions: code roots
  std::optional<uint32_t> foreignType;  ///< the first relocation type that is not RELATIVE
  bool isLibrary = false;               ///< has DT_SONAME and is no PIE
};

struct ProgramHeader {
  uint32_t type, flags;
  FileOff offset;
  VAddr vaddr;
  uint64_t filesz, memsz, align;
};

class Image {
public:
  std::string name; ///< the input as the user named it
  std::unique_ptr<llvm::MemoryBuffer> buffer;
  Kind kind = Kind::Static;
  VAddr entry;
  uint64_t bias = 0;                  ///< RunAddr - VAddr; chosen by the reader for PIE, 0 for ET_EXEC
  std::vector<ProgramHeader> headers; ///< all of them, in file order
  std::optional<VAddr> headersAddr;   ///< where the program headers are in memory (AT_PHDR), if loaded
  std::vector<Segment> segments;      ///< PT_LOAD, ascending and disjoint, none with memsz 0
  std::optional<TlsTemplate> tls;
  std::optional<DynamicInfo> dynamic;
  std::optional<AddrRange> relro;      ///< PT_GNU_RELRO
  std::optional<AddrRange> ehFrameHdr; ///< PT_GNU_EH_FRAME
  bool execStack = false;              ///< PT_GNU_STACK with PF_X (absent: no)
  std::vector<Note> notes;             ///< from PT_NOTE
  std::vector<Section> sections;       ///< in file order, without the null section; empty when there are none
  std::vector<Symbol> symbols;         ///< .symtab or else .dynsym: defined functions, objects, TLS; by address

  llvm::ArrayRef<uint8_t> fileBytes() const {
    return {reinterpret_cast<const uint8_t *>(buffer->getBufferStart()), buffer->getBufferSize()};
  }
  bool isPie() const { return kind != Kind::Static; }
  RunAddr toRun(VAddr addr) const { return RunAddr(addr.raw() + bias); }
  VAddr toFile(RunAddr addr) const { return VAddr(addr.raw() - bias); }

  /// The segment that holds `addr`, its bss included; null if none.
  const Segment *segmentAt(VAddr addr) const;
  /// `size` file-backed bytes at `addr`; empty when they are not all in one segment's file part.
  llvm::ArrayRef<uint8_t> bytesAt(VAddr addr, uint64_t size) const;
  /// All file-backed bytes from `addr` to the end of its segment; empty when there are none.
  llvm::ArrayRef<uint8_t> bytesFrom(VAddr addr) const;
  bool isExecutable(VAddr addr) const;
  /// The file-backed part of each executable segment, ascending.
  std::vector<AddrRange> executableRanges() const;
  /// First address of the first segment and end of the last one.
  AddrRange extent() const { return {segments.front().vaddr, segments.back().end()}; }

  const Section *sectionAt(VAddr addr) const; ///< loaded section that holds `addr`
  const Section *sectionNamed(llvm::StringRef sectionName) const;
  /// The function symbol whose range holds `addr` (symbols without a size reach to the next one); null if none.
  const Symbol *functionAt(VAddr addr) const;
  /// "'set_self'+0x1c in .text", or as much of it as is known, for the `at` note of a finding.
  std::string describe(VAddr addr) const;
};

} // namespace osv::elf

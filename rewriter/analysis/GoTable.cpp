// SPDX-License-Identifier: BSD-3-Clause
//
// Go's function table (runtime.pclntab): address and name of every function of a Go program, also of a stripped one,
// because the runtime needs it for tracebacks. Layout: src/debug/gosym/pclntab.go and src/runtime/symtab.go of Go.
//
//   header 1.16:  magic 0xfffffffa, 0, 0, quantum, pointer size | nfunc nfiles | offsets: names cu files pctab pclines
//   header 1.18+: magic 0xfffffff0 (1.18) or 0xfffffff1 (1.20), as above with textStart after nfiles
//   functab:      at the offset `pclines`: nfunc pairs (entry, offset of the function's record), then the end address;
//                 8-byte words in 1.16, 4-byte offsets from textStart since 1.18
//   record:       entry (8 bytes in 1.16, else 4), then the 4-byte offset of the name
//
// Since Go 1.26 textStart is 0 in the file (the runtime takes it from moduledata), in a position-independent file it is
// subject to a relocation. Then the text's start is the section .text, or what moduledata says.
#include "rewriter/analysis/Roots.h"
#include "llvm/Support/Endian.h"
#include <cstring>

using namespace llvm;
using namespace llvm::support::endian;

namespace osv::analysis {

namespace {

constexpr uint32_t kMagic116 = 0xfffffffa, kMagic118 = 0xfffffff0, kMagic120 = 0xfffffff1;

struct Table {
  VAddr addr;
  ArrayRef<uint8_t> bytes;
  bool is116;
  uint64_t functions;
  uint64_t textStart; // as in the file
  uint64_t names, lines;
};

std::optional<Table> parseHeader(VAddr addr, ArrayRef<uint8_t> bytes) {
  if (bytes.size() < 72)
    return std::nullopt;
  uint32_t magic = read32le(bytes.data());
  bool known = magic == kMagic116 || magic == kMagic118 || magic == kMagic120;
  if (!known || bytes[4] || bytes[5] || bytes[6] != 1 || bytes[7] != 8)
    return std::nullopt;
  Table table{addr, bytes, magic == kMagic116, read64le(&bytes[8]), 0, 0, 0};
  const uint8_t *offsets = &bytes[24];
  if (!table.is116) {
    table.textStart = read64le(offsets);
    offsets += 8;
  }
  table.names = read64le(offsets);
  table.lines = read64le(offsets + 32);
  uint64_t entry = table.is116 ? 16 : 8;
  if (table.functions == 0 || table.names >= bytes.size() || table.lines >= bytes.size() ||
      table.functions > (bytes.size() - table.lines) / entry - 1)
    return std::nullopt;
  return table;
}

std::optional<Table> findTable(const elf::Image &image) {
  for (const char *name : {".gopclntab", ".data.rel.ro.gopclntab"})
    if (const elf::Section *section = image.sectionNamed(name))
      if (std::optional<Table> table = parseHeader(section->addr, section->bytes))
        return table;
  // Only the linker's section headers are missing when somebody ran sstrip or UPX's like; the table is in a segment
  // that is aligned to 32 bytes.
  bool isGo = !image.sectionNamed(".text") || image.sectionNamed(".go.buildinfo");
  if (!isGo)
    return std::nullopt;
  for (const elf::Segment &segment : image.segments)
    for (size_t at = (32 - segment.vaddr.raw() % 32) % 32; at + 72 <= segment.bytes.size(); at += 32)
      if (std::optional<Table> table = parseHeader(segment.vaddr + at, segment.bytes.drop_front(at)))
        return table;
  return std::nullopt;
}

/// runtime.firstmoduledata begins with a pointer to the table's header; words 20 to 23 are minpc, maxpc, text, etext.
std::optional<uint64_t> textFromModuleData(const elf::Image &image, const Table &table) {
  constexpr unsigned kText = 22;
  if (image.dynamic) { // PIE: the pointers are relocations
    const auto &relatives = image.dynamic->relatives;
    for (size_t i = 0; i < relatives.size(); i++) {
      if (relatives[i].addend != table.addr.raw())
        continue;
      VAddr text = relatives[i].place + 8 * kText;
      for (size_t k = i; k < relatives.size() && k < i + 32; k++)
        if (relatives[k].place == text && image.isExecutable(VAddr(relatives[k].addend)))
          return relatives[k].addend;
    }
    return std::nullopt;
  }
  for (const elf::Segment &segment : image.segments) {
    if (!segment.isWrite())
      continue;
    for (size_t at = 0; at + 8 * (kText + 1) <= segment.bytes.size(); at += 8)
      if (read64le(&segment.bytes[at]) == table.addr.raw())
        if (uint64_t text = read64le(&segment.bytes[at + 8 * kText]); image.isExecutable(VAddr(text)))
          return text;
  }
  return std::nullopt;
}

std::optional<uint64_t> findTextStart(const elf::Image &image, const Table &table) {
  if (table.is116)
    return 0; // entries are addresses
  if (table.textStart && image.isExecutable(VAddr(table.textStart)))
    return table.textStart;
  if (std::optional<uint64_t> text = textFromModuleData(image, table))
    return text;
  if (const elf::Section *section = image.sectionNamed(".text"))
    return section->addr.raw();
  return std::nullopt;
}

StringRef nameAt(const Table &table, uint64_t offset) {
  if (offset >= table.bytes.size() - table.names)
    return {};
  const char *start = reinterpret_cast<const char *>(table.bytes.data()) + table.names + offset;
  size_t most = table.bytes.size() - table.names - offset;
  return {start, strnlen(start, std::min<size_t>(most, 4096))};
}

} // namespace

void addGoTable(const elf::Image &image, Roots &roots) {
  std::optional<Table> table = findTable(image);
  if (!table)
    return;
  std::optional<uint64_t> text = findTextStart(image, *table);
  if (!text)
    return;
  ArrayRef<uint8_t> lines = table->bytes.drop_front(table->lines);
  unsigned word = table->is116 ? 8 : 4;
  auto wordAt = [&](uint64_t index) {
    return table->is116 ? read64le(&lines[index * 8]) : uint64_t(read32le(&lines[index * 4]));
  };
  for (uint64_t i = 0; i < table->functions; i++) {
    VAddr begin(*text + wordAt(2 * i)), end(*text + wordAt(2 * i + 2));
    if (end <= begin || !image.isExecutable(begin) || !image.isExecutable(end - 1))
      continue;
    uint64_t record = wordAt(2 * i + 1);
    StringRef name;
    if (record < lines.size() && lines.size() - record >= word + 4)
      name = nameAt(*table, read32le(&lines[record + word]));
    roots.functions.push_back({{begin, end}, name, FunctionSource::GoTable});
  }
}

} // namespace osv::analysis

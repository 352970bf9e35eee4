// SPDX-License-Identifier: BSD-3-Clause
//
// Reads DWARF's line tables with LLVM's parser, only when something is to be said about an address: first which table
// covers what, then the one table. The entries for types and functions, which getLineInfoForAddress would read as well,
// are not needed, and their reader does not survive hostile input.
#include "rewriter/analysis/SourceLines.h"
#include "llvm/DebugInfo/DWARF/DWARFContext.h"
#include "llvm/DebugInfo/DWARF/DWARFDebugLine.h"
#include "llvm/Object/ObjectFile.h"

using namespace llvm;

namespace osv::analysis {

static void ignore(Error error) { consumeError(std::move(error)); }

struct SourceLines::Impl {
  struct Sequence {
    AddrRange range;
    uint64_t table; ///< its offset in .debug_line
  };

  explicit Impl(const elf::Image &image) {
    Expected<std::unique_ptr<object::ObjectFile>> opened =
        object::ObjectFile::createELFObjectFile(image.buffer->getMemBufferRef());
    if (!opened) {
      ignore(opened.takeError());
      return;
    }
    file = std::move(*opened);
    dwarf = DWARFContext::create(*file, DWARFContext::ProcessDebugRelocations::Ignore, nullptr, "", ignore, ignore);
    if (!dwarf)
      return;
    const DWARFObject &object = dwarf->getDWARFObj();
    data.emplace(object, object.getLineSection(), object.isLittleEndian(), 8);
    DWARFUnitVector none;
    DWARFDebugLine::SectionParser parser(*data, *dwarf, none);
    while (!parser.done()) {
      uint64_t offset = parser.getOffset();
      DWARFDebugLine::LineTable table = parser.parseNext(ignore, ignore);
      for (const DWARFDebugLine::Sequence &sequence : table.Sequences)
        if (sequence.isValid())
          sequences.push_back({{VAddr(sequence.LowPC), VAddr(sequence.HighPC)}, offset});
    }
  }

  DILineInfo lineOf(VAddr addr) {
    DILineInfo line;
    for (const Sequence &sequence : sequences) {
      if (!sequence.range.contains(addr))
        continue;
      Expected<const DWARFDebugLine::LineTable *> table =
          lines.getOrParseLineTable(*data, sequence.table, *dwarf, /*U=*/nullptr, ignore);
      if (!table)
        ignore(table.takeError());
      else if ((*table)->getFileLineInfoForAddress({addr.raw(), object::SectionedAddress::UndefSection},
                                                   /*CompDir=*/nullptr,
                                                   DILineInfoSpecifier::FileLineInfoKind::RelativeFilePath, line))
        break;
    }
    return line;
  }

  std::unique_ptr<object::ObjectFile> file;
  std::unique_ptr<DWARFContext> dwarf;
  std::optional<DWARFDataExtractor> data;
  std::vector<Sequence> sequences;
  DWARFDebugLine lines;
};

SourceLines::SourceLines(const elf::Image &image) : image(image) {}
SourceLines::~SourceLines() = default;

std::string SourceLines::at(VAddr addr) {
  if (!image.sectionNamed(".debug_line"))
    return "";
  if (!impl)
    impl = std::make_unique<Impl>(image);
  DILineInfo line = impl->lineOf(addr);
  if (line.Line == 0 || line.FileName == DILineInfo::BadString)
    return "";
  return line.FileName + ":" + std::to_string(line.Line);
}

} // namespace osv::analysis

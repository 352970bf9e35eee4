// SPDX-License-Identifier: BSD-3-Clause
//
// Reads DWARF with LLVM's parser, only when something is to be said about an address.
#include "rewriter/analysis/SourceLines.h"
#include "llvm/DebugInfo/DWARF/DWARFContext.h"
#include "llvm/Object/ObjectFile.h"

using namespace llvm;

namespace osv::analysis {

struct SourceLines::Impl {
  std::unique_ptr<object::ObjectFile> file;
  std::unique_ptr<DWARFContext> dwarf;
};

SourceLines::SourceLines(const elf::Image &image) : image(image) {}
SourceLines::~SourceLines() = default;

std::string SourceLines::at(VAddr addr) {
  if (!image.sectionNamed(".debug_line"))
    return "";
  if (!impl) {
    impl = std::make_unique<Impl>();
    auto file = object::ObjectFile::createELFObjectFile(image.buffer->getMemBufferRef());
    if (!file) {
      consumeError(file.takeError());
      return "";
    }
    impl->file = std::move(*file);
    auto ignore = [](Error error) { consumeError(std::move(error)); };
    impl->dwarf =
        DWARFContext::create(*impl->file, DWARFContext::ProcessDebugRelocations::Ignore, nullptr, "", ignore, ignore);
  }
  if (!impl->dwarf)
    return "";
  DILineInfoSpecifier wanted(DILineInfoSpecifier::FileLineInfoKind::RelativeFilePath);
  DILineInfo line = impl->dwarf->getLineInfoForAddress({addr.raw(), object::SectionedAddress::UndefSection}, wanted);
  if (!line || line.Line == 0 || line.FileName == DILineInfo::BadString)
    return "";
  return line.FileName + ":" + std::to_string(line.Line);
}

} // namespace osv::analysis

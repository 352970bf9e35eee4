// SPDX-License-Identifier: BSD-3-Clause
//
// Symbolising with LLVM's library: the image holds kernel and program in one ELF at their run-time addresses, so an
// address needs no translation, and C++ and Rust names come out demangled.
#include "Backtrace.h"
#include "llvm/DebugInfo/Symbolize/Symbolize.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/Format.h"

using namespace llvm;
using namespace llvm::symbolize;
namespace osv::run {

namespace {
void printPlace(raw_ostream &out, const DILineInfo &info) {
  out << (info.FunctionName == DILineInfo::BadString ? "??" : info.FunctionName);
  if (info.FileName != DILineInfo::BadString) {
    out << " at " << info.FileName << ':' << info.Line;
    if (info.Column != 0)
      out << ':' << info.Column;
  }
}
} // namespace

void printBacktrace(raw_ostream &out, const std::string &image, StringRef payload) {
  LLVMSymbolizer::Options options;
  options.Demangle = true;
  options.UseSymbolTable = true;
  LLVMSymbolizer symbolizer(options);
  unsigned number = 0;
  for (; payload.size() >= 8; payload = payload.drop_front(8), ++number) {
    uint64_t address = support::endian::read64le(payload.data());
    // A return address may be the first byte of the next function or line: look up the call before it.
    uint64_t lookup = number == 0 ? address : address - 1;
    Expected<DIInliningInfo> frames =
        symbolizer.symbolizeInlinedCode(image, {lookup, object::SectionedAddress::UndefSection});
    out << format("  #%-2u 0x%016llx  ", number, (unsigned long long)address);
    if (!frames || frames->getNumberOfFrames() == 0) {
      consumeError(frames.takeError());
      out << "??\n";
      continue;
    }
    for (unsigned i = 0; i < frames->getNumberOfFrames(); ++i) {
      if (i != 0)
        out << "                           ";
      printPlace(out, frames->getFrame(i));
      out << (i + 1 < frames->getNumberOfFrames() ? " (inlined)\n" : "\n");
    }
  }
}

} // namespace osv::run

// SPDX-License-Identifier: BSD-3-Clause
//
// libFuzzer target for the inspection: whatever the reader accepts goes through all stages and all reports. Nothing may
// crash, hang, or need much more memory than the file has bytes; and what the stages promise each other must hold. Run
// it with utils/fuzz-analysis.
#include "rewriter/Context.h"
#include "rewriter/analysis/Stages.h"
#include "rewriter/elf/Reader.h"
#include "rewriter/report/Report.h"
#include "llvm/Support/JSON.h"

using namespace osv;

static void check(const Context &context) {
  const CodeMap &map = context.code;
  for (const SyscallSite &site : context.analysis.sites) {
    VERIFY(map.isPossibleStart(site.addr) && (!site.proven || map.isInstructionStart(site.addr)));
    VERIFY(map.shapeAt(site.addr).traits & x64::kSyscall);
  }
  VAddr last;
  for (const Function &function : map.functions) {
    VERIFY(!function.range.empty() && function.range.begin < function.range.end && last <= function.range.begin);
    last = function.range.begin;
  }
  for (AddrRange hole : map.unproven)
    VERIFY(hole.begin < hole.end && !map.isInstructionStart(hole.begin));
  VERIFY(map.coverage.proven + map.coverage.padding <= map.coverage.executable);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Context context;
  auto buffer =
      llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(reinterpret_cast<const char *>(data), size), "fuzz");
  llvm::Expected<elf::Image> image = elf::parseImage(std::move(buffer), "fuzz", context.diag);
  if (!image) {
    llvm::consumeError(image.takeError());
    return 0;
  }
  context.image = std::move(*image);
  for (auto stage : {analysis::findCode, analysis::identifyToolchain, analysis::findSyscalls,
                     analysis::findThreadPointer, analysis::findHazards})
    llvm::cantFail(stage(context));
  analysis::judge(context);
  check(context);
  std::string text, json, sarif, html;
  llvm::raw_string_ostream textStream(text), jsonStream(json), sarifStream(sarif), htmlStream(html);
  report::writeText(context, textStream);
  report::writeJson(context, jsonStream);
  report::writeSarif(context, sarifStream);
  report::writeHtml(context, htmlStream);
  VERIFY(bool(llvm::json::parse(json)) && bool(llvm::json::parse(sarif)));
  return 0;
}

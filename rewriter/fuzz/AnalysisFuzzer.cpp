// SPDX-License-Identifier: BSD-3-Clause
//
// libFuzzer target for the inspection: whatever the reader accepts goes through all stages of `--check`. Nothing may
// crash, hang, or need much more memory than the file has bytes; and what the stages promise each other must hold. The
// reports take longer than all stages together, so that only one input in sixteen is reported on. Run it with
// utils/fuzz-analysis.
#include "rewriter/Context.h"
#include "rewriter/analysis/Stages.h"
#include "rewriter/elf/Reader.h"
#include "rewriter/link/Layout.h"
#include "rewriter/patch/Stages.h"
#include "rewriter/report/Report.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/xxhash.h"
#include <ctime>

using namespace osv;

/// Half of the time would go into backtraces of allocations and into fresh pages for what was freed long ago.
extern "C" const char *__asan_default_options() { return "malloc_context_size=2:quarantine_size_mb=4"; }

/// CPU time, since libFuzzer's time-out counts what other processes take as well.
static double cpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

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

static void writeReports(const Context &context) {
  std::string text, json, sarif, html;
  llvm::raw_string_ostream textStream(text), jsonStream(json), sarifStream(sarif), htmlStream(html);
  report::writeText(context, textStream);
  report::writeJson(context, jsonStream);
  report::writeSarif(context, sarifStream);
  report::writeHtml(context, htmlStream);
  VERIFY(bool(llvm::json::parse(json)) && bool(llvm::json::parse(sarif)));
}

static void inspect(const uint8_t *data, size_t size) {
  Context context;
  auto buffer =
      llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(reinterpret_cast<const char *>(data), size), "fuzz");
  llvm::Expected<elf::Image> image = elf::parseImage(std::move(buffer), "fuzz", context.diag);
  if (!image) {
    llvm::consumeError(image.takeError());
    return;
  }
  context.image = std::move(*image);
  for (auto stage : {analysis::findCode, analysis::identifyToolchain, analysis::findSyscalls,
                     analysis::findThreadPointer, analysis::findHazards})
    llvm::cantFail(stage(context));
  patch::planSites(context);
  analysis::judge(context);
  check(context);
  patch::makeStubs(context);
  llvm::consumeError(link::layOut(context, 300 << 10));
  if (llvm::xxh3_64bits(llvm::ArrayRef(data, size)) % 16 == 0)
    writeReports(context);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  constexpr double kHang = 10;
  double start = cpuSeconds();
  inspect(data, size);
  VERIFY(cpuSeconds() - start < kHang);
  return 0;
}

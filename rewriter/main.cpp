// SPDX-License-Identifier: BSD-3-Clause
//
// osv-rewrite: options, then the list of stages. A stage reads what the earlier ones left in the Context and returns an
// Error when the run cannot go on; findings about the input are collected in Diag. Only this file prints or decides on
// the exit status.
#include "rewriter/Context.h"
#include "rewriter/Options.h"
#include "rewriter/analysis/Stages.h"
#include "rewriter/elf/Reader.h"
#include "rewriter/link/BootImage.h"
#include "rewriter/link/Layout.h"
#include "rewriter/link/Relocations.h"
#include "rewriter/link/RootFs.h"
#include "rewriter/link/RuntimeLink.h"
#include "rewriter/link/SyscallTable.h"
#include "rewriter/patch/Stages.h"
#include "rewriter/report/Progress.h"
#include "rewriter/report/Report.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace osv;

enum ExitStatus { kDone = 0, kRefused = 1, kUsage = 2, kInternal = 3 };

static Error makeImage(Context &ctx) {
  // Relocations that a dynamic loader would apply become edits of the program's bytes.
  link::applyRelocations(ctx);
  patch::makeStubs(ctx);
  if (Error error = link::packRootFs(ctx))
    return error;

  // The kernel's size must be known before its place: the archive gives an upper bound.
  Expected<uint64_t> size = link::runtimeSize(ctx);
  if (!size)
    return size.takeError();
  if (Error error = link::layOut(ctx, *size + link::kernelDataSize(ctx)))
    return error;

  // Every address is fixed from here on, except those inside the kernel.
  if (ctx.opts.verbose)
    link::printLayout(ctx, errs());
  if (Error error = link::linkImage(ctx))
    return error;
  if (ctx.opts.verbose)
    link::printKernel(ctx, errs());
  return Error::success();
}

static Error inspect(Context &ctx) {
  report::Progress progress(ctx.diag.inputName());
  // Which bytes are code: nothing below looks at any other.
  progress.enter("looking for code");
  if (Error error = analysis::findCode(ctx))
    return error;

  // What the code does: system calls, the thread pointer, and what ring 0 would change.
  progress.enter("looking at the code");
  for (auto stage :
       {analysis::identifyToolchain, analysis::findSyscalls, analysis::findThreadPointer, analysis::findHazards})
    if (Error error = stage(ctx))
      return error;

  // Every system call gets its tactic before any byte is changed.
  patch::planSites(ctx);
  analysis::judge(ctx);

  // What the program cannot call, the kernel need not have.
  link::chooseCalls(ctx);
  return Error::success();
}

/// For --check: what makeImage would refuse, and where the kernel would be. Inspecting also works without a runtime.
static Error findRoom(Context &ctx) {
  Expected<uint64_t> size = link::runtimeSize(ctx);
  if (!size) {
    consumeError(size.takeError());
    return Error::success();
  }
  patch::makeStubs(ctx);
  return link::layOut(ctx, *size + link::kernelDataSize(ctx));
}

static Error makeOutput(Context &ctx) {
  if (ctx.opts.verifyOnly)
    return patch::verifyOutput(ctx);
  bool isImage = ctx.opts.outputKind == OutputKind::Image;
  if (Error error = isImage ? makeImage(ctx) : patch::writeNativeElf(ctx))
    return error;
  if (ctx.opts.verbose)
    patch::printPlan(ctx, errs());
  if (Error error = patch::explainSites(ctx, outs()))
    return error;
  // The file is written: trust nothing that led to it.
  return ctx.opts.verify ? patch::verifyOutput(ctx) : Error::success();
}

static Error run(Context &ctx, StringRef input) {
  // Map and validate: everything later trusts the parsed image.
  Expected<elf::Image> image = elf::readImage(input, ctx.diag);
  if (!image)
    return image.takeError();
  ctx.image = std::move(*image);

  if (Error error = inspect(ctx))
    return error;

  // All that is wrong with the program has been found: refuse it before anything is written.
  if (ctx.diag.hasErrors())
    return Error::success();
  return ctx.opts.check ? findRoom(ctx) : makeOutput(ctx);
}

/// One input from start to end.
static ExitStatus process(const CommandLine &line, StringRef input) {
  Context ctx;
  ctx.opts = line.opts;
  ctx.diag.setName(input);
  ctx.diag.setErrorLimit(line.errorLimit);
  for (const std::string &flag : line.warningFlags)
    cantFail(ctx.diag.applyFlag(flag));

  Error internal = handleErrors(run(ctx, input), [&](FindingError &e) { ctx.diag.report(std::move(e.finding)); });
  // The findings go into the reports as well, so these come first; what is wrong with the program is printed last.
  if (!internal)
    internal = handleErrors(report::writeReports(ctx, outs()),
                            [&](FindingError &e) { ctx.diag.report(std::move(e.finding)); });
  outs().flush();
  ctx.diag.flush(errs());
  if (internal) {
    errs() << input << ": internal error: " << toString(std::move(internal)) << '\n';
    return kInternal;
  }
  return ctx.diag.hasErrors() ? kRefused : kDone;
}

int main(int argc, char **argv) {
  errs().enable_colors(wantColours(errs()));
  Expected<CommandLine> line = parseCommandLine(argc, argv);
  if (!line) {
    errs() << "osv-rewrite: error: " << toString(line.takeError()) << "\nosv-rewrite: note: see 'osv-rewrite --help'\n";
    return kUsage;
  }
  if (line->help) {
    printHelp(outs());
    return kDone;
  }
  if (line->version) {
    outs() << "osv-rewrite " OSV_VERSION " (LLVM " LLVM_VERSION_STRING ")\n";
    return kDone;
  }
  int status = kDone;
  for (const std::string &input : line->inputs)
    status = std::max<int>(status, process(*line, input));
  return status;
}

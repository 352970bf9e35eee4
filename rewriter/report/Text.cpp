// SPDX-License-Identifier: BSD-3-Clause
//
// One screen that answers: will it run, and how does it use thread-local storage? Findings are printed by Diag on the
// error stream; this is what is true of the program apart from them.
#include "rewriter/report/Report.h"
#include "rewriter/report/Summary.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"

using namespace llvm;

namespace osv::report {

namespace {

/// "  label         text", wrapped at 100 columns with a hanging indent.
void field(raw_ostream &os, StringRef label, StringRef text) {
  constexpr size_t kIndent = 18, kWidth = 100 - kIndent;
  os << "  " << left_justify(label, kIndent - 2);
  while (text.size() > kWidth) {
    size_t cut = text.rfind(' ', kWidth);
    if (cut == StringRef::npos)
      break;
    os << text.take_front(cut) << '\n' << std::string(kIndent, ' ');
    text = text.drop_front(cut + 1);
  }
  os << text << '\n';
}

std::string percent(double share) {
  std::string text;
  raw_string_ostream(text) << format("%.1f", share * 100);
  return text;
}

void writeCode(const Context &context, raw_ostream &os) {
  const Coverage &coverage = context.code.coverage;
  std::string text = std::to_string(coverage.instructions) + " instructions in " +
                     std::to_string(context.code.functions.size()) + " functions proven, " + percent(coverage.share()) +
                     " % of " + std::to_string(coverage.executable) + " executable bytes";
  if (coverage.possible)
    text += " (" + std::to_string(coverage.possible) + " more bytes are possible code)";
  field(os, "code", text);
}

void writeThreadPointer(const Context &context, raw_ostream &os) {
  const Analysis &analysis = context.analysis;
  std::string text;
  for (const ThreadPointerSetup &setup : analysis.threadPointer) {
    if (!text.empty())
      text += ", ";
    text += name(setup.kind);
    if (std::string function = context.code.functionName(setup.addr); !function.empty())
      text += " in " + function;
    text += " at " + hex(setup.addr);
  }
  field(os, "thread pointer", text.empty() ? "never set" : text);
  if (const auto &tls = context.image.tls)
    field(os, "TLS template",
          std::to_string(tls->memsz) + " bytes (" + std::to_string(tls->filesz) + " initialised), aligned to " +
              std::to_string(tls->align));
  else
    field(os, "TLS template", "none");
}

void writeFs(const Context &context, raw_ostream &os) {
  FsSummary summary = summariseFs(context.analysis);
  std::string text = std::to_string(summary.total) + " accesses through %fs";
  const char *separator = ": ";
  for (unsigned i = 0; i < kNumFsClasses; i++) {
    if (!summary.counts[i])
      continue;
    text += separator + (std::to_string(summary.counts[i]) + " ") + name(FsClass(i));
    separator = ", ";
  }
  field(os, "TLS accesses", text);
  constexpr unsigned kMostNames = 24; // a screen is enough; the other reports have them all
  std::string list;
  unsigned listed = 0;
  std::map<std::string, unsigned> names = countTlsVariables(context);
  for (const auto &[symbol, count] : names)
    if (listed++ < kMostNames)
      list += (list.empty() ? "" : ", ") + symbol + " (" + std::to_string(count) + ")";
  if (listed > kMostNames)
    list += " and " + std::to_string(listed - kMostNames) + " more";
  if (!list.empty())
    field(os, "TLS variables", list);
}

void writeCalls(const Context &context, raw_ostream &os) {
  const Analysis &analysis = context.analysis;
  unsigned known = 0, wrappers = 0, proven = 0;
  for (const SyscallSite &site : analysis.sites) {
    known += site.number().has_value();
    wrappers += site.isWrapper;
    proven += site.proven;
  }
  field(os, "system calls",
        std::to_string(analysis.sites.size()) + " sites (" + std::to_string(proven) + " proven), " +
            std::to_string(known) + " with one known number, " + std::to_string(wrappers) + " in wrappers; " +
            std::to_string(analysis.uses.size()) + " different numbers" +
            (analysis.unknownCall ? ", and possibly others" : ""));
  std::array<std::string, 3> lists;
  for (const NumberUse &use : analysis.uses) {
    std::string &list = lists[unsigned(syscallProvided(use.number))];
    list += (list.empty() ? "" : " ") + callName(use.number);
  }
  if (!lists[unsigned(Provided::Partial)].empty())
    field(os, "  in part", lists[unsigned(Provided::Partial)]);
  if (!lists[unsigned(Provided::No)].empty())
    field(os, "  not provided", lists[unsigned(Provided::No)]);
}

/// What --syscalls=reachable does, or would do, and the size of a kernel that was linked.
void writeKernel(const Context &context, raw_ostream &os) {
  const std::vector<int64_t> &leftOut = context.kernelCalls.leftOut;
  const auto &size = context.kernelSize;
  if (size)
    field(os, "kernel", std::to_string(size->total()) + " bytes of the image");
  if (leftOut.empty())
    return;
  std::string text = std::to_string(leftOut.size()) + " system calls";
  if (size)
    text += ", " + std::to_string(size->saved) + " bytes";
  text += ":";
  for (int64_t number : leftOut)
    text += " " + callName(number);
  field(os, "  left out", text);
}

} // namespace

void writeText(const Context &context, raw_ostream &os) {
  const elf::Image &image = context.image;
  const Toolchain &toolchain = context.analysis.toolchain;
  unsigned errors = context.diag.errorCount();
  os << context.diag.inputName() << ": "
     << (errors == 0 ? std::string("will run")
                     : "will not run (" + std::to_string(errors) + (errors == 1 ? " error)" : " errors)"))
     << '\n';
  if (image.segments.empty()) // refused before it was understood
    return;
  std::string compilers;
  for (const std::string &compiler : toolchain.compilers)
    compilers += (compilers.empty() ? "" : "; ") + compiler;
  field(os, "program",
        std::string(kindName(image.kind)) + ", " + toolchain.language + ", libc: " + toolchain.libc +
            (image.symbols.empty() ? ", stripped" : ""));
  if (!compilers.empty())
    field(os, "made by", compilers);
  writeCode(context, os);
  writeThreadPointer(context, os);
  writeFs(context, os);
  writeCalls(context, os);
  writeKernel(context, os);
  std::string notes = std::to_string(context.analysis.halts.size()) + " hlt (become traps), " +
                      std::to_string(context.analysis.cpuids.size()) + " cpuid";
  if (unsigned ifuncs = context.analysis.ifuncs)
    notes += ", " + std::to_string(ifuncs) + " IFUNC symbols";
  field(os, "also", notes);
}

} // namespace osv::report

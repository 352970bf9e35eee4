// SPDX-License-Identifier: BSD-3-Clause
//
// One page that opens without a network: verdict, findings, a map of the program's memory drawn to scale, and sortable
// tables whose rows lead to the disassembly. The map is in MemoryMap.cpp.
#include "rewriter/Disassembly.h"
#include "rewriter/report/HtmlAssets.h"
#include "rewriter/report/MemoryMap.h"
#include "rewriter/report/Report.h"
#include "rewriter/report/Summary.h"
#include "llvm/ADT/StringExtras.h"
#include <map>
#include <set>

using namespace llvm;

namespace osv::report {

namespace {

/// Text from the file, made safe for HTML. Bytes that are no UTF-8 would make the page invalid.
struct Escaped {
  StringRef text;
};
raw_ostream &operator<<(raw_ostream &os, Escaped escaped) {
  std::string clean;
  for (unsigned char c : escaped.text)
    clean += c >= 0x80 || (c < 0x20 && c != '\n' && c != '\t') ? '?' : char(c);
  printHTMLEscaped(clean, os);
  return os;
}

class Page {
public:
  Page(const Context &context, raw_ostream &os) : context(context), map(context.code), os(os) {}
  void write();

private:
  void row(StringRef label, const Twine &text) {
    os << "<dt>" << label << "</dt><dd>" << Escaped{text.str()} << "</dd>\n";
  }
  /// A cell with an address that leads to its disassembly.
  void addressCell(VAddr addr) {
    os << "<td class=a data-key=" << addr.raw() << ">";
    link(addr);
    os << "</td>";
  }
  void link(VAddr addr) {
    shown.insert(addr);
    os << "<a href=\"#d" << hex(addr) << "\">" << hex(addr) << "</a>";
  }
  void cell(StringRef text) { os << "<td>" << Escaped{text} << "</td>"; }
  void number(int64_t value) { os << "<td class=n>" << value << "</td>"; }
  void tableHead(std::initializer_list<StringRef> columns) {
    os << "<div class=scroll><table class=sortable><thead><tr>";
    for (StringRef column : columns)
      os << "<th>" << column << "</th>";
    os << "</tr></thead><tbody>\n";
  }
  void tableEnd() { os << "</tbody></table></div>\n"; }

  void writeSummary();
  void writeFindings();
  void writeCalls();
  void writeSites();
  void writeThreadPointer();
  void writeFs();
  void writeDisassembly();

  const Context &context;
  const CodeMap &map;
  raw_ostream &os;
  std::set<VAddr> shown; ///< addresses whose disassembly is linked to
};

void Page::writeSummary() {
  const elf::Image &image = context.image;
  const Toolchain &toolchain = context.analysis.toolchain;
  bool rejected = context.diag.hasErrors();
  os << "<h1><code>" << Escaped{context.diag.inputName()} << "</code></h1>\n<p><span class=\"verdict "
     << (rejected ? "reject\">will not run" : "accept\">will run") << "</span></p>\n";
  if (image.segments.empty())
    return;
  os << "<dl>\n";
  row("program", Twine(kindName(image.kind)) + ", " + toolchain.language + ", libc: " + toolchain.libc +
                     (image.symbols.empty() ? ", stripped" : ""));
  for (const std::string &compiler : toolchain.compilers)
    row("made by", compiler);
  std::string share;
  raw_string_ostream(share) << format("%.2f", map.coverage.share() * 100);
  row("code", Twine(map.coverage.instructions) + " instructions in " + Twine(map.functions.size()) +
                  " functions proven: " + share + " % of " + Twine(map.coverage.executable) + " executable bytes");
  row("system calls", Twine(context.analysis.sites.size()) + " sites, " + Twine(context.analysis.uses.size()) +
                          " different numbers" + (context.analysis.usesComplete ? "" : ", possibly others"));
  if (const auto &tls = image.tls)
    row("TLS template", Twine(tls->memsz) + " bytes, aligned to " + Twine(tls->align));
  os << "</dl>\n";
}

void Page::writeFindings() {
  std::vector<const Finding *> findings = context.diag.sorted();
  os << "<h2 id=findings>Findings</h2>\n";
  if (findings.empty()) {
    os << "<p>None.</p>\n";
    return;
  }
  for (const Finding *finding : findings) {
    const char *severity = severityName(context.diag.severityOf(finding->id));
    os << "<p><span class=" << severity << ">" << severity << "</span> " << Escaped{finding->message} << " <code>["
       << diagInfo(finding->id).id << "]</code>";
    if (finding->address && !map.bytesFrom(*finding->address).empty()) {
      os << " at ";
      link(*finding->address);
    }
    os << "</p>\n";
    for (const DiagNote &note : finding->notes) {
      os << "<div>" << Escaped{note.text} << "</div>\n";
      if (!note.lines.empty()) {
        os << "<pre>";
        for (const std::string &line : note.lines)
          os << (StringRef(line).starts_with("  >") ? "<b>" : "") << Escaped{line}
             << (StringRef(line).starts_with("  >") ? "</b>" : "") << '\n';
        os << "</pre>\n";
      }
    }
  }
}

void Page::writeCalls() {
  os << "<h2 id=calls>System calls that it can make</h2>\n";
  tableHead({"number", "name", "provided", "site", "function", "through"});
  for (const NumberUse &use : context.analysis.uses) {
    os << "<tr>";
    number(use.number);
    cell(callName(use.number));
    cell(providedName(syscallProvided(use.number)));
    addressCell(use.site);
    cell(map.functionName(use.site));
    std::string chain;
    for (VAddr call : use.chain)
      chain += (chain.empty() ? "" : " < ") + map.functionName(call);
    cell(chain);
    os << "</tr>\n";
  }
  tableEnd();
}

void Page::writeSites() {
  os << "<h2 id=sites>System-call sites</h2>\n";
  tableHead({"address", "function", "numbers", "known", "tactic"});
  for (const SyscallSite &site : context.analysis.sites) {
    os << "<tr>";
    addressCell(site.addr);
    cell(map.functionName(site.addr));
    std::string names;
    for (int64_t value : ArrayRef(site.all.values).take_front(12))
      names += (names.empty() ? "" : " ") + callName(value);
    cell(names + (site.all.values.size() > 12 ? " ..." : ""));
    cell(site.all.complete ? "all" : site.isWrapper ? "in part (wrapper)" : "in part");
    cell(site.tactic);
    os << "</tr>\n";
  }
  tableEnd();
}

void Page::writeThreadPointer() {
  os << "<h2 id=tp>Thread pointer</h2>\n";
  tableHead({"address", "function", "how"});
  for (const ThreadPointerSetup &setup : context.analysis.threadPointer) {
    os << "<tr>";
    addressCell(setup.addr);
    cell(map.functionName(setup.addr));
    cell(name(setup.kind));
    os << "</tr>\n";
  }
  tableEnd();
}

void Page::writeFs() {
  os << "<h2 id=fs>Accesses through %fs</h2>\n";
  tableHead({"class", "count", "functions", "most in", "first"});
  for (unsigned i = 0; i < kNumFsClasses; i++) {
    std::map<std::string, unsigned> functions;
    std::optional<VAddr> first;
    unsigned count = 0;
    for (const FsAccess &access : context.analysis.fs) {
      if (unsigned(access.kind) != i)
        continue;
      count++;
      functions[map.functionName(access.addr)]++;
      first = first.value_or(access.addr);
    }
    if (!first)
      continue;
    auto most = std::max_element(functions.begin(), functions.end(),
                                 [](const auto &a, const auto &b) { return a.second < b.second; });
    os << "<tr>";
    cell(name(FsClass(i)));
    number(count);
    number(functions.size());
    cell(most->first + " (" + std::to_string(most->second) + ")");
    addressCell(*first);
    os << "</tr>\n";
  }
  tableEnd();
}

void Page::writeDisassembly() {
  constexpr size_t kMost = 4000;
  os << "<h2 id=disassembly>Disassembly</h2>\n";
  size_t count = 0;
  std::string function;
  for (VAddr addr : shown) {
    if (count++ >= kMost) {
      os << "<p>" << shown.size() - kMost << " more places are not shown.</p>\n";
      break;
    }
    os << "<details id=\"d" << hex(addr) << "\"><summary><span class=a>" << hex(addr) << "</span> "
       << Escaped{map.describe(context.image, addr)} << "</summary><pre>";
    for (const std::string &line : disassembleAround(map, addr, 4, 2)) {
      bool isMarked = StringRef(line).starts_with("  >");
      os << (isMarked ? "<b>" : "") << Escaped{line} << (isMarked ? "</b>" : "") << '\n';
    }
    os << "</pre></details>\n";
  }
}

void Page::write() {
  os << "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>\n<meta name=viewport "
        "content=\"width=device-width\">\n"
        "<title>"
     << Escaped{context.diag.inputName()} << " - osv-rewrite</title>\n<style>" << kStyle << "</style></head><body>\n";
  writeSummary();
  writeFindings();
  if (!context.image.segments.empty()) {
    os << "<h2 id=map>Memory</h2>\n";
    writeMemoryMap(context, os);
    writeThreadPointer();
    writeFs();
    writeCalls();
    writeSites();
    writeDisassembly();
  }
  os << "<script>" << kScript << "</script></body></html>\n";
}

} // namespace

void writeHtml(const Context &context, raw_ostream &os) { Page(context, os).write(); }

} // namespace osv::report

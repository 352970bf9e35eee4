// SPDX-License-Identifier: BSD-3-Clause
//
// One page that opens without a network: verdict, findings, a map of the program's memory drawn to scale, sortable
// tables, and the code of each place that these speak of. Places are the page's currency: a finding, a row of a table
// and a mark in the map lead to the place's line of disassembly (#d0x401000), which stands under its function
// (#f0x400ff0) and leads back to the finding (#finding-1). The map is in MemoryMap.cpp.
#include "rewriter/Disassembly.h"
#include "rewriter/report/HtmlAssets.h"
#include "rewriter/report/MemoryMap.h"
#include "rewriter/report/Report.h"
#include "rewriter/report/Summary.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"
#include <map>
#include <set>

using namespace llvm;

namespace osv::report {

namespace {

/// Text from the file, made safe for HTML.
struct Escaped {
  std::string text;
};
raw_ostream &operator<<(raw_ostream &os, const Escaped &escaped) {
  std::string clean = json::isUTF8(escaped.text) ? escaped.text : json::fixUTF8(escaped.text);
  for (char &c : clean)
    if ((uint8_t(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
      c = '?';
  printHTMLEscaped(clean, os);
  return os;
}

/// 1234567 as "1,234,567".
std::string grouped(uint64_t value) {
  std::string digits = std::to_string(value), text;
  for (size_t i = 0; i < digits.size(); i++)
    text += (i && (digits.size() - i) % 3 == 0 ? "," : "") + digits.substr(i, 1);
  return text;
}

std::string percent(double share) {
  std::string text;
  raw_string_ostream(text) << format("%.1f %%", share * 100);
  return text;
}

const char *plural(size_t count) { return count == 1 ? "" : "s"; }

class Page {
public:
  Page(const Context &context, raw_ostream &os)
      : context(context), map(context.code), findings(context.diag.sorted()), os(os) {
    collectPlaces();
  }
  void write();

private:
  void collectPlaces();
  void addPlace(VAddr addr) {
    constexpr size_t kMost = 4000; // a browser stays quick, and no more are ever looked at
    if (places.size() < kMost && !map.bytesFrom(addr).empty())
      places.insert(addr);
  }
  VAddr functionOf(VAddr addr) const {
    const Function *function = map.functionAt(addr);
    return function ? function->range.begin : addr;
  }

  void link(VAddr addr) {
    if (places.count(addr))
      os << "<a href=\"#d" << hex(addr) << "\">" << hex(addr) << "</a>";
    else
      os << hex(addr);
  }
  void functionLink(VAddr addr) {
    Escaped name{map.functionName(addr)};
    if (places.count(addr) && !name.text.empty())
      os << "<a href=\"#f" << hex(functionOf(addr)) << "\">" << name << "</a>";
    else
      os << name;
  }
  /// The two cells of a place: its address, and its function.
  void placeCells(VAddr addr) {
    os << "<td class=a data-key=" << addr.raw() << ">";
    link(addr);
    os << "</td><td class=a>";
    functionLink(addr);
    os << "</td>";
  }
  void cell(const Twine &text) { os << "<td>" << Escaped{text.str()} << "</td>"; }
  void number(int64_t value) { os << "<td class=n data-key=" << value << ">" << grouped(uint64_t(value)) << "</td>"; }
  /// A section with a table of so many things; long ones can be searched.
  void tableHead(StringRef id, StringRef title, size_t count, std::initializer_list<StringRef> columns,
                 bool isLong = true) {
    os << "<section id=" << id << "><h2>" << title << " <small>" << grouped(count) << "</small></h2>\n";
    if (isLong && count > 12)
      os << "<input class=search type=search placeholder=\"search\" aria-label=\"search in this table\">\n";
    os << "<div class=scroll><table class=sortable><thead><tr>";
    for (StringRef column : columns)
      os << "<th scope=col><button>" << column << "</button></th>";
    os << "</tr></thead><tbody>\n";
  }
  void tableEnd() { os << "</tbody></table></div></section>\n"; }
  void fact(StringRef label, const Twine &value, const Twine &detail) {
    os << "<div class=fact><span>" << label << "</span><strong>" << Escaped{value.str()} << "</strong><span>"
       << Escaped{detail.str()} << "</span></div>\n";
  }

  void writeHead();
  void writeFacts();
  void writeFindings();
  void writeCalls();
  void writeSites();
  void writeThreadPointer();
  void writeFs();
  void writeVariables();
  void writeCode();
  void writeFunction(VAddr begin, ArrayRef<VAddr> marked);
  std::string remarkOn(VAddr addr) const;

  const Context &context;
  const CodeMap &map;
  std::vector<const Finding *> findings;
  raw_ostream &os;
  std::set<VAddr> places;            ///< whose code is shown
  std::map<VAddr, size_t> findingAt; ///< number of the first finding about a place
};

void Page::collectPlaces() {
  const Analysis &analysis = context.analysis;
  for (size_t i = 0; i < findings.size(); i++)
    if (findings[i]->address) {
      addPlace(*findings[i]->address);
      findingAt.try_emplace(*findings[i]->address, i + 1);
    }
  for (const ThreadPointerSetup &setup : analysis.threadPointer)
    addPlace(setup.addr);
  for (const NumberUse &use : analysis.uses) {
    addPlace(use.site);
    for (VAddr call : use.chain)
      addPlace(call);
  }
  for (const SyscallSite &site : analysis.sites)
    addPlace(site.addr);
  std::set<FsClass> seen;
  for (const FsAccess &access : analysis.fs)
    if (seen.insert(access.kind).second)
      addPlace(access.addr);
}

void Page::writeHead() {
  bool rejected = context.diag.hasErrors();
  os << "<header><h1>" << Escaped{context.diag.inputName().str()} << "</h1>\n<p class=\"verdict "
     << (rejected ? "reject\">will not run" : "accept\">will run") << "</p></header>\n";
  if (context.image.segments.empty())
    return;
  os << "<nav>";
  for (StringRef id : {"findings", "map", "tp", "fs", "calls", "sites", "code"})
    os << "<a href=\"#" << id << "\">"
       << (id == "tp"      ? "thread pointer"
           : id == "fs"    ? "TLS accesses"
           : id == "map"   ? "memory"
           : id == "calls" ? "system calls"
                           : id)
       << "</a>";
  os << "</nav>\n";
}

void Page::writeFacts() {
  const elf::Image &image = context.image;
  const Analysis &analysis = context.analysis;
  const Toolchain &toolchain = analysis.toolchain;
  os << "<div class=facts>\n";
  fact("program", Twine(toolchain.language) + ", " + kindName(image.kind),
       "libc: " + Twine(toolchain.libc) + (image.symbols.empty() ? ", stripped" : ""));
  fact("code", percent(map.coverage.share()) + " proven",
       grouped(map.coverage.instructions) + " instructions in " + grouped(map.functions.size()) + " functions");
  std::array<unsigned, 3> provided{};
  for (const NumberUse &use : analysis.uses)
    provided[unsigned(syscallProvided(use.number))]++;
  fact("system calls", grouped(analysis.uses.size()) + " different" + (analysis.unknownCall ? ", possibly others" : ""),
       grouped(analysis.sites.size()) + " sites; provided: " + Twine(provided[unsigned(Provided::Full)]) + " fully, " +
           Twine(provided[unsigned(Provided::Partial)]) + " in part, " + Twine(provided[unsigned(Provided::No)]) +
           " not");
  fact("thread-local storage", image.tls ? grouped(image.tls->memsz) + " bytes a thread" : "no template",
       (image.tls ? "aligned to " + std::to_string(image.tls->align) + "; " : "") + grouped(analysis.fs.size()) +
           " accesses through %fs");
  if (const auto &size = context.kernelSize) {
    size_t leftOut = context.kernelCalls.leftOut.size();
    fact("kernel", grouped(size->total()) + " bytes of the image",
         leftOut ? grouped(leftOut) + " system calls left out, which saves " + grouped(size->saved) + " bytes"
                 : "with every system call");
  }
  os << "</div>\n";
  if (!toolchain.compilers.empty())
    os << "<p class=made>made by " << Escaped{join(toolchain.compilers, "; ")} << "</p>\n";
}

void Page::writeFindings() {
  os << "<section id=findings><h2>Findings <small>" << findings.size() << "</small></h2>\n";
  if (findings.empty())
    os << "<p>Nothing in this program stands in the way.</p>\n";
  for (size_t i = 0; i < findings.size(); i++) {
    const Finding &finding = *findings[i];
    const char *severity = severityName(context.diag.severityOf(finding.id));
    os << "<article id=finding-" << i + 1 << " class=" << severity << "><h3><span class=severity>" << severity
       << "</span> " << Escaped{finding.message} << " <code>[" << diagInfo(finding.id).id << "]</code></h3>\n";
    if (finding.address) {
      os << "<p>at ";
      link(*finding.address);
      if (!map.functionName(*finding.address).empty()) {
        os << " in ";
        functionLink(*finding.address);
      }
      os << "</p>\n";
    }
    for (const DiagNote &note : finding.notes) {
      os << "<p>" << Escaped{note.text} << "</p>\n";
      if (note.lines.empty())
        continue;
      os << "<pre>";
      for (const std::string &line : note.lines) {
        bool isMarked = StringRef(line).starts_with("  >");
        os << (isMarked ? "<b>" : "") << Escaped{line} << (isMarked ? "</b>" : "") << '\n';
      }
      os << "</pre>\n";
    }
    os << "</article>\n";
  }
  os << "</section>\n";
}

void Page::writeCalls() {
  const std::vector<NumberUse> &uses = context.analysis.uses;
  tableHead("calls", "System calls that it can make", uses.size(),
            {"number", "name", "provided", "site", "function", "called from"});
  for (const NumberUse &use : uses) {
    const char *provided = providedName(syscallProvided(use.number));
    os << "<tr><td class=n data-key=" << use.number << ">" << use.number << "</td>";
    cell(callName(use.number));
    os << "<td><span class=\"tag " << provided << "\">" << provided << "</span></td>";
    placeCells(use.site);
    os << "<td class=a>";
    for (VAddr call : use.chain) {
      os << (call == use.chain.front() ? "" : " &#8592; ");
      functionLink(call);
    }
    os << "</td></tr>\n";
  }
  tableEnd();
}

void Page::writeSites() {
  const std::vector<SyscallSite> &sites = context.analysis.sites;
  tableHead("sites", "System-call sites", sites.size(), {"address", "function", "numbers", "known", "tactic"});
  for (const SyscallSite &site : sites) {
    os << "<tr>";
    placeCells(site.addr);
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
  const std::vector<ThreadPointerSetup> &setups = context.analysis.threadPointer;
  tableHead("tp", "Thread pointer", setups.size(), {"address", "function", "how"});
  for (const ThreadPointerSetup &setup : setups) {
    os << "<tr>";
    placeCells(setup.addr);
    cell(name(setup.kind));
    os << "</tr>\n";
  }
  tableEnd();
}

void Page::writeFs() {
  const std::vector<FsAccess> &all = context.analysis.fs;
  tableHead("fs", "Accesses through %fs", all.size(), {"class", "count", "functions", "most in", "first", "function"},
            /*isLong=*/false);
  for (unsigned i = 0; i < kNumFsClasses; i++) {
    std::map<std::string, unsigned> functions;
    std::optional<VAddr> first;
    unsigned count = 0;
    for (const FsAccess &access : all) {
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
    cell((most->first.empty() ? "outside functions" : most->first) + " (" + std::to_string(most->second) + ")");
    placeCells(*first);
    os << "</tr>\n";
  }
  tableEnd();
}

void Page::writeVariables() {
  std::map<std::string, unsigned> variables = countTlsVariables(context);
  if (variables.empty())
    return;
  tableHead("variables", "Thread-local variables", variables.size(), {"name", "accesses"});
  for (const auto &[variable, count] : variables) {
    os << "<tr>";
    cell(variable);
    number(count);
    os << "</tr>\n";
  }
  tableEnd();
}

/// What is known of the instruction at a place, for the end of its line.
std::string Page::remarkOn(VAddr addr) const {
  const Analysis &analysis = context.analysis;
  std::string text;
  auto add = [&](const Twine &words) { text += (text.empty() ? "" : ", ") + words.str(); };
  auto site = partition_point(analysis.sites, [&](const SyscallSite &s) { return s.addr < addr; });
  if (site != analysis.sites.end() && site->addr == addr) {
    for (int64_t value : ArrayRef(site->all.values).take_front(4))
      add(callName(value));
    if (site->all.values.size() > 4 || !site->all.complete)
      add("...");
    if (!site->tactic.empty())
      add("tactic " + site->tactic);
  }
  for (const ThreadPointerSetup &setup : analysis.threadPointer)
    if (setup.addr == addr)
      add(name(setup.kind));
  auto access = partition_point(analysis.fs, [&](const FsAccess &a) { return a.addr < addr; });
  if (access != analysis.fs.end() && access->addr == addr)
    add(name(access->kind));
  return text;
}

void Page::writeFunction(VAddr begin, ArrayRef<VAddr> marked) {
  constexpr uint64_t kSmall = 160; // bytes: a wrapper is shown whole
  constexpr unsigned kBefore = 6, kAfter = 3;
  const Function *function = map.functionAt(marked.front());
  std::set<VAddr> lines(marked.begin(), marked.end());
  if (function && function->range.size() <= kSmall)
    for (VAddr addr : map.instructionsIn(function->range, /*wide=*/true))
      lines.insert(addr);
  for (VAddr place : marked) {
    VAddr at = place;
    for (unsigned i = 0; i < kBefore; i++) {
      std::optional<VAddr> previous = map.previousInstruction(at, /*wide=*/true);
      if (!previous || map.functionAt(*previous) != function)
        break;
      lines.insert(at = *previous);
    }
    at = place;
    for (unsigned i = 0; i < kAfter; i++) {
      at += map.shapeAt(at).length;
      if (!map.isPossibleStart(at) || map.functionAt(at) != function)
        break;
      lines.insert(at);
    }
  }
  os << "<details id=\"f" << hex(begin) << "\"><summary><span class=a>"
     << Escaped{function ? map.functionName(begin) : "outside functions"} << "</span> <small>" << hex(begin);
  if (function)
    os << ", " << grouped(function->range.size()) << " bytes";
  os << ", " << marked.size() << " place" << plural(marked.size()) << "</small></summary><pre>";
  std::optional<VAddr> expected;
  for (VAddr addr : lines) {
    if (expected && addr != *expected)
      os << "    <i>...</i>\n";
    expected = addr + map.shapeAt(addr).length;
    bool isMarked = is_contained(marked, addr);
    Escaped line{disassemblyLine(map, addr, isMarked)};
    if (!isMarked) {
      os << line << '\n';
      continue;
    }
    os << "<b id=\"d" << hex(addr) << "\">" << line << "</b>";
    if (std::string remark = remarkOn(addr); !remark.empty())
      os << "  <i>" << Escaped{remark} << "</i>";
    if (auto finding = findingAt.find(addr); finding != findingAt.end())
      os << "  <a href=\"#finding-" << finding->second << "\">finding " << finding->second << "</a>";
    os << '\n';
  }
  os << "</pre></details>\n";
}

void Page::writeCode() {
  std::map<VAddr, std::vector<VAddr>> functions;
  for (VAddr addr : places)
    functions[functionOf(addr)].push_back(addr);
  os << "<section id=code><h2>Code <small>" << functions.size() << " function" << plural(functions.size())
     << "</small></h2>\n";
  for (const auto &[begin, marked] : functions)
    writeFunction(begin, marked);
  os << "</section>\n";
}

void Page::write() {
  os << "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>\n<meta name=viewport "
        "content=\"width=device-width\">\n"
        "<title>"
     << Escaped{context.diag.inputName().str()} << " - osv-rewrite</title>\n<style>" << kStyle
     << "</style></head><body>\n";
  writeHead();
  if (context.image.segments.empty()) { // refused before it was understood
    writeFindings();
  } else {
    writeFacts();
    writeFindings();
    writeMemoryMap(context, places, os);
    writeThreadPointer();
    writeFs();
    writeVariables();
    writeCalls();
    writeSites();
    writeCode();
  }
  os << "<script>" << kScript << "</script></body></html>\n";
}

} // namespace

void writeHtml(const Context &context, raw_ostream &os) { Page(context, os).write(); }

} // namespace osv::report

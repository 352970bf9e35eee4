// SPDX-License-Identifier: BSD-3-Clause
//
// The report for programs. docs/analysis.md documents the schema; a change that takes something away or gives it
// another meaning raises kSchemaVersion. Addresses are strings ("0x401000"), since JSON's numbers end at 2^53.
#include "llvm/Support/JSON.h"
#include "rewriter/report/Report.h"
#include "rewriter/report/Summary.h"
#include <map>
#include <set>

using namespace llvm;

namespace osv::report {

namespace {

class Writer {
public:
  Writer(const Context &context, raw_ostream &os) : context(context), map(context.code), json(os, 2) {}
  void write();

private:
  void address(StringRef key, VAddr addr) { json.attribute(key, hex(addr)); }
  void function(VAddr addr) {
    std::string name = map.functionName(addr);
    if (name.empty())
      json.attribute("function", nullptr);
    else
      json.attribute("function", text(name));
  }
  /// Names come from the file and may be no UTF-8.
  static json::Value text(StringRef s) { return json::isUTF8(s) ? json::Value(s) : json::Value(json::fixUTF8(s)); }

  void writeProgram();
  void writeDiagnostics();
  void writeCalls();
  void writeKernel();
  void writeThreadPointer();
  void writeCoverage();

  const Context &context;
  const CodeMap &map;
  json::OStream json;
};

void Writer::writeProgram() {
  const elf::Image &image = context.image;
  const Toolchain &toolchain = context.analysis.toolchain;
  json.attributeObject("program", [&] {
    json.attribute("kind", kindName(image.kind));
    address("entry", image.entry);
    json.attribute("size", int64_t(image.buffer->getBufferSize()));
    json.attribute("stripped", image.symbols.empty());
    json.attribute("language", toolchain.language);
    json.attribute("libc", text(toolchain.libc));
    json.attribute("build_id", toolchain.buildId);
    json.attribute("ifuncs", int64_t(context.analysis.ifuncs));
    json.attributeArray("compilers", [&] {
      for (const std::string &compiler : toolchain.compilers)
        json.value(text(compiler));
    });
    json.attributeArray("segments", [&] {
      for (const elf::Segment &segment : image.segments)
        json.object([&] {
          address("address", segment.vaddr);
          json.attribute("file_size", int64_t(segment.filesz));
          json.attribute("memory_size", int64_t(segment.memsz));
          json.attribute("flags", std::string(segment.flags & 4 ? "r" : "-") + (segment.isWrite() ? "w" : "-") +
                                      (segment.isExec() ? "x" : "-"));
        });
    });
  });
  if (const auto &tls = image.tls)
    json.attributeObject("tls_template", [&] {
      address("address", tls->vaddr);
      json.attribute("file_size", int64_t(tls->filesz));
      json.attribute("memory_size", int64_t(tls->memsz));
      json.attribute("align", int64_t(tls->align));
    });
  else
    json.attribute("tls_template", nullptr);
}

void Writer::writeDiagnostics() {
  json.attributeArray("diagnostics", [&] {
    for (const Finding *finding : context.diag.sorted())
      json.object([&] {
        json.attribute("id", diagInfo(finding->id).id);
        json.attribute("severity", severityName(context.diag.severityOf(finding->id)));
        if (finding->address)
          address("address", *finding->address);
        else
          json.attribute("address", nullptr);
        if (finding->function.empty())
          json.attribute("function", nullptr);
        else
          json.attribute("function", text(finding->function));
        json.attribute("message", text(finding->message));
        json.attributeArray("notes", [&] {
          for (const DiagNote &note : finding->notes)
            json.object([&] {
              json.attribute("text", text(note.text));
              json.attributeArray("lines", [&] {
                for (const std::string &line : note.lines)
                  json.value(text(line));
              });
            });
        });
      });
  });
}

void Writer::writeCalls() {
  json.attributeArray("syscall_sites", [&] {
    for (const SyscallSite &site : context.analysis.sites)
      json.object([&] {
        address("address", site.addr);
        function(site.addr);
        if (std::optional<int64_t> number = site.number())
          json.attribute("number", *number);
        else
          json.attribute("number", nullptr);
        json.attributeArray("numbers", [&] {
          for (int64_t value : site.all.values)
            json.value(value);
        });
        json.attribute("complete", site.all.complete);
        json.attribute("wrapper", site.isWrapper);
        json.attribute("proven", site.proven);
        if (site.tactic.empty())
          json.attribute("tactic", nullptr);
        else
          json.attribute("tactic", site.tactic);
      });
  });
  json.attributeObject("syscalls", [&] {
    json.attribute("complete", !context.analysis.unknownCall);
    json.attributeArray("numbers", [&] {
      for (const NumberUse &use : context.analysis.uses)
        json.object([&] {
          json.attribute("number", use.number);
          if (const char *name = syscallName(use.number))
            json.attribute("name", name);
          else
            json.attribute("name", nullptr);
          json.attribute("provided", providedName(syscallProvided(use.number)));
          address("site", use.site);
          function(use.site);
          json.attributeArray("chain", [&] {
            for (VAddr call : use.chain)
              json.object([&] {
                address("address", call);
                function(call);
              });
          });
        });
    });
  });
}

void Writer::writeKernel() {
  json.attributeObject("kernel", [&] {
    const std::vector<int64_t> &leftOut = context.kernelCalls.leftOut;
    json.attribute("syscalls", leftOut.empty() ? "all" : "reachable");
    json.attributeArray("left_out", [&] {
      for (int64_t number : leftOut)
        json.object([&] {
          json.attribute("number", number);
          json.attribute("name", syscallName(number));
        });
    });
    if (const auto &size = context.kernelSize)
      json.attributeObject("size", [&] {
        json.attribute("total", int64_t(size->total()));
        json.attribute("text", int64_t(size->text));
        json.attribute("rodata", int64_t(size->rodata));
        json.attribute("data", int64_t(size->data));
        json.attribute("tables", int64_t(size->tables));
        json.attribute("symbols", int64_t(size->symbols));
        json.attribute("zeros", int64_t(size->zeros));
        json.attribute("saved", int64_t(size->saved));
      });
    else
      json.attribute("size", nullptr);
  });
}

void Writer::writeThreadPointer() {
  json.attributeArray("thread_pointer", [&] {
    for (const ThreadPointerSetup &setup : context.analysis.threadPointer)
      json.object([&] {
        address("address", setup.addr);
        function(setup.addr);
        json.attribute("kind", name(setup.kind));
        bool hasCode = setup.kind <= ThreadPointerKind::ArchOther;
        if (hasCode)
          json.attribute("code", hex(uint64_t(setup.code)));
        else
          json.attribute("code", nullptr);
      });
  });
  json.attributeObject("fs_accesses", [&] {
    for (unsigned i = 0; i < kNumFsClasses; i++) {
      std::map<std::string, int64_t> functions;
      int64_t count = 0;
      for (const FsAccess &access : context.analysis.fs) {
        if (unsigned(access.kind) != i)
          continue;
        count++;
        functions[map.functionName(access.addr)]++;
      }
      std::vector<std::pair<std::string, int64_t>> top(functions.begin(), functions.end());
      llvm::sort(top, [](const auto &a, const auto &b) {
        return a.second != b.second ? a.second > b.second : a.first < b.first;
      });
      json.attributeObject(name(FsClass(i)), [&] {
        json.attribute("count", count);
        json.attribute("functions", int64_t(functions.size()));
        json.attributeArray("most", [&] {
          for (const auto &[function, uses] : ArrayRef(top).take_front(8))
            json.object([&] {
              json.attribute("function", text(function));
              json.attribute("count", uses);
            });
        });
        if (FsClass(i) == FsClass::LocalExec)
          json.attributeObject("variables", [&] {
            for (const auto &[symbol, uses] : countTlsVariables(context))
              json.attribute(json::isUTF8(symbol) ? symbol : json::fixUTF8(symbol), int64_t(uses));
          });
      });
    }
  });
}

void Writer::writeCoverage() {
  const Coverage &coverage = map.coverage;
  json.attributeObject("code_coverage", [&] {
    json.attribute("executable_bytes", int64_t(coverage.executable));
    json.attribute("proven_bytes", int64_t(coverage.proven));
    json.attribute("padding_bytes", int64_t(coverage.padding));
    json.attribute("possible_bytes", int64_t(coverage.possible));
    json.attribute("instructions", int64_t(coverage.instructions));
    json.attribute("functions", int64_t(map.functions.size()));
    json.attribute("jump_tables", int64_t(map.jumpTables.size()));
    json.attribute("share", coverage.share());
  });
}

void Writer::write() {
  json.object([&] {
    json.attribute("schema", "osv-rewrite-report");
    json.attribute("version", kSchemaVersion);
    json.attribute("input", text(context.diag.inputName()));
    json.attribute("verdict", context.diag.hasErrors() ? "reject" : "accept");
    writeDiagnostics();
    if (context.image.segments.empty()) // refused before it was understood
      return;
    writeProgram();
    writeCoverage();
    writeThreadPointer();
    writeCalls();
    writeKernel();
    json.attributeArray("halts", [&] {
      for (VAddr halt : context.analysis.halts)
        json.value(hex(halt));
    });
    std::set<std::string> cpuid;
    for (VAddr addr : context.analysis.cpuids)
      cpuid.insert(map.functionName(addr));
    json.attributeArray("cpuid_functions", [&] {
      for (const std::string &function : cpuid)
        json.value(text(function));
    });
  });
}

} // namespace

void writeJson(const Context &context, raw_ostream &os) {
  Writer(context, os).write();
  os << '\n';
}

} // namespace osv::report

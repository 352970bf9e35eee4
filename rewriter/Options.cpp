// SPDX-License-Identifier: BSD-3-Clause
//
// Options.td turned into CommandLine, with every value checked.
#include "rewriter/Options.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Option/Arg.h"
#include "llvm/Option/ArgList.h"
#include "llvm/Option/OptTable.h"
#include "llvm/Option/Option.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace llvm::opt;

namespace osv {

namespace {

enum OptId {
  OPT_INVALID = 0,
#define OPTION(...) LLVM_MAKE_OPT_ID(__VA_ARGS__),
#include "rewriter/Options.inc"
#undef OPTION
};

#define PREFIX(NAME, VALUE)                                                                                            \
  constexpr StringLiteral NAME##_init[] = VALUE;                                                                       \
  constexpr ArrayRef<StringLiteral> NAME(NAME##_init, std::size(NAME##_init) - 1);
#include "rewriter/Options.inc"
#undef PREFIX

constexpr OptTable::Info kInfoTable[] = {
#define OPTION(...) LLVM_CONSTRUCT_OPT_INFO(__VA_ARGS__),
#include "rewriter/Options.inc"
#undef OPTION
};

class Table : public GenericOptTable {
public:
  Table() : GenericOptTable(kInfoTable) {}
};

/// Where the runtime is installed relative to this executable.
std::string defaultLibDir(const char *argv0) {
  static int anchor;
  SmallString<256> dir(sys::path::parent_path(sys::path::parent_path(sys::fs::getMainExecutable(argv0, &anchor))));
  sys::path::append(dir, "lib", "osv");
  return dir.str().str();
}

/// Adds K=V; a later K replaces an earlier one, in its place.
Error addEnvironment(std::vector<std::string> &env, StringRef entry) {
  size_t equals = entry.find('=');
  if (equals == StringRef::npos || equals == 0)
    return createStringError("--env '" + entry + "' is not of the form K=V");
  StringRef key = entry.take_front(equals + 1);
  auto old = find_if(env, [&](const std::string &e) { return StringRef(e).starts_with(key); });
  if (old != env.end())
    *old = entry.str();
  else
    env.push_back(entry.str());
  return Error::success();
}

/// One --report=KIND[=FILE].
Error addReport(std::vector<Report> &reports, StringRef value) {
  auto [kindName, file] = value.split('=');
  std::optional<ReportKind> kind = StringSwitch<std::optional<ReportKind>>(kindName)
                                       .Case("text", ReportKind::Text)
                                       .Case("json", ReportKind::Json)
                                       .Case("sarif", ReportKind::Sarif)
                                       .Case("html", ReportKind::Html)
                                       .Default(std::nullopt);
  if (!kind)
    return createStringError("--report=" + kindName + " is none of 'text', 'json', 'sarif' and 'html'");
  if (file.empty() && value.contains('='))
    return createStringError("--report=" + value + " names no file");
  reports.push_back({*kind, file.str()});
  return Error::success();
}

} // namespace

Expected<CommandLine> parseCommandLine(int argc, char **argv) {
  Table table;
  unsigned missingIndex = 0, missingCount = 0;
  InputArgList args = table.ParseArgs(ArrayRef<const char *>(argv + 1, argc - 1), missingIndex, missingCount);
  CommandLine line;
  line.help = args.hasArg(OPT_help);
  line.version = args.hasArg(OPT_version);
  if (line.help || line.version)
    return line;
  if (missingCount)
    return createStringError("option '" + Twine(args.getArgString(missingIndex)) + "' needs a value");
  for (const Arg *arg : args.filtered(OPT_UNKNOWN)) {
    std::string nearest, text = arg->getAsString(args);
    bool known = table.findNearest(text, nearest) <= 2;
    return createStringError("unknown option '" + text + "'" + (known ? ", did you mean '" + nearest + "'?" : ""));
  }

  Options &opts = line.opts;
  line.inputs = args.getAllArgValues(OPT_INPUT);
  opts.output = args.getLastArgValue(OPT_output).str();
  opts.check = args.hasArg(OPT_check);
  opts.verbose = args.hasArg(OPT_verbose);
  opts.debugInfo = args.hasArg(OPT_debug);
  opts.root = args.getLastArgValue(OPT_root).str();
  opts.args = args.getAllArgValues(OPT_dash_dash);
  opts.libDir = args.getLastArgValue(OPT_lib_dir).str();
  if (opts.libDir.empty())
    opts.libDir = defaultLibDir(argv[0]);

  StringRef tls = args.getLastArgValue(OPT_tls, "gs");
  if (tls != "gs" && tls != "fs")
    return createStringError("--tls=" + tls + " is neither 'gs' nor 'fs'");
  opts.tlsModel = tls == "gs" ? abi::kTlsGs : abi::kTlsFs;
  StringRef patch = args.getLastArgValue(OPT_patch, "safe");
  auto mode = StringSwitch<std::optional<PatchMode>>(patch)
                  .Case("none", PatchMode::None)
                  .Case("safe", PatchMode::Safe)
                  .Case("all", PatchMode::All)
                  .Default(std::nullopt);
  if (!mode)
    return createStringError("--patch=" + patch + " is none of 'none', 'safe' and 'all'");
  opts.patch = *mode;
  StringRef syscalls = args.getLastArgValue(OPT_syscalls, "all");
  if (syscalls != "all" && syscalls != "reachable")
    return createStringError("--syscalls=" + syscalls + " is neither 'all' nor 'reachable'");
  opts.syscalls = syscalls == "all" ? SyscallChoice::All : SyscallChoice::Reachable;
  StringRef emit = args.getLastArgValue(OPT_emit, "image");
  if (emit != "image" && emit != "elf")
    return createStringError("--emit=" + emit + " is neither 'image' nor 'elf'");
  opts.outputKind = emit == "elf" ? OutputKind::NativeElf : OutputKind::Image;
  opts.verifyOnly = args.hasArg(OPT_verify_only);
  opts.verify = args.hasArg(OPT_verify) || opts.verifyOnly;
  opts.explain = args.getAllArgValues(OPT_explain_site);
  for (const std::string &entry : args.getAllArgValues(OPT_env))
    if (Error error = addEnvironment(opts.env, entry))
      return error;
  if (const Arg *arg = args.getLastArg(OPT_error_limit))
    if (StringRef(arg->getValue()).getAsInteger(10, line.errorLimit))
      return createStringError("--error-limit=" + Twine(arg->getValue()) + " is no number");
  for (const std::string &value : args.getAllArgValues(OPT_report))
    if (Error error = addReport(opts.reports, value))
      return error;
  if (opts.check && opts.reports.empty())
    opts.reports.push_back({ReportKind::Text, ""});
  line.warningFlags = args.getAllArgValues(OPT_warning);
  Diag scratch;
  for (const std::string &flag : line.warningFlags)
    if (Error error = scratch.applyFlag(flag))
      return error;

  if (line.inputs.empty())
    return createStringError("no input program");
  if (line.inputs.size() > 1 && any_of(opts.reports, [](const Report &r) { return !r.file.empty(); }))
    return createStringError("a report of several inputs cannot go to one file");
  if (opts.check) {
    if (!opts.output.empty())
      return createStringError("--check makes no image, so '-o' has no meaning");
    return line;
  }
  if (line.inputs.size() > 1)
    return createStringError("more than one input: '" + line.inputs[0] + "' and '" + line.inputs[1] +
                             "' (arguments of the program go after '--')");
  if (opts.output.empty())
    return createStringError("no output: name the image with '-o'");
  if (sys::fs::equivalent(opts.output, line.inputs[0]))
    return createStringError("'-o' names the input program itself");
  return line;
}

void printHelp(raw_ostream &os) {
  Table().printHelp(os,
                    "osv-rewrite <program> -o <image> [options] [-- <arguments>...]\n"
                    "       osv-rewrite --check <program>...",
                    "osv-rewrite: make a bootable image of a static x86-64 Linux program");
  os << "\nExit status: 0 done, 1 program refused and nothing written, 2 wrong usage, 3 internal error.\n";
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// osv-run IMAGE [options] [-- ARGS...]: boots an image that osv-rewrite made, under QEMU, and behaves as the program in
// it would behave natively: same standard streams, byte for byte, same exit status.
//
// Here: the command line and the order of things. Machine knows QEMU, Frames the protocol, Session moves the bytes.
#include "ImageFile.h"
#include "Machine.h"
#include "Session.h"
#include "Terminal.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Option/ArgList.h"
#include "llvm/Option/OptTable.h"
#include "llvm/Option/Option.h"
#include "llvm/Support/Errno.h"
#include "llvm/Support/raw_ostream.h"
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <unistd.h>

using namespace llvm;
using namespace llvm::opt;
using namespace osv;
using namespace osv::run;

namespace {
enum OptionId {
  OPT_INVALID = 0,
#define OPTION(...) LLVM_MAKE_OPT_ID(__VA_ARGS__),
#include "Options.inc"
#undef OPTION
};
#define PREFIX(NAME, VALUE)                                                                                            \
  constexpr StringLiteral NAME##_init[] = VALUE;                                                                       \
  constexpr ArrayRef<StringLiteral> NAME(NAME##_init, std::size(NAME##_init) - 1);
#include "Options.inc"
#undef PREFIX
constexpr OptTable::Info kInfo[] = {
#define OPTION(...) LLVM_CONSTRUCT_OPT_INFO(__VA_ARGS__),
#include "Options.inc"
#undef OPTION
};
class OptionTable : public GenericOptTable {
public:
  OptionTable() : GenericOptTable(kInfo) {}
};

[[noreturn]] void usageError(const Twine &what) {
  errs() << "osv-run: error: " << what << "\nosv-run: note: osv-run --help shows the options\n";
  exit(kUsage);
}

/// Descriptors 0 to 2 must be open, or the pipes to QEMU would take their numbers.
void openStandardDescriptors() {
  int fd;
  do
    fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd < 3);
  if (fd >= 3)
    close(fd);
}

/// The signals that whoever started us wants to be ignored (nohup; a shell's background jobs): bit n-1 for signal n.
/// The program inherits that, as it would natively.
uint64_t ignoredSignals() {
  uint64_t set = 0;
  for (int number = 1; number <= 31; ++number) {
    struct sigaction action;
    if (sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN)
      set |= uint64_t(1) << (number - 1);
  }
  return set;
}

template <typename T> T numberOption(const InputArgList &args, OptionId id, StringRef name, T otherwise, T least) {
  const Arg *arg = args.getLastArg(id);
  if (!arg)
    return otherwise;
  T value;
  StringRef text = arg->getValue();
  bool wrong;
  if constexpr (std::is_floating_point_v<T>)
    wrong = text.getAsDouble(value);
  else
    wrong = text.getAsInteger(10, value);
  if (wrong || !(value >= least))
    usageError("'" + text + "' is not a value for " + name);
  return value;
}

/// The kernel's command line for this run: the protocol, what the terminal is like, and what the user asked for.
std::string kernelCommandLine(const InputArgList &args, const std::vector<std::string> *programArguments) {
  std::string line = "osv.console=mux";
  unsigned terminals = terminalMask();
  line += " osv.tty=" + std::to_string(terminals);
  if (std::optional<WindowSize> size = windowSize())
    line += " osv.winsize=" + std::to_string(size->rows) + "x" + std::to_string(size->columns);
  if (programArguments) {
    if (programArguments->size() == 1 && programArguments->front().empty())
      usageError("a single empty argument cannot be handed to the program");
    line += " " + listWord("osv.args", *programArguments);
  }
  std::vector<std::string> environment = args.getAllArgValues(OPT_env_EQ);
  for (const std::string &entry : environment)
    if (StringRef(entry).find('=') == StringRef::npos || entry[0] == '=')
      usageError("'" + entry + "' is not a variable: --env wants NAME=VALUE");
  if (!environment.empty())
    line += " " + listWord("osv.env", environment);
  if (uint64_t ignored = ignoredSignals())
    line += " osv.ignore=" + utostr(ignored);
  if (args.hasArg(OPT_trace))
    line += " osv.trace=1";
  for (const std::string &words : args.getAllArgValues(OPT_append_EQ))
    line += " " + words;
  return line;
}

/// One line that a shell would run.
void printCommand(ArrayRef<std::string> command) {
  StringRef separator = "";
  for (StringRef word : command) {
    outs() << std::exchange(separator, " ");
    if (!word.empty() && all_of(word, [](char c) { return isAlnum(c) || StringRef("-_./:=+@,%").contains(c); }))
      outs() << word;
    else
      outs() << '\'' << join(split(word, '\''), "'\\''") << '\'';
  }
  outs() << '\n';
}
} // namespace

int main(int argc, char **argv) {
  openStandardDescriptors();

  // The program's arguments end the ones that are ours.
  std::vector<std::string> programArguments;
  char **end = std::find(argv + 1, argv + argc, StringRef("--"));
  bool hasProgramArguments = end != argv + argc;
  if (hasProgramArguments)
    programArguments.assign(end + 1, argv + argc);

  OptionTable table;
  unsigned missingIndex, missingCount;
  InputArgList args =
      table.ParseArgs(ArrayRef(const_cast<const char *const *>(argv + 1), end - argv - 1), missingIndex, missingCount);
  if (args.hasArg(OPT_help)) {
    table.printHelp(outs(), "osv-run IMAGE [options] [-- ARGS...]", "Runs an image made by osv-rewrite");
    return 0;
  }
  if (args.hasArg(OPT_version)) {
    outs() << "osv-run 0.1.0\n";
    return 0;
  }
  if (missingCount != 0)
    usageError("option '" + Twine(args.getArgString(missingIndex)) + "' wants a value");
  for (const Arg *unknown : args.filtered(OPT_UNKNOWN))
    usageError("unknown option '" + unknown->getAsString(args) + "'");
  std::vector<std::string> inputs = args.getAllArgValues(OPT_INPUT);
  if (inputs.empty())
    usageError("no image given");
  if (inputs.size() > 1)
    usageError("unexpected argument '" + inputs[1] + "': arguments of the program come after --");

  MachineOptions machineOptions;
  machineOptions.image = inputs.front();
  machineOptions.memory = args.getLastArgValue(OPT_memory, "64M").str();
  machineOptions.machine = args.getLastArgValue(OPT_machine_EQ, "microvm").str();
  machineOptions.cpu = args.getLastArgValue(OPT_cpu_EQ, "max").str();
  machineOptions.accel = args.getLastArgValue(OPT_accel_EQ, "tcg").str();
  machineOptions.processors = numberOption<unsigned>(args, OPT_smp_EQ, "--smp", 1, 1);
  machineOptions.icount = args.hasArg(OPT_icount);
  machineOptions.gdb = args.hasArg(OPT_gdb);
  machineOptions.qemuArguments = args.getAllArgValues(OPT_qemu_arg_EQ);
  if (!StringRef("pc|q35|microvm").contains(machineOptions.machine) || machineOptions.machine.size() < 2)
    usageError("'" + machineOptions.machine + "' is not a machine: pc, q35 or microvm");
  if (machineOptions.accel == "auto")
    machineOptions.accel = !machineOptions.icount && kvmWorks() ? "kvm" : "tcg";
  else if (machineOptions.accel != "tcg" && machineOptions.accel != "kvm")
    usageError("'" + machineOptions.accel + "' is not an accelerator: tcg, kvm or auto");
  if (machineOptions.icount && machineOptions.accel == "kvm")
    usageError("--icount needs --accel=tcg");
  machineOptions.commandLine = kernelCommandLine(args, hasProgramArguments ? &programArguments : nullptr);

  SessionOptions sessionOptions;
  sessionOptions.image = machineOptions.image;
  sessionOptions.ignoredSignals = ignoredSignals();
  sessionOptions.timeout = numberOption<double>(args, OPT_timeout_EQ, "--timeout", 0, 0);
  sessionOptions.verbose = args.hasArg(OPT_verbose, OPT_trace);

  std::vector<std::string> command = qemuCommand(machineOptions);
  if (args.hasArg(OPT_print_command)) {
    printCommand(command);
    return 0;
  }
  if (Error error = checkImage(machineOptions.image, machineOptions.memory)) {
    errs() << "osv-run: error: " << toString(std::move(error)) << '\n';
    return kMachineStatus;
  }
  if (machineOptions.gdb)
    errs() << "osv-run: waiting for gdb: gdb " << machineOptions.image << " -ex 'target remote :1234'\n";

  Expected<Machine> machine = Machine::start(command);
  if (!machine) {
    errs() << "osv-run: error: " << toString(machine.takeError()) << '\n';
    return kMachineStatus;
  }
  return Session(*machine, sessionOptions).run();
}

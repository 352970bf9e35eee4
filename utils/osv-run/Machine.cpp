// SPDX-License-Identifier: BSD-3-Clause
//
// QEMU's command line and its process.
//
// COM1 is QEMU's `stdio` character device over two pipes. A guest that writes 4 MiB to the port takes 2.9 s
// over pipes and 6.6 s over a socket pair: QEMU writes one byte per system call, and a socket gives each a buffer of
// its own. Flow control holds in both directions: QEMU stops emulating the transmitter while its output pipe is full,
// and reads its input only as fast as the guest empties the receive FIFO.
//
// microvm boots fastest: qboot instead of SeaBIOS (QEMU takes it when ACPI is off), no PCI. The legacy devices that our
// kernel uses on every PC (PIC, PIT, RTC, COM1) are asked for by name.
#include "Machine.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Errno.h"
#include "llvm/Support/Program.h"
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace llvm;
namespace osv::run {

namespace {
constexpr int kOutputPipeSize = 1 << 20; ///< the most that an unprivileged process may ask for
constexpr int kInputPipeSize = 16 << 10; ///< small: a signal for the program waits behind these bytes

Error systemError(const Twine &what) {
  return createStringError(std::error_code(errno, std::generic_category()), what + ": " + sys::StrError());
}

struct Pipe {
  int read = -1, write = -1;
};

Expected<Pipe> makePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return systemError("cannot make a pipe");
  return Pipe{ends[0], ends[1]};
}

void setNonBlocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

std::string machineArgument(const MachineOptions &options) {
  std::string argument = options.machine;
  if (options.machine == "microvm")
    argument += ",acpi=off,pit=on,pic=on,rtc=on,isa-serial=on";
  else if (options.machine == "pc" || options.machine == "q35")
    argument += ",usb=off,vmport=off,graphics=off";
  return argument;
}
} // namespace

std::vector<std::string> qemuCommand(const MachineOptions &options) {
  const char *chosen = getenv("OSV_QEMU");
  std::vector<std::string> command = {chosen ? chosen : "qemu-system-x86_64"};
  auto add = [&](std::initializer_list<std::string> words) { command.insert(command.end(), words); };
  add({"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-vga", "none", "-net", "none"});
  add({"-monitor", "none", "-parallel", "none"});
  add({"-chardev", "stdio,id=com1,signal=off,mux=off", "-serial", "chardev:com1"});
  add({"-machine", machineArgument(options), "-accel", options.accel});
  add({"-cpu", options.cpu, "-m", options.memory});
  if (options.processors != 1)
    add({"-smp", utostr(options.processors)});
  if (options.icount)
    add({"-icount", "shift=0,sleep=off"});
  if (options.gdb)
    add({"-s", "-S"});
  add({"-kernel", options.image});
  if (!options.commandLine.empty())
    add({"-append", options.commandLine});
  command.insert(command.end(), options.qemuArguments.begin(), options.qemuArguments.end());
  return command;
}

Expected<Machine> Machine::start(const std::vector<std::string> &command) {
  ErrorOr<std::string> program = sys::findProgramByName(command.front());
  if (!program)
    return createStringError(program.getError(), "cannot find '" + command.front() + "': " +
                                                     program.getError().message() + " (utils/setup installs it)");
  std::vector<char *> arguments;
  for (const std::string &word : command)
    arguments.push_back(const_cast<char *>(word.c_str()));
  arguments.push_back(nullptr);

  Expected<Pipe> in = makePipe(), out = makePipe(), messages = makePipe();
  if (Error error = joinErrors(joinErrors(in.takeError(), out.takeError()), messages.takeError()))
    return std::move(error);
  fcntl(out->write, F_SETPIPE_SZ, kOutputPipeSize); // only speed depends on it
  fcntl(in->write, F_SETPIPE_SZ, kInputPipeSize);

  Machine machine;
  pid_t parent = getpid();
  machine.pid = fork();
  if (machine.pid < 0)
    return systemError("cannot start a process");
  if (machine.pid == 0) {
    // A session of its own: the terminal's Ctrl-C must reach osv-run, not QEMU.
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
      _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    dup2(in->read, 0);
    dup2(out->write, 1);
    dup2(messages->write, 2);
    execv(program->c_str(), arguments.data());
    std::string text = "cannot run '" + *program + "': " + sys::StrError() + "\n";
    (void)!write(2, text.data(), text.size());
    _exit(127);
  }
  close(in->read);
  close(out->write);
  close(messages->write);
  machine.toGuest = in->write;
  machine.fromGuest = out->read;
  machine.messages = messages->read;
  for (int fd : {machine.toGuest, machine.fromGuest, machine.messages})
    setNonBlocking(fd);
  return std::move(machine);
}

Machine::Machine(Machine &&other)
    : toGuest(std::exchange(other.toGuest, -1)), fromGuest(std::exchange(other.fromGuest, -1)),
      messages(std::exchange(other.messages, -1)), pid(std::exchange(other.pid, -1)), status(other.status) {}

Machine::~Machine() {
  kill();
  wait();
  for (int fd : {toGuest, fromGuest, messages})
    if (fd >= 0)
      close(fd);
}

void Machine::signal(int number) {
  if (pid > 0)
    ::kill(pid, number);
}

void Machine::kill() { signal(SIGKILL); }

int Machine::wait() {
  if (pid > 0) {
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    pid = -1;
  }
  return status;
}

} // namespace osv::run

// SPDX-License-Identifier: BSD-3-Clause
//
// The event loop. One thread, one poll; nothing in it blocks, so output flows while the guest does not read its input,
// input and signals flow while nobody reads our output, and memory stays bounded: we stop reading from one side while
// the other does not take what we have (the UART then stops the guest).
//
// How a run ends:
//   - the Exit frame: write out what is queued, kill QEMU at once, take the status from the frame;
//   - end of QEMU without that frame (triple fault, QEMU's own error): show QEMU's messages and the log, status 71;
//   - a first SIGINT, SIGTERM, SIGQUIT or SIGHUP is handed to the program, which may catch it; a second one kills the
//   machine; Ctrl-C typed at our terminal is just a byte to the guest, and kills when it did not answer the one before;
//   - the time limit: kill, show the log, status 124.
#include "Session.h"
#include "Backtrace.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/raw_ostream.h"
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace llvm;
namespace osv::run {
using abi::FrameType;

namespace {
constexpr size_t kReadSize = 256 << 10;
constexpr size_t kMaxQueued = 1 << 20;  ///< output that waits for our reader before we stop reading the guest
constexpr size_t kMaxToGuest = 8 << 10; ///< input that waits for the guest before we stop reading standard input
constexpr size_t kMaxTyped = 64 << 10;  ///< what is typed beyond this is lost, as in any terminal
constexpr size_t kMaxLog = 1 << 20;     ///< the oldest half is dropped beyond this
constexpr size_t kMaxNoise = 64 << 10;

constexpr int kHandledSignals[] = {SIGINT,  SIGTERM, SIGQUIT, SIGHUP,  SIGWINCH,
                                   SIGTSTP, SIGCONT, SIGUSR1, SIGUSR2, SIGALRM};

void appendBounded(std::string &to, StringRef bytes, size_t limit) {
  to.append(bytes.data(), bytes.size());
  if (to.size() > limit)
    to.erase(0, to.size() - limit / 2);
}

/// Blocks the signals that we handle; the descriptor to read them from.
int takeSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : kHandledSignals)
    sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

bool endsProgram(int number) { return number == SIGINT || number == SIGTERM || number == SIGQUIT || number == SIGHUP; }
} // namespace

Session::Session(Machine &machine, const SessionOptions &options)
    : machine(machine), options(options), signalFd(takeSignals()) {
  if (options.timeout > 0) {
    timerFd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    double whole;
    itimerspec limit = {};
    limit.it_value.tv_nsec = long(std::modf(options.timeout, &whole) * 1e9);
    limit.it_value.tv_sec = time_t(whole);
    if (limit.it_value.tv_sec == 0 && limit.it_value.tv_nsec == 0)
      limit.it_value.tv_nsec = 1;
    timerfd_settime(timerFd, 0, &limit, nullptr);
  }
}

Session::~Session() {
  close(signalFd);
  if (timerFd >= 0)
    close(timerFd);
}

/// Text that is not the program's, for standard error: -v.
void Session::showNow(StringRef text) {
  if (!terminal.outputIsRaw())
    return output.add(2, text);
  while (!text.empty()) {
    StringRef line = text.take_until([](char c) { return c == '\n'; });
    output.add(2, line);
    if (line.size() < text.size())
      output.add(2, "\r\n");
    text = text.drop_front(std::min(line.size() + 1, text.size()));
  }
}

void Session::onNoise(StringRef bytes) {
  if (options.verbose)
    showNow(bytes);
  else
    appendBounded(noise, bytes, kMaxNoise);
}

void Session::onFrame(FrameType type, StringRef payload) {
  if (end != End::Running)
    return; // nothing counts after the Exit frame
  switch (type) {
  case FrameType::Stdout:
    output.add(1, payload);
    break;
  case FrameType::Stderr:
    output.add(2, payload);
    break;
  case FrameType::Log:
    if (options.verbose)
      showNow(payload);
    else
      appendBounded(log, payload, kMaxLog);
    break;
  case FrameType::Backtrace:
    backtrace += payload;
    break;
  case FrameType::Stop:
    output.flush();
    stopAndContinue();
    break;
  case FrameType::Exit:
    if (payload.size() == sizeof(abi::ExitFrame)) {
      exit = abi::ExitFrame{uint8_t(payload[0]), uint8_t(payload[1])};
      end = End::Told;
    } else {
      end = End::Broken;
    }
    break;
  default:
    break;
  }
}

void Session::readGuest() {
  static char buffer[kReadSize];
  ssize_t n = read(machine.fromGuest, buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n <= 0) {
    end = End::Died;
    return;
  }
  heardSinceKey = true;
  bool understood = parser.feed(
      StringRef(buffer, n), [this](FrameType type, StringRef payload) { onFrame(type, payload); },
      [this](StringRef bytes) { onNoise(bytes); });
  if (!understood && end == End::Running)
    end = End::Broken;
}

/// Ctrl-C and Ctrl-\ are for the guest's line discipline, but the next one ends a machine that has said nothing since.
void Session::watchKeys(StringRef keys) {
  size_t key = keys.find_first_of("\x03\x1c");
  if (key == StringRef::npos)
    return;
  if (!std::exchange(heardSinceKey, false) || !parser.sawMagic()) {
    endSignal = keys[key] == '\x03' ? SIGINT : SIGQUIT;
    end = End::Killed;
  }
}

void Session::readStdin() {
  char buffer[abi::kMuxMaxPayload];
  ssize_t n = read(0, buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n > 0) {
    StringRef bytes(buffer, n);
    if (terminal.isEntered()) {
      watchKeys(bytes);
      if (toGuest.size() - sent > kMaxTyped)
        return;
    }
    appendFrame(toGuest, FrameType::Stdin, bytes);
    return;
  }
  stdinOpen = false; // an error (EIO of a lost terminal, EISDIR) ends the input as well
  appendFrame(toGuest, FrameType::StdinEof, StringRef());
}

void Session::writeGuest() {
  while (sent < toGuest.size()) {
    ssize_t n = write(machine.toGuest, toGuest.data() + sent, toGuest.size() - sent);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno != EAGAIN) {
      stdinOpen = false; // QEMU is ending: readGuest sees how
      sent = toGuest.size();
    }
    if (n < 0)
      break;
    sent += n;
  }
  if (sent == toGuest.size()) {
    toGuest.clear();
    sent = 0;
  }
}

void Session::readMessages() {
  char buffer[4096];
  ssize_t n = read(machine.messages, buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n <= 0) {
    close(machine.messages);
    machine.messages = -1;
    return;
  }
  if (options.verbose)
    showNow(StringRef(buffer, n));
  else
    appendBounded(messages, StringRef(buffer, n), kMaxNoise);
}

void Session::sendWindowSize() {
  if (std::optional<WindowSize> size = windowSize()) {
    char payload[4];
    support::endian::write16le(payload, size->rows);
    support::endian::write16le(payload + 2, size->columns);
    appendFrame(toGuest, FrameType::WindowSize, StringRef(payload, sizeof payload));
  }
}

/// The program has stopped: so do we, and the machine. The SIGCONT that lets us go on is handed to the program.
void Session::stopAndContinue() {
  terminal.leave();
  machine.signal(SIGSTOP);
  raise(SIGSTOP);
  machine.signal(SIGCONT);
  terminal.enter();
}

void Session::handleSignal(int number) {
  if (number == SIGCONT)
    terminal.enter(); // `fg` of a background job
  if (number == SIGWINCH) {
    if (parser.sawMagic())
      sendWindowSize();
    return;
  }
  if (number == SIGTSTP && !parser.sawMagic())
    return stopAndContinue();
  // Before the kernel listens nobody can be told; a second request means that the program did not obey the first.
  bool counts = endsProgram(number) && !(options.ignoredSignals >> (number - 1) & 1);
  if (counts && (!parser.sawMagic() || endRequests++ != 0)) {
    endSignal = number;
    end = End::Killed;
    return;
  }
  if (parser.sawMagic()) {
    char payload = char(number);
    appendFrame(toGuest, FrameType::Signal, StringRef(&payload, 1));
  }
}

void Session::readSignals() {
  signalfd_siginfo info;
  while (read(signalFd, &info, sizeof info) == sizeof info)
    handleSignal(int(info.ssi_signo));
}

void Session::step() {
  enum { kSignals, kTimer, kGuestIn, kGuestOut, kMessages, kStdin, kSink, kStdout, kStderr, kCount };
  pollfd fds[kCount];
  for (pollfd &fd : fds)
    fd = {-1, 0, 0};
  fds[kSignals] = {signalFd, POLLIN, 0};
  fds[kTimer] = {timerFd, POLLIN, 0};
  if (output.size() < kMaxQueued)
    fds[kGuestOut] = {machine.fromGuest, POLLIN, 0};
  if (sent < toGuest.size() && parser.sawMagic())
    fds[kGuestIn] = {machine.toGuest, POLLOUT, 0};
  fds[kMessages] = {machine.messages, POLLIN, 0};
  // Keys are always looked at: one of them may be to end a machine that does not take any.
  if (stdinOpen && (terminal.isEntered() || (parser.sawMagic() && toGuest.size() - sent < kMaxToGuest)))
    fds[kStdin] = {0, POLLIN, 0};
  fds[kSink] = {output.pollFd(), POLLOUT, 0};
  fds[kStdout] = {output.pipeFd(1), 0, 0};
  fds[kStderr] = {output.pipeFd(2), 0, 0};

  if (poll(fds, kCount, -1) < 0)
    return; // EINTR
  if (fds[kSignals].revents)
    readSignals();
  if (fds[kTimer].revents && end == End::Running)
    end = End::TimedOut;
  if (fds[kSink].revents)
    output.flush();
  if (fds[kMessages].revents)
    readMessages();
  if (fds[kGuestOut].revents && end == End::Running)
    readGuest();
  if (fds[kStdin].revents)
    readStdin();
  if (sent < toGuest.size() && parser.sawMagic())
    writeGuest();
  // Nobody reads the program's output any more: its next write is to fail as it would natively.
  for (int fd : {1, 2}) {
    if (fds[fd == 1 ? kStdout : kStderr].revents & POLLERR)
      output.readerGone(fd);
    char stream = char(fd == 1 ? FrameType::Stdout : FrameType::Stderr);
    if (parser.sawMagic() && output.takeBrokenPipe(fd))
      appendFrame(toGuest, FrameType::Closed, StringRef(&stream, 1));
  }
}

/// Writes out what is queued. A reader that never reads can be interrupted by a signal or the time limit.
void Session::drain() {
  while (!output.empty()) {
    pollfd fds[] = {{output.pollFd(), POLLOUT, 0}, {signalFd, POLLIN, 0}, {timerFd, POLLIN, 0}};
    if (poll(fds, 3, -1) < 0)
      continue;
    if (fds[0].revents)
      output.flush();
    else if (fds[2].revents)
      return;
    signalfd_siginfo info;
    while (read(signalFd, &info, sizeof info) == sizeof info)
      if (endsProgram(int(info.ssi_signo)))
        return;
  }
}

/// Shows all that may explain an abnormal end: QEMU's messages, what the firmware printed, the kernel's log, the
/// backtrace.
void Session::report(const std::string &what) {
  raw_ostream &out = errs();
  auto show = [&](StringRef title, StringRef text) {
    if (text.trim().empty())
      return;
    out << "osv-run: " << title << ":\n" << text;
    if (!text.ends_with("\n"))
      out << '\n';
  };
  while (machine.messages >= 0) // QEMU is dead: this ends at once
    readMessages();
  output.flush();
  show("QEMU says", messages);
  if (!parser.sawMagic())
    show("the machine printed before the kernel started", noise);
  show("the kernel's log", log);
  if (!backtrace.empty()) {
    out << "osv-run: backtrace:\n";
    printBacktrace(out, options.image, backtrace);
  }
  out << "osv-run: error: " << what << '\n';
}

int Session::finish() {
  machine.kill();
  int waited = machine.wait();
  drain();
  terminal.leave();
  switch (end) {
  case End::Told:
    if (exit->kind == abi::kExited) {
      if (!output.lost().empty() && exit->value == 0) {
        errs() << "osv-run: error: cannot write to " << output.lost() << '\n';
        return kOutputStatus;
      }
      return exit->value;
    }
    if (exit->kind == abi::kOutOfMemory)
      errs() << "osv-run: error: out of memory: the program is killed (see -m)\n";
    if (exit->kind == abi::kSignalled || exit->kind == abi::kOutOfMemory)
      return 128 + exit->value;
    report("the kernel panicked");
    return kPanicStatus;
  case End::Died:
    if (WIFEXITED(waited) && WEXITSTATUS(waited) != 0)
      report("QEMU failed with status " + utostr(WEXITSTATUS(waited)));
    else if (WIFSIGNALED(waited) && WTERMSIG(waited) != SIGKILL)
      report(std::string("QEMU died: ") + strsignal(WTERMSIG(waited)));
    else
      report("the machine stopped without telling an exit status (triple fault, reset or power-off)");
    return kMachineStatus;
  case End::Broken:
    report("the guest's output broke the console protocol");
    return kMachineStatus;
  case End::TimedOut:
    report("time limit of " + std::to_string(options.timeout).substr(0, 6) + " seconds reached" +
           (parser.sawMagic() ? "" : " before the kernel started its console"));
    return kTimeoutStatus;
  case End::Killed:
    errs() << "osv-run: killed the machine\n";
    return 128 + endSignal;
  case End::Running:
    break;
  }
  return kMachineStatus;
}

int Session::run() {
  while (end == End::Running)
    step();
  return finish();
}

} // namespace osv::run

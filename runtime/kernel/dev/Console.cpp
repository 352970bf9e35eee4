// SPDX-License-Identifier: BSD-3-Clause
//
// The console: one transmit ring, one receive path, one lock (interrupts off, innermost in the lock order).
//
// Transmit: everything (program output, log, echo, the exit record) is appended to the ring as whole frames, so a frame
// is never torn whatever context interrupts what. `pump` moves ring bytes to the UART while it takes them: on QEMU that
// empties the ring on the spot, without one interrupt; when the FIFO is busy the transmit interrupt goes on from there.
// A program that finds the ring full sleeps; the log, which may run anywhere, polls the UART instead until its frame
// fits.
//
// Receive: the interrupt handler drains the FIFO through the frame parser (mux) into the input ring, or through the
// line discipline when descriptor 0 is a terminal. When there is no room, reception is switched off and bytes wait in
// the FIFO, then at the host; a read that makes room switches it on again.
#include "kernel/dev/Console.h"
#include "kernel/arch/Irq.h"
#include "kernel/dev/ConsoleFrames.h"
#include "kernel/dev/LineDiscipline.h"
#include "kernel/dev/Serial.h"
#include "kernel/lib/Log.h"
#include "kernel/time/Time.h"
#include <asm/signal.h>
#include <linux/eventpoll.h>
#include <new>
#include <utility>

namespace osv::console {
namespace {

constexpr size_t kTransmitSize = 8192;
constexpr size_t kReceiveSize = 16384;
constexpr size_t kHeaderSize = 3;
/// Bytes handed to the UART under one hold of the lock: bounds the time with interrupts off.
constexpr size_t kPumpBatch = 512;
/// A sleeping writer is woken when this much is free.
constexpr size_t kWakeRoom = kTransmitSize / 2;

struct State {
  SpinLock lock;
  Serial serial;
  ByteRing<kTransmitSize> transmit;
  ByteRing<kReceiveSize> receive; ///< exact input (not a terminal)
  char held[Serial::kFifoSize];   ///< taken from the FIFO, not yet taken by the parser
  uint8_t heldUsed = 0;
  FrameParser parser;
  LineDiscipline terminal;
  WaitQueue queue;
  WindowSize size{24, 80};
  void (*signalHandler)(int) = nullptr;
  bool mux = false;
  uint8_t terminals = 7; ///< osv.tty
  bool running = false;  ///< interrupts are set up
  bool receiving = false;
  bool endOfInput = false;
  bool stdoutClosed = false, stderrClosed = false;
  bool writersWaiting = false;
  bool panicking = false;
  uint32_t pendingEvents = 0;  ///< EPOLL* bits to be announced when the lock is dropped
  uint64_t pendingSignals = 0; ///< bit n-1: signal n, likewise
  bool lineStart = true;       ///< plain mode: the log begins on a fresh line
};
/// Constructed by initEarly: the runtime has no dynamic initialisers, and the rings belong into the bss.
alignas(State) constinit char storage[sizeof(State)] = {};
constinit bool constructed = false;
State &state = reinterpret_cast<State &>(storage);

/// The console's lock, interrupts off; after a panic began there is only the panicking CPU and nothing is locked.
/// Waiters and signals are told after it is dropped, since those who log may hold the locks that this takes; a log line
/// (`Silent`) leaves it to the transmit interrupt.
enum class Tell : bool { Now, Silent };
class Guard {
public:
  explicit Guard(Tell tell = Tell::Now)
      : tell(tell), locked(!state.panicking), flags(arch::saveAndDisableInterrupts()) {
    if (locked) {
      gate().preemptCount++;
      state.lock.lockRaw();
    }
  }
  ~Guard() {
    if (locked) {
      uint32_t events = 0;
      uint64_t signals = 0;
      if (tell == Tell::Now) {
        events = std::exchange(state.pendingEvents, 0);
        signals = std::exchange(state.pendingSignals, 0);
      } else if (state.pendingEvents && state.running) {
        state.serial.enableTransmitInterrupt(true);
      }
      state.lock.unlockRaw();
      if (events)
        state.queue.wakeAll(events);
      for (int signo = 1; signals; signo++, signals >>= 1)
        if ((signals & 1) && state.signalHandler)
          state.signalHandler(signo);
    }
    arch::restoreInterrupts(flags);
    if (locked)
      preemptEnable();
  }
  Guard(const Guard &) = delete;

private:
  Tell tell;
  bool locked;
  arch::IrqFlags flags;
};

// ---- Transmit; all with the lock held.

/// Moves bytes to the UART while it takes them, at most `limit`. True when the ring is empty.
bool pump(size_t limit) {
  while (!state.transmit.empty()) {
    if (limit == 0 || !state.serial.transmitReady())
      break;
    auto run = state.transmit.front(std::min(limit, Serial::kFifoSize));
    state.serial.transmit(run.data(), run.size());
    state.transmit.drop(run.size());
    limit -= run.size();
  }
  if (state.running)
    state.serial.enableTransmitInterrupt(!state.transmit.empty());
  if (state.writersWaiting && state.transmit.room() >= kWakeRoom) {
    state.writersWaiting = false;
    state.pendingEvents |= EPOLLOUT | EPOLLWRNORM;
  }
  return state.transmit.empty();
}

void pollUntilRoom(size_t n) {
  while (state.transmit.room() < n)
    if (!pump(Serial::kFifoSize))
      arch::pause();
}

/// Appends as much of `bytes` as fits, as one frame (mux) or plain; returns how many bytes of it were taken.
size_t append(abi::FrameType type, const char *bytes, size_t n) {
  if (!state.mux) {
    n = std::min(n, state.transmit.room());
    state.transmit.put(bytes, n);
    if (n)
      state.lineStart = bytes[n - 1] == '\n';
    return n;
  }
  if (state.transmit.room() <= kHeaderSize)
    return 0;
  n = std::min({n, state.transmit.room() - kHeaderSize, size_t{abi::kMuxMaxPayload}});
  const char header[kHeaderSize] = {static_cast<char>(type), static_cast<char>(n), static_cast<char>(n >> 8)};
  state.transmit.put(header, kHeaderSize);
  state.transmit.put(bytes, n);
  return n;
}

/// All of `bytes`, polling the UART for room: any context.
void appendAll(abi::FrameType type, const char *bytes, size_t n) {
  while (n) {
    pollUntilRoom(std::min(n, kTransmitSize / 2) + kHeaderSize);
    size_t taken = append(type, bytes, std::min(n, kTransmitSize / 2));
    bytes += taken;
    n -= taken;
  }
}

bool &closedFlag(abi::FrameType stream) {
  return stream == abi::FrameType::Stderr ? state.stderrClosed : state.stdoutClosed;
}

bool isCooked(abi::FrameType stream) { return state.terminals & (stream == abi::FrameType::Stderr ? 4 : 2); }

/// Appends with the terminal's output processing; returns how many source bytes were taken.
size_t appendCooked(abi::FrameType stream, const char *bytes, size_t n) {
  size_t taken = 0;
  while (taken < n) {
    char cooked[256];
    size_t used = 0;
    size_t most =
        std::min(sizeof cooked, state.transmit.room() > kHeaderSize ? state.transmit.room() - kHeaderSize : 0);
    while (taken < n && used + 2 <= most)
      used += state.terminal.output(bytes[taken++], cooked + used);
    if (used == 0 && most < 2)
      break;
    append(stream, cooked, used);
  }
  return taken;
}

// ---- Receive; all with the lock held.

void raiseSignal(int signo) { state.pendingSignals |= uint64_t{1} << (signo - 1); }

void putEcho(void *, const char *bytes, size_t n) { appendAll(abi::FrameType::Stdout, bytes, n); }

void typeBytes(const char *bytes, size_t n) {
  bool wasStopped = state.terminal.outputStopped();
  for (size_t i = 0; i < n; i++)
    if (int signo = state.terminal.input(bytes[i], {putEcho, nullptr}))
      raiseSignal(signo);
  if (wasStopped && !state.terminal.outputStopped())
    state.pendingEvents |= EPOLLOUT | EPOLLWRNORM;
}

/// What the frame parser calls.
struct InputSink {
  size_t stdinRoom() { return state.terminals & 1 ? state.terminal.canTake() : state.receive.room(); }
  void stdinBytes(const char *bytes, size_t n) {
    if (state.terminals & 1)
      typeBytes(bytes, n);
    else
      state.receive.put(bytes, n);
  }
  void stdinEnd() {
    state.endOfInput = true;
    state.terminal.endInput();
  }
  void signal(int signo) {
    if (signo >= 1 && signo <= 64)
      raiseSignal(signo);
  }
  void windowSize(uint16_t rows, uint16_t columns) { setWindowSizeLocked({rows, columns}); }
  void closed(abi::FrameType stream) {
    closedFlag(stream) = true;
    state.pendingEvents |= EPOLLOUT | EPOLLWRNORM | EPOLLERR;
  }
  static void setWindowSizeLocked(WindowSize size) {
    if (size.rows == state.size.rows && size.columns == state.size.columns)
      return;
    state.size = size;
    raiseSignal(SIGWINCH);
  }
};

/// Feeds what was taken from the FIFO; false when some of it has no room.
bool consumeHeld() {
  InputSink sink;
  std::span<const char> bytes(state.held, state.heldUsed);
  size_t taken = 0;
  if (state.mux) {
    taken = state.parser.feed(bytes, sink);
  } else {
    while (taken < bytes.size() && sink.stdinRoom())
      sink.stdinBytes(bytes.data() + taken++, 1);
  }
  state.heldUsed -= static_cast<uint8_t>(taken);
  memmove(state.held, state.held + taken, state.heldUsed);
  return state.heldUsed == 0;
}

bool inputReadyLocked() {
  if (state.endOfInput)
    return true;
  return state.terminals & 1 ? state.terminal.ready() : !state.receive.empty();
}

/// Drains the FIFO as far as there is room. `atTrigger`: the UART has said that the trigger level is reached.
void receiveAvailable(bool atTrigger) {
  bool wasReady = inputReadyLocked();
  bool room = consumeHeld();
  if (room && atTrigger) {
    state.serial.receive(state.held, Serial::kReceiveTrigger);
    state.heldUsed = Serial::kReceiveTrigger;
    room = consumeHeld();
  }
  while (room && state.serial.receiveReady()) {
    state.held[state.heldUsed++] = state.serial.receive();
    room = consumeHeld();
  }
  state.serial.enableReceiveInterrupt(room);
  state.receiving = room;
  if (!wasReady && inputReadyLocked())
    state.pendingEvents |= EPOLLIN | EPOLLRDNORM;
}

void interrupt(void *) {
  Guard g;
  for (;;) {
    switch (state.serial.pendingEvent()) {
    case Serial::Event::None:
      pump(kPumpBatch); // echo
      return;
    case Serial::Event::TransmitEmpty:
      pump(kPumpBatch);
      break;
    case Serial::Event::DataAtTrigger:
      receiveAvailable(true);
      break;
    case Serial::Event::Data:
      receiveAvailable(false);
      break;
    case Serial::Event::Other:
      break;
    }
  }
}

unsigned parseNumber(std::string_view &text) {
  unsigned n = 0;
  while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
    n = n * 10 + static_cast<unsigned>(text[0] - '0');
    text.remove_prefix(1);
  }
  return n;
}

void parseOption(std::string_view word, bool &ttyGiven) {
  auto value = [&](std::string_view key) {
    return word.starts_with(key) ? word.substr(key.size()) : std::string_view{};
  };
  if (word == "osv.console=mux")
    state.mux = true;
  if (auto v = value("osv.tty="); !v.empty()) {
    state.terminals = parseNumber(v) & 7;
    ttyGiven = true;
  }
  if (auto v = value("osv.winsize="); !v.empty()) {
    state.size.rows = static_cast<uint16_t>(parseNumber(v));
    if (!v.empty() && v[0] == 'x') {
      v.remove_prefix(1);
      state.size.columns = static_cast<uint16_t>(parseNumber(v));
    }
  }
}

/// Bytes that a read may return now, under the lock. `*done`: the read is complete even when that is 0.
size_t takeInput(std::span<char> out, bool *done) {
  size_t n = 0;
  *done = false;
  if (state.terminals & 1) {
    if (state.terminal.ready() || (!state.terminal.canonical() && state.terminal.settings().c_cc[VMIN] == 0) ||
        (state.endOfInput && state.terminal.available()))
      n = state.terminal.read(out, done);
  } else {
    n = state.receive.take(out.data(), out.size());
  }
  if (n == 0 && state.endOfInput)
    *done = true;
  if (!state.receiving && state.running)
    receiveAvailable(false);
  return n;
}

} // namespace

void initEarly(std::string_view commandLine) {
  new (storage) State;
  constructed = true;
  bool ttyGiven = false;
  while (!commandLine.empty()) {
    size_t blank = std::min(commandLine.find(' '), commandLine.size());
    parseOption(commandLine.substr(0, blank), ttyGiven);
    commandLine.remove_prefix(std::min(blank + 1, commandLine.size()));
  }
  if (!ttyGiven)
    state.terminals = state.mux ? 0 : 7;
  Guard g;
  state.serial.reset();
  if (state.mux)
    state.transmit.put(abi::kMuxMagic, sizeof abi::kMuxMagic);
  pump(kTransmitSize);
}

Result<void> init() {
  TRY(arch::requestIrq(Serial::kIrq, interrupt, nullptr));
  Guard g;
  state.running = true;
  receiveAvailable(false);
  pump(kPumpBatch);
  return {};
}

void setSignalHandler(void (*fn)(int)) { state.signalHandler = fn; }

Result<size_t> write(abi::FrameType stream, std::span<const char> bytes, bool nonBlocking) {
  size_t done = 0;
  bool drained = false, closed = false;
  // Bytes are appended and pumped in turns, each under a short hold of the lock.
  auto step = [&] {
    Guard g;
    closed = closedFlag(stream);
    if (closed)
      return false;
    bool stopped = isCooked(stream) && state.terminal.outputStopped();
    size_t before = done;
    if (!stopped && done < bytes.size()) {
      size_t most = bytes.size() - done;
      done += isCooked(stream) ? appendCooked(stream, bytes.data() + done, std::min(most, size_t{1024}))
                               : append(stream, bytes.data() + done, most);
    }
    size_t used = state.transmit.used();
    drained = pump(kPumpBatch);
    bool progress = done != before || state.transmit.used() != used;
    if (!progress && done < bytes.size())
      state.writersWaiting = true;
    return progress;
  };
  for (;;) {
    while (step())
      if (done == bytes.size() && drained)
        return done;
    if (done == bytes.size())
      return done; // the interrupt sends the rest
    if (closed)
      return done ? Result<size_t>(done) : Result<size_t>(Errno::Pipe);
    if (nonBlocking)
      return done ? Result<size_t>(done) : Result<size_t>(Errno::Again);
    Waiter w(state.queue);
    if (step() || closed)
      continue;
    if (auto r = w.wait(); !r)
      return done ? Result<size_t>(done) : Result<size_t>(r.error());
  }
}

void writeLog(std::string_view text) {
  if (!constructed)
    return;
  Guard g(Tell::Silent);
  if (state.mux) {
    appendAll(abi::FrameType::Log, text.data(), text.size());
  } else {
    if (!state.lineStart)
      appendAll(abi::FrameType::Log, "\r\n", 2);
    while (!text.empty()) {
      size_t line = std::min(text.find('\n'), text.size());
      appendAll(abi::FrameType::Log, text.data(), line);
      if (line < text.size())
        appendAll(abi::FrameType::Log, "\r\n", 2);
      text.remove_prefix(std::min(line + 1, text.size()));
    }
  }
  pump(state.running ? kPumpBatch : kTransmitSize);
}

Result<size_t> read(std::span<char> out, bool nonBlocking) {
  if (out.empty())
    return size_t{0};
  bool done = false;
  auto attempt = [&] {
    Guard g;
    size_t n = takeInput(out, &done);
    done |= n != 0;
    return n;
  };
  if (size_t n = attempt(); done)
    return n;
  auto timing = [&] { // non-canonical VMIN = 0: return at once, or after VTIME tenths of a second
    Guard g;
    const termios &t = state.terminal.settings();
    bool timed = (state.terminals & 1) && !(t.c_lflag & ICANON) && t.c_cc[VMIN] == 0;
    return timed ? Nanos{t.c_cc[VTIME]} * 100'000'000 : Nanos{-1};
  }();
  if (timing == 0)
    return size_t{0};
  if (nonBlocking)
    return Errno::Again;
  Nanos deadline = timing < 0 ? kForever : monotonicNow() + timing;
  Waiter w(state.queue);
  for (;;) {
    if (size_t n = attempt(); done)
      return n;
    if (auto r = w.wait(deadline); !r) {
      if (r.error() == Errno::TimedOut)
        return size_t{0};
      return r.error();
    }
  }
}

bool inputReady() {
  Guard g;
  return inputReadyLocked();
}
bool outputReady() {
  Guard g;
  if (state.transmit.room() >= kWakeRoom)
    return true;
  state.writersWaiting = true; // whoever polls wants to be woken
  return false;
}
bool outputClosed(abi::FrameType stream) {
  Guard g;
  return closedFlag(stream);
}
size_t inputAvailable() {
  Guard g;
  return state.terminals & 1 ? state.terminal.available() : state.receive.used();
}
WaitQueue &inputQueue() { return state.queue; }
WaitQueue &outputQueue() { return state.queue; }
bool isTerminal(int fd) { return fd >= 0 && fd <= 2 && (state.terminals >> fd & 1); }
WindowSize windowSize() {
  Guard g;
  return state.size;
}
void setWindowSize(WindowSize size) {
  Guard g;
  InputSink::setWindowSizeLocked(size);
}

termios terminalSettings() {
  Guard g;
  return state.terminal.settings();
}
void setTerminalSettings(const termios &t, bool flush) {
  Guard g;
  if (flush)
    state.terminal.flushInput();
  state.terminal.setSettings(t);
  if (inputReadyLocked())
    state.pendingEvents |= EPOLLIN | EPOLLRDNORM;
}
void flushInput() {
  Guard g;
  state.terminal.flushInput();
  if (!state.receiving && state.running)
    receiveAvailable(false);
}

Result<void> waitForOutput() {
  Waiter w(state.queue);
  for (;;) {
    {
      Guard g;
      if (pump(kPumpBatch))
        return {};
      state.writersWaiting = true;
    }
    TRY(w.wait());
  }
}

void drain() {
  if (!constructed)
    return;
  Guard g;
  while (!pump(Serial::kFifoSize) || !state.serial.transmitIdle())
    arch::pause();
}

void enterPanic() { state.panicking = true; }

void sendExit(abi::ExitKind kind, uint8_t value) {
  if (constructed && state.mux) {
    Guard g;
    const char record[sizeof(abi::ExitFrame)] = {static_cast<char>(kind), static_cast<char>(value)};
    appendAll(abi::FrameType::Exit, record, sizeof record);
  }
  drain();
}

bool sendStop() {
  if (!state.mux)
    return false;
  Guard g;
  pollUntilRoom(kHeaderSize + 1);
  append(abi::FrameType::Stop, nullptr, 0);
  pump(kPumpBatch);
  return true;
}

void sendBacktrace(std::span<const uint64_t> addresses) {
  if (state.mux) {
    Guard g;
    pollUntilRoom(kHeaderSize + addresses.size_bytes());
    appendAll(abi::FrameType::Backtrace, reinterpret_cast<const char *>(addresses.data()), addresses.size_bytes());
    return;
  }
  for (uint64_t address : addresses) {
    char line[32];
    writeLog({line, format(line, "  at {x}\n", address)});
  }
}

} // namespace osv::console

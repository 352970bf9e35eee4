// SPDX-License-Identifier: BSD-3-Clause
//
// One run of a machine: moves bytes between our standard streams and the guest's frames until there is an exit status.
#pragma once
#include "Frames.h"
#include "Machine.h"
#include "Streams.h"
#include "Terminal.h"
#include "llvm/Support/Error.h"
#include <optional>
#include <string>

namespace osv::run {

/// The exit statuses that are osv-run's own. A program may end with the same numbers; the message on standard error
/// tells.
enum OwnStatus : int {
  kUsage = 64,         ///< EX_USAGE: wrong command line
  kPanicStatus = 70,   ///< EX_SOFTWARE: the kernel panicked
  kMachineStatus = 71, ///< EX_OSERR: the machine did not start, or stopped without telling an exit status
  kOutputStatus = 74,  ///< EX_IOERR: the program succeeded but its output could not be written
  kTimeoutStatus = 124 ///< as timeout(1)
};

struct SessionOptions {
  std::string image;           ///< for symbols
  uint64_t ignoredSignals = 0; ///< bit n-1: our parent wants signal n to be ignored
  double timeout = 0;          ///< seconds; 0: none
  bool verbose = false;
  bool machineMayWait = false; ///< gdb holds the machine: no complaint about a missing start
};

class Session {
public:
  Session(Machine &machine, const SessionOptions &options);
  ~Session();
  /// Runs to the end and returns osv-run's exit status.
  int run();

private:
  enum class End { Running, Told, Died, TimedOut, Killed, Broken };

  void step();
  void readSignals();
  void handleSignal(int number);
  void watchKeys(llvm::StringRef keys);
  void stopAndContinue();
  void readGuest();
  void readStdin();
  void writeGuest();
  void readMessages();
  void onFrame(abi::FrameType type, llvm::StringRef payload);
  void onNoise(llvm::StringRef bytes);
  void showNow(llvm::StringRef text);
  void sendWindowSize();
  void drain();
  int finish();
  void report(const std::string &what);

  Machine &machine;
  const SessionOptions &options;
  int signalFd; ///< before the terminal's mode changes: from then on no signal may end us without its restoring
  TerminalMode terminal;
  OutputQueue output;
  FrameParser parser;
  std::string toGuest; ///< encoded frames, from `sent` on not yet written
  size_t sent = 0;
  std::string log;       ///< the kernel's log, kept for the case that something goes wrong
  std::string noise;     ///< what came before the magic
  std::string messages;  ///< QEMU's standard error
  std::string backtrace; ///< payload of the Backtrace frame
  std::optional<abi::ExitFrame> exit;
  End end = End::Running;
  int endSignal = 0;         ///< the signal that made us kill the machine
  unsigned endRequests = 0;  ///< signals that ask for the end so far
  bool heardSinceKey = true; ///< the guest has sent something since the last Ctrl-C
  bool stdinOpen = true;
  int timerFd = -1;
};

} // namespace osv::run

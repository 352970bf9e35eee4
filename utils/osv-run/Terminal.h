// SPDX-License-Identifier: BSD-3-Clause
//
// The user's terminal: which of our descriptors are one, its size, and its mode while a machine runs.
#pragma once
#include <cstdint>
#include <optional>
#include <termios.h>

namespace osv::run {

struct WindowSize {
  uint16_t rows, columns;
};

/// Bit i is set when descriptor i (0..2) is a terminal.
unsigned terminalMask();
/// The size of the first of our three descriptors that is a terminal with a size.
std::optional<WindowSize> windowSize();

/// Puts a terminal on standard input into character mode, because the line discipline (echo, line editing, end of file,
/// CR LF, the keys that are signals) is the guest's. Restores it when destroyed. Does nothing when standard input is no
/// terminal.
class TerminalMode {
public:
  TerminalMode();
  ~TerminalMode() { leave(); }
  TerminalMode(const TerminalMode &) = delete;
  void enter();
  void leave();
  bool isEntered() const { return entered; }
  /// A line feed that we write ourselves now needs its carriage return.
  bool outputIsRaw() const { return entered && ownsOutput; }

private:
  bool isTerminal;
  bool ownsOutput; ///< the guest's standard output is a terminal too, so the guest makes the CR LF
  bool entered = false;
  termios saved;
};

} // namespace osv::run

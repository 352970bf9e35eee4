// SPDX-License-Identifier: BSD-3-Clause
//
// Terminal modes. Invariant: whatever way osv-run ends, short of SIGKILL, the terminal is as it was.
#include "Terminal.h"
#include <sys/ioctl.h>
#include <unistd.h>

namespace osv::run {

unsigned terminalMask() {
  unsigned mask = 0;
  for (int fd = 0; fd < 3; ++fd)
    mask |= unsigned(isatty(fd)) << fd;
  return mask;
}

std::optional<WindowSize> windowSize() {
  for (int fd = 0; fd < 3; ++fd) {
    winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row != 0 && size.ws_col != 0)
      return WindowSize{size.ws_row, size.ws_col};
  }
  return std::nullopt;
}

TerminalMode::TerminalMode() : isTerminal(tcgetattr(0, &saved) == 0), ownsOutput(isatty(1)) { enter(); }

void TerminalMode::enter() {
  // A background job must not touch the terminal: the kernel would stop it.
  if (!isTerminal || entered || tcgetpgrp(0) != getpgrp())
    return;
  termios mode = saved;
  mode.c_lflag &= ~tcflag_t(ICANON | ECHO | IEXTEN | ISIG);
  mode.c_iflag &= ~tcflag_t(IXON | ICRNL | INLCR | IGNCR | ISTRIP);
  if (ownsOutput) // not for `osv-run x.img | cat`: cat writes to this terminal and needs its CR LF
    mode.c_oflag &= ~tcflag_t(OPOST);
  mode.c_cc[VMIN] = 1;
  mode.c_cc[VTIME] = 0;
  entered = tcsetattr(0, TCSADRAIN, &mode) == 0;
}

void TerminalMode::leave() {
  if (entered)
    tcsetattr(0, TCSADRAIN, &saved);
  entered = false;
}

} // namespace osv::run

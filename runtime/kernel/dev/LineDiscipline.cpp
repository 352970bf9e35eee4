// SPDX-License-Identifier: BSD-3-Clause
//
// Canonical editing, echo and output processing. The order of the tests in `input` is N_TTY's
// (n_tty_receive_char_special of Linux 6.1).
#include "kernel/dev/LineDiscipline.h"
#include <algorithm>
#include <cstring>

namespace osv::console {

/// Linux's numbers; <asm/signal.h> cannot be had next to a C library's (host tests).
enum : int { kSigInt = 2, kSigQuit = 3, kSigTstp = 20 };

LineDiscipline::LineDiscipline() : tio{} {
  tio.c_iflag = ICRNL | IXON;
  tio.c_oflag = OPOST | ONLCR;
  tio.c_cflag = B38400 | CS8 | CREAD | HUPCL;
  tio.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
  static const cc_t kControl[NCCS] = {3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0};
  memcpy(tio.c_cc, kControl, sizeof kControl);
}

void LineDiscipline::mark(uint32_t i, bool on) {
  uint64_t bit = uint64_t{1} << (i % 64);
  uint64_t &word = marks[i % kSize / 64];
  word = on ? word | bit : word & ~bit;
}

void LineDiscipline::endInput() {
  if (canonical() && head != canonHead)
    store('\0', true);
}

bool LineDiscipline::canTake() const {
  if (canonical() && canonHead == tail)
    return true; // the line being edited discards what does not fit, and its end always fits
  return head - tail < kSize - 1;
}

size_t LineDiscipline::available() const { return (canonical() ? canonHead : head) - tail; }

bool LineDiscipline::ready() const {
  if (canonical())
    return canonHead != tail;
  size_t wanted = tio.c_cc[VTIME] ? 1 : std::max<size_t>(tio.c_cc[VMIN], 1);
  return head - tail >= wanted;
}

void LineDiscipline::store(char c, bool endsLine) {
  mark(head, endsLine);
  at(head) = c;
  head++;
  if (endsLine || !canonical())
    canonHead = head;
}

void LineDiscipline::echoChar(char c, Echo echo) {
  if (!(tio.c_lflag & ECHO) && !(c == '\n' && (tio.c_lflag & ECHONL) && canonical()))
    return;
  if ((tio.c_lflag & ECHOCTL) && (static_cast<unsigned char>(c) < 32 || c == 127) && c != '\t' && c != '\n') {
    char shown[2] = {'^', static_cast<char>(c ^ 0100)};
    return echo.put(echo.ctx, shown, 2);
  }
  char cooked[2];
  size_t n = output(c, cooked);
  if (n)
    echo.put(echo.ctx, cooked, n);
}

void LineDiscipline::removeLast(Echo echo) {
  char gone = at(--head);
  mark(head, false);
  while ((gone & 0xc0) == static_cast<char>(0x80) && head != canonHead && (tio.c_iflag & IUTF8)) {
    gone = at(--head);
    mark(head, false);
  }
  if (!(tio.c_lflag & ECHO))
    return;
  bool caret = (tio.c_lflag & ECHOCTL) && (static_cast<unsigned char>(gone) < 32 || gone == 127) && gone != '\t';
  for (int i = 0; i < (caret ? 2 : 1); i++)
    echo.put(echo.ctx, "\b \b", 3);
}

void LineDiscipline::eraseOne(Echo echo) {
  if (head == canonHead)
    return;
  if ((tio.c_lflag & ECHO) && !(tio.c_lflag & ECHOE)) {
    mark(--head, false);
    return echoChar(static_cast<char>(tio.c_cc[VERASE]), echo);
  }
  removeLast(echo);
}

void LineDiscipline::eraseWord(Echo echo) {
  auto isWord = [](char c) {
    return ((c | 32) >= 'a' && (c | 32) <= 'z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80);
  };
  bool seenWord = false;
  while (head != canonHead) {
    bool word = isWord(at(head - 1));
    if (seenWord && !word)
      break;
    seenWord |= word;
    removeLast(echo);
  }
}

void LineDiscipline::eraseLine(Echo echo) {
  if (!(tio.c_lflag & ECHO) || ((tio.c_lflag & ECHOK) && (tio.c_lflag & ECHOKE) && (tio.c_lflag & ECHOE))) {
    while (head != canonHead)
      removeLast(echo);
    return;
  }
  while (head != canonHead)
    mark(--head, false);
  echoChar(static_cast<char>(tio.c_cc[VKILL]), echo);
  if (tio.c_lflag & ECHOK)
    echoChar('\n', echo);
}

int LineDiscipline::input(char c, Echo echo) {
  if (tio.c_iflag & ISTRIP)
    c &= 0x7f;
  auto is = [&](int which) { return tio.c_cc[which] != 0 && static_cast<cc_t>(c) == tio.c_cc[which]; };
  if (literalNext) {
    literalNext = false;
    if (head - tail < kSize - 1) {
      echoChar(c, echo);
      store(c, false);
    }
    return 0;
  }
  if (tio.c_iflag & IXON) {
    if (is(VSTART)) {
      stopped = false;
      return 0;
    }
    if (is(VSTOP)) {
      stopped = true;
      return 0;
    }
  }
  if (tio.c_lflag & ISIG) {
    int signo = is(VINTR) ? kSigInt : is(VQUIT) ? kSigQuit : is(VSUSP) ? kSigTstp : 0;
    if (signo) {
      if (!(tio.c_lflag & NOFLSH))
        flushInput();
      stopped = false;
      echoChar(c, echo);
      return signo;
    }
  }
  if (stopped && (tio.c_iflag & IXON) && (tio.c_iflag & IXANY))
    stopped = false;
  if (c == '\r') {
    if (tio.c_iflag & IGNCR)
      return 0;
    if (tio.c_iflag & ICRNL)
      c = '\n';
  } else if (c == '\n' && (tio.c_iflag & INLCR)) {
    c = '\r';
  }
  if (canonical()) {
    if (is(VERASE))
      return eraseOne(echo), 0;
    if (is(VKILL))
      return eraseLine(echo), 0;
    if (is(VWERASE) && (tio.c_lflag & IEXTEN))
      return eraseWord(echo), 0;
    if (is(VLNEXT) && (tio.c_lflag & IEXTEN)) {
      literalNext = true;
      if ((tio.c_lflag & ECHO) && (tio.c_lflag & ECHOCTL))
        echo.put(echo.ctx, "^\b", 2);
      return 0;
    }
    if (is(VREPRINT) && (tio.c_lflag & ECHO) && (tio.c_lflag & IEXTEN)) {
      echoChar(c, echo);
      echoChar('\n', echo);
      for (uint32_t i = canonHead; i != head; i++)
        echoChar(at(i), echo);
      return 0;
    }
    if (c == '\n') {
      echoChar(c, echo);
      store(c, true);
      return 0;
    }
    if (is(VEOF)) {
      store('\0', true);
      return 0;
    }
    if (is(VEOL) || (is(VEOL2) && (tio.c_lflag & IEXTEN))) {
      echoChar(c, echo);
      store(c, true);
      return 0;
    }
  }
  if (head - tail >= kSize - 1) { // full: the byte is lost, as on Linux, unless the caller held it back (canTake)
    if (tio.c_iflag & IMAXBEL)
      echo.put(echo.ctx, "\a", 1);
    return 0;
  }
  echoChar(c, echo);
  store(c, false);
  return 0;
}

size_t LineDiscipline::read(std::span<char> out, bool *endOfFile) {
  *endOfFile = false;
  size_t n = 0;
  if (!canonical()) {
    while (n < out.size() && tail != head) {
      mark(tail, false);
      out[n++] = at(tail++);
    }
    canonHead = head;
    return n;
  }
  while (n < out.size() && tail != canonHead) {
    bool ends = marked(tail);
    char c = at(tail);
    mark(tail, false);
    tail++;
    if (ends && c == '\0') { // the end-of-file character (VEOL cannot be NUL: that means "disabled")
      *endOfFile = n == 0;
      return n;
    }
    out[n++] = c;
    if (ends)
      return n;
  }
  // A line that filled the buffer exactly: its end-of-file mark must not become a second, empty read.
  if (n && tail != canonHead && marked(tail) && at(tail) == '\0') {
    mark(tail, false);
    tail++;
  }
  return n;
}

size_t LineDiscipline::output(char c, char out[2]) {
  if (!(tio.c_oflag & OPOST)) {
    out[0] = c;
    return 1;
  }
  switch (c) {
  case '\n':
    if (tio.c_oflag & ONLRET)
      column = 0;
    if (tio.c_oflag & ONLCR) {
      column = 0;
      out[0] = '\r';
      out[1] = '\n';
      return 2;
    }
    break;
  case '\r':
    if ((tio.c_oflag & ONOCR) && column == 0)
      return 0;
    if (tio.c_oflag & OCRNL) {
      c = '\n';
      break;
    }
    column = 0;
    break;
  case '\b':
    column -= column != 0;
    break;
  default:
    if (tio.c_oflag & OLCUC && c >= 'a' && c <= 'z')
      c -= 32;
    column += static_cast<unsigned char>(c) >= 32;
  }
  out[0] = c;
  return 1;
}

void LineDiscipline::flushInput() {
  tail = canonHead = head;
  memset(marks, 0, sizeof marks);
}

void LineDiscipline::setSettings(const termios &t) {
  bool wasCanonical = canonical();
  tio = t;
  if (!(tio.c_iflag & IXON))
    stopped = false;
  // Linux: what is there when ICANON is switched on is a line; when it is switched off, all of it is readable.
  if (wasCanonical != canonical()) {
    memset(marks, 0, sizeof marks);
    canonHead = head;
    if (canonical() && head != tail)
      mark(head - 1, true);
    literalNext = false;
  }
}

} // namespace osv::console

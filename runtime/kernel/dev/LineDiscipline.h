// SPDX-License-Identifier: BSD-3-Clause
//
// The terminal's line discipline (Linux's N_TTY): canonical line editing, echo, signal characters, output processing,
// and the termios settings that control them. A pure state machine: Console.cpp feeds it bytes, carries out the signals
// and sends the echo.
//
// Input lies in one ring as in Linux: [tail, canonHead) are complete lines (or, without ICANON, everything),
// [canonHead, head) is the line being edited. A bit per position marks the byte that ends a line; an end-of-file
// character is stored as a marked NUL and never returned.
#pragma once
#include <asm/termbits.h>
#include <cstddef>
#include <cstdint>
#include <span>

namespace osv::console {

class LineDiscipline {
public:
  static constexpr size_t kSize = 4096;

  /// Where echo goes: at most a few bytes for one input byte.
  struct Echo {
    void (*put)(void *ctx, const char *bytes, size_t n);
    void *ctx;
  };

  LineDiscipline();
  /// One byte from the keyboard. Returns the signal that it stands for, or 0.
  int input(char c, Echo echo);
  /// No more will come: the line being edited becomes readable.
  void endInput();
  /// Can a byte be taken without loss? (A full line being edited discards bytes as Linux does, and counts as "can".)
  bool canTake() const;
  /// Bytes that read() would return now: FIONREAD.
  size_t available() const;
  /// Would a read return (a line, an end of file, or enough bytes)?
  bool ready() const;
  /// Takes what is there: in canonical mode at most one line. `*endOfFile`: an end-of-file mark was consumed with no
  /// byte before it.
  size_t read(std::span<char> out, bool *endOfFile);
  /// Output processing of one byte: writes 1 or 2 bytes to out, returns how many (0: dropped).
  size_t output(char c, char out[2]);
  bool outputStopped() const { return stopped; }
  void flushInput();

  const termios &settings() const { return tio; }
  void setSettings(const termios &t);
  bool canonical() const { return tio.c_lflag & ICANON; }

private:
  char &at(uint32_t i) { return ring[i % kSize]; }
  bool marked(uint32_t i) const { return marks[i % kSize / 64] >> (i % 64) & 1; }
  void mark(uint32_t i, bool on);
  void store(char c, bool endsLine);
  void echoChar(char c, Echo echo);
  void eraseOne(Echo echo);
  void eraseWord(Echo echo);
  void eraseLine(Echo echo);
  void removeLast(Echo echo);

  termios tio;
  uint32_t tail = 0, canonHead = 0, head = 0;
  uint32_t column = 0;
  bool literalNext = false;
  bool stopped = false;
  uint64_t marks[kSize / 64] = {};
  char ring[kSize];
};

} // namespace osv::console

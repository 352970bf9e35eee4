// SPDX-License-Identifier: BSD-3-Clause
//
// The console without its UART: the byte ring, the frame parser and the line discipline.
#include "kernel/dev/ConsoleFrames.h"
#include "kernel/dev/LineDiscipline.h"
#include <gtest/gtest.h>
#include <string>
#include <vector>

using namespace osv;
using namespace osv::console;

namespace {

struct Sink {
  size_t room = ~size_t{0};
  std::string input;
  std::vector<std::string> events;
  size_t stdinRoom() { return room; }
  void stdinBytes(const char *p, size_t n) {
    input.append(p, n);
    room -= n;
  }
  void stdinEnd() { events.push_back("end"); }
  void signal(int signo) { events.push_back("signal " + std::to_string(signo)); }
  void closed(osv::abi::FrameType stream) { events.push_back("closed " + std::to_string(static_cast<int>(stream))); }
  void windowSize(uint16_t r, uint16_t c) { events.push_back("size " + std::to_string(r) + "x" + std::to_string(c)); }
};

std::string frame(osv::abi::FrameType type, std::string payload) {
  std::string s = {static_cast<char>(type), static_cast<char>(payload.size()), static_cast<char>(payload.size() >> 8)};
  return s + payload;
}

TEST(FrameParser, TakesFramesApartWhereverTheyAreCut) {
  std::string stream = frame(osv::abi::FrameType::Stdin, "hello") + frame(osv::abi::FrameType::Signal, "\x02") +
                       frame(osv::abi::FrameType::Stdin, "") + frame(static_cast<osv::abi::FrameType>(99), "ignored") +
                       frame(osv::abi::FrameType::WindowSize, std::string("\x32\0\x84\0", 4)) +
                       frame(osv::abi::FrameType::Stdin, std::string(300, 'x')) +
                       frame(osv::abi::FrameType::Closed, "\x02") + frame(osv::abi::FrameType::StdinEof, "");
  for (size_t cut = 0; cut <= stream.size(); cut++) {
    FrameParser parser;
    Sink sink;
    EXPECT_EQ(parser.feed({stream.data(), cut}, sink), cut);
    EXPECT_EQ(parser.feed({stream.data() + cut, stream.size() - cut}, sink), stream.size() - cut);
    EXPECT_EQ(sink.input, "hello" + std::string(300, 'x'));
    EXPECT_EQ(sink.events, (std::vector<std::string>{"signal 2", "size 50x132", "closed 2", "end"}));
  }
}

TEST(FrameParser, StopsWhereThereIsNoRoomAndGoesOnLater) {
  FrameParser parser;
  Sink sink;
  sink.room = 3;
  std::string stream = frame(osv::abi::FrameType::Stdin, "abcdef");
  EXPECT_EQ(parser.feed(stream, sink), 6u);
  EXPECT_FALSE(parser.canTake(sink));
  sink.room = 100;
  EXPECT_EQ(parser.feed(std::string_view(stream).substr(6), sink), 3u);
  EXPECT_EQ(sink.input, "abcdef");
  EXPECT_TRUE(parser.canTake(sink));
}

TEST(ByteRing, KeepsOrderAcrossItsEnd) {
  ByteRing<16> ring;
  std::string all, got;
  for (int round = 0; round < 50; round++) {
    std::string piece(static_cast<size_t>(round % 13), static_cast<char>('a' + round % 26));
    size_t n = std::min(piece.size(), ring.room());
    ring.put(piece.data(), n);
    all.append(piece, 0, n);
    char out[16];
    got.append(out, ring.take(out, static_cast<size_t>(round % 7) + 3));
  }
  char out[16];
  got.append(out, ring.take(out, 16));
  EXPECT_EQ(got, all);
}

class Terminal : public testing::Test {
protected:
  int type(std::string_view s) {
    int signo = 0;
    for (char c : s)
      if (int n = tty.input(
              c, {[](void *ctx, const char *p, size_t k) { static_cast<std::string *>(ctx)->append(p, k); }, &echo}))
        signo = n;
    return signo;
  }
  std::string read(size_t n = 4096) {
    std::string out(n, '\0');
    out.resize(tty.read(out, &end));
    return out;
  }
  void setFlags(unsigned off, unsigned on = 0) {
    termios t = tty.settings();
    t.c_lflag = (t.c_lflag & ~off) | on;
    tty.setSettings(t);
  }
  LineDiscipline tty;
  std::string echo;
  bool end = false;
};

TEST_F(Terminal, GivesLinesOnly) {
  type("ab");
  EXPECT_FALSE(tty.ready());
  EXPECT_EQ(tty.available(), 0u);
  type("c\rnext\r");
  EXPECT_TRUE(tty.ready());
  EXPECT_EQ(echo, "abc\r\nnext\r\n");
  EXPECT_EQ(read(2), "ab");
  EXPECT_EQ(read(), "c\n");
  EXPECT_EQ(read(), "next\n");
  EXPECT_FALSE(tty.ready());
}

TEST_F(Terminal, EditsTheLine) {
  type("abX\x7f"
       "c\r");
  EXPECT_EQ(read(), "abc\n");
  EXPECT_EQ(echo, "abX\b \bc\r\n");
  type("junk\x15ok\r");
  EXPECT_EQ(read(), "ok\n");
  type("one two  \x17three\r");
  EXPECT_EQ(read(), "one three\n");
  type("\x7f\x7fx\r"); // nothing to erase
  EXPECT_EQ(read(), "x\n");
  type("\x16\x03\r"); // literal next
  EXPECT_EQ(read(), "\x03\n");
}

TEST_F(Terminal, EndsFileAtTheBeginningOfALine) {
  type("\x04");
  EXPECT_TRUE(tty.ready());
  EXPECT_EQ(read(), "");
  EXPECT_TRUE(end);
  type("partial\x04");
  EXPECT_EQ(read(), "partial");
  EXPECT_FALSE(end);
  EXPECT_FALSE(tty.ready());
}

TEST_F(Terminal, RaisesSignalsAndDropsTheLine) {
  EXPECT_EQ(type("abc\x03"), 2);
  EXPECT_EQ(echo, "abc^C");
  EXPECT_EQ(type("\x1c"), 3);
  type("x\r");
  EXPECT_EQ(read(), "x\n");
  setFlags(ISIG);
  EXPECT_EQ(type("\x03\r"), 0);
  EXPECT_EQ(read(), "\x03\n");
}

TEST_F(Terminal, RawModeGivesBytesAtOnce) {
  type("pending");
  setFlags(ICANON | ECHO);
  EXPECT_EQ(read(), "pending");
  echo.clear();
  type("x\x7f\x04");
  EXPECT_EQ(echo, "");
  EXPECT_EQ(read(), "x\x7f\x04");
}

TEST_F(Terminal, AFullLineKeepsItsEnd) {
  type(std::string(5000, 'a'));
  EXPECT_TRUE(tty.canTake());
  type("\r");
  std::string line = read(8192);
  EXPECT_EQ(line.size(), LineDiscipline::kSize);
  EXPECT_EQ(line.back(), '\n');
}

TEST_F(Terminal, ProcessesOutput) {
  char out[2];
  EXPECT_EQ(std::string(out, tty.output('\n', out)), "\r\n");
  EXPECT_EQ(std::string(out, tty.output('x', out)), "x");
  termios t = tty.settings();
  t.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  tty.setSettings(t);
  EXPECT_EQ(std::string(out, tty.output('\n', out)), "\n");
}

TEST_F(Terminal, StopsAndStartsOutput) {
  type("\x13");
  EXPECT_TRUE(tty.outputStopped());
  type("\x11");
  EXPECT_FALSE(tty.outputStopped());
  EXPECT_FALSE(tty.ready());
}

} // namespace

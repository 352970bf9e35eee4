// SPDX-License-Identifier: BSD-3-Clause
//
// The console protocol's codec: any cut of the stream gives the same frames, broken streams are noticed, values survive
// the kernel's command line.
#include "Frames.h"
#include "gtest/gtest.h"
#include <vector>

// Inside osv, because <cxxabi.h>, which GoogleTest includes, declares a global `abi` too.
namespace osv::run {
namespace {
using abi::FrameType;
const llvm::StringRef magic(abi::kMuxMagic, sizeof abi::kMuxMagic);

struct Parsed {
  bool fine = true;
  std::string noise, out, err;
  std::vector<std::string> exits;
  bool boundary = false;
};

Parsed parse(llvm::StringRef stream, size_t step) {
  FrameParser parser;
  Parsed result;
  for (; !stream.empty() && result.fine; stream = stream.drop_front(std::min(step, stream.size())))
    result.fine = parser.feed(
        stream.take_front(step),
        [&](FrameType type, llvm::StringRef payload) {
          if (type == FrameType::Stdout)
            result.out += payload;
          else if (type == FrameType::Stderr)
            result.err += payload;
          else if (type == FrameType::Exit)
            result.exits.push_back(payload.str());
        },
        [&](llvm::StringRef bytes) { result.noise += bytes; });
  result.boundary = parser.atBoundary();
  return result;
}

TEST(FrameParser, AnyCutGivesTheSame) {
  std::string stream = "SeaBIOS\r\n";
  stream.append("\0OSV?", 5); // a false start
  stream.append("\0", 1);     // and one that the magic itself ends
  stream += magic;
  appendFrame(stream, FrameType::Stdout, "hello ");
  appendFrame(stream, FrameType::Stderr, "oops");
  appendFrame(stream, FrameType::Stdout, "");
  appendFrame(stream, FrameType::Stdout, std::string(abi::kMuxMaxPayload, 'x'));
  appendFrame(stream, FrameType::Exit, llvm::StringRef("\0\7", 2));
  for (size_t step = 1; step <= stream.size(); step = step < 40 ? step + 1 : step * 3) {
    Parsed parsed = parse(stream, step);
    EXPECT_TRUE(parsed.fine && parsed.boundary);
    EXPECT_EQ(parsed.noise, std::string("SeaBIOS\r\n\0OSV?\0", 15));
    EXPECT_EQ(parsed.out, "hello " + std::string(abi::kMuxMaxPayload, 'x'));
    EXPECT_EQ(parsed.err, "oops");
    ASSERT_EQ(parsed.exits.size(), 1u);
    EXPECT_EQ(parsed.exits[0], std::string("\0\7", 2));
  }
}

TEST(FrameParser, EveryByteValuePasses) {
  std::string all;
  for (int i = 0; i < 256; ++i)
    all += char(i);
  all += magic;
  std::string stream = magic.str();
  appendFrame(stream, FrameType::Stdout, all);
  EXPECT_EQ(parse(stream, 7).out, all);
}

TEST(FrameParser, UnknownTypeAndTooLongPayloadAreRefused) {
  std::string stream = magic.str();
  EXPECT_FALSE(parse(stream + std::string("\x63\1\0x", 4), 100).fine);
  EXPECT_FALSE(parse(stream + std::string("\1\1\x10x", 4), 100).fine); // 4097 bytes
  EXPECT_FALSE(parse(stream + std::string("\x10\0\0", 3), 100).fine);  // Stdin goes the other way
}

TEST(FrameParser, CutFrameIsNoBoundary) {
  std::string stream = magic.str();
  appendFrame(stream, FrameType::Stdout, "abc");
  stream.pop_back();
  EXPECT_FALSE(parse(stream, 100).boundary);
}

TEST(CommandLine, ValuesAreEncoded) {
  EXPECT_EQ(listWord("osv.args", {}), "osv.args=");
  EXPECT_EQ(listWord("osv.args", {"a b", "c,d", "", "100%", "\xc3\xa4"}), "osv.args=a%20b,c%2Cd,,100%25,%C3%A4");
  EXPECT_EQ(listWord("osv.env", {"PATH=/bin:/usr/bin", "Q=\"x\""}), "osv.env=PATH=/bin:/usr/bin,Q=%22x%22");
}
} // namespace
} // namespace osv::run

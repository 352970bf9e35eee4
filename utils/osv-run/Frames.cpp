// SPDX-License-Identifier: BSD-3-Clause
//
// The codec of the console protocol. Invariant: every byte after the magic is handed out exactly once, in order,
// whatever the sizes of the pieces that `feed` gets.
#include "Frames.h"
#include "llvm/ADT/StringExtras.h"
#include <cassert>
#include <cstring>

using namespace llvm;
namespace osv::run {
using abi::FrameType;

namespace {
bool isKnown(uint8_t type) { return type >= uint8_t(FrameType::Stdout) && type <= uint8_t(FrameType::Stop); }

/// Byte streams may be handed out in pieces; the others have a structure and are collected first.
bool isStream(FrameType type) {
  return type == FrameType::Stdout || type == FrameType::Stderr || type == FrameType::Log;
}
} // namespace

/// Swallows bytes up to the end of the magic and returns the rest. A failed partial match is given back as noise; the
/// magic's first byte (0) does not occur again in it, so a match can only restart at the byte that broke it.
StringRef FrameParser::findMagic(StringRef bytes, NoiseSink noise) {
  while (!bytes.empty() && !sawMagic()) {
    if (bytes.front() == abi::kMuxMagic[magicSeen]) {
      ++magicSeen;
      bytes = bytes.drop_front();
    } else if (magicSeen != 0) {
      noise(StringRef(abi::kMuxMagic, magicSeen));
      magicSeen = 0;
    } else {
      StringRef text = bytes.take_until([](char c) { return c == abi::kMuxMagic[0]; });
      noise(text);
      bytes = bytes.drop_front(text.size());
    }
  }
  return bytes;
}

bool FrameParser::feed(StringRef bytes, FrameSink frame, NoiseSink noise) {
  bytes = findMagic(bytes, noise);
  while (!bytes.empty()) {
    if (left == 0) {
      size_t n = std::min<size_t>(sizeof header - headerSeen, bytes.size());
      memcpy(header + headerSeen, bytes.data(), n);
      headerSeen += n;
      bytes = bytes.drop_front(n);
      if (headerSeen < sizeof header)
        return true;
      left = header[1] | header[2] << 8;
      if (!isKnown(header[0]) || left > abi::kMuxMaxPayload)
        return false;
      headerSeen = 0;
      if (left == 0)
        frame(FrameType(header[0]), StringRef());
      continue;
    }
    StringRef piece = bytes.take_front(left);
    bytes = bytes.drop_front(piece.size());
    left -= piece.size();
    FrameType type = FrameType(header[0]);
    if (isStream(type)) {
      frame(type, piece);
      continue;
    }
    whole.append(piece.data(), piece.size());
    if (left == 0) {
      frame(type, whole);
      whole.clear();
    }
  }
  return true;
}

void appendFrame(std::string &out, FrameType type, StringRef payload) {
  assert(payload.size() <= abi::kMuxMaxPayload);
  out += char(type);
  out += char(payload.size() & 0xff);
  out += char(payload.size() >> 8);
  out.append(payload.data(), payload.size());
}

void appendEncoded(std::string &out, StringRef value) {
  for (char c : value) {
    if (isAlnum(c) || StringRef("_./:=+@-").contains(c)) {
      out += c;
      continue;
    }
    out += '%';
    out += hexdigit(uint8_t(c) >> 4);
    out += hexdigit(uint8_t(c) & 15);
  }
}

std::string listWord(StringRef key, ArrayRef<std::string> values) {
  std::string word = key.str() + "=";
  for (size_t i = 0; i < values.size(); ++i) {
    if (i != 0)
      word += ',';
    appendEncoded(word, values[i]);
  }
  return word;
}

} // namespace osv::run

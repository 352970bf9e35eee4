// SPDX-License-Identifier: BSD-3-Clause
//
// The host's side of the console protocol (runtime/abi/Console.h): bytes to frames and back.
//
// Decides nothing about what a frame means; Session does. Keeps no copy of payloads: the parser hands out views into
// the buffer that it was given, because a program may print gigabytes.
#pragma once
#include "abi/Console.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include <string>

namespace osv::run {

/// Splits what the machine sends into the noise before the magic and frames.
class FrameParser {
public:
  /// Called with each frame, or each piece of one: a Stdout, Stderr or Log payload may come in several pieces.
  using FrameSink = llvm::function_ref<void(abi::FrameType, llvm::StringRef payload)>;
  /// Called with bytes that came before the magic.
  using NoiseSink = llvm::function_ref<void(llvm::StringRef)>;

  /// Takes the next bytes of the stream. False when they break the protocol (an unknown type, a payload above the
  /// maximum): the stream cannot be trusted from there on.
  bool feed(llvm::StringRef bytes, FrameSink frame, NoiseSink noise);

  bool sawMagic() const { return magicSeen == sizeof abi::kMuxMagic; }
  /// True between frames: the stream may end here without a frame cut in two.
  bool atBoundary() const { return headerSeen == 0 && left == 0; }

private:
  llvm::StringRef findMagic(llvm::StringRef bytes, NoiseSink noise);

  size_t magicSeen = 0;
  uint8_t header[3];
  unsigned headerSeen = 0;
  unsigned left = 0; ///< payload bytes of the current frame that have not come yet
  std::string whole; ///< payload so far, for the frame types that are handed out in one piece
};

/// Appends one frame to `out`. `payload` is at most kMuxMaxPayload bytes.
void appendFrame(std::string &out, abi::FrameType type, llvm::StringRef payload);

/// Appends `value` to `out` as the kernel's command line wants it: all but [A-Za-z0-9_./:=+@-] as %XX.
void appendEncoded(std::string &out, llvm::StringRef value);

/// The word `key=A,B,...` with encoded values; with no values, `key=`.
std::string listWord(llvm::StringRef key, llvm::ArrayRef<std::string> values);

} // namespace osv::run

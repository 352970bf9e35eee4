// SPDX-License-Identifier: BSD-3-Clause
//
// The two byte-level parts of the multiplexed console (abi/Console.h): a ring of bytes, and the parser for frames from
// the host. No locking and no device here: Console.cpp owns both, the unit tests drive them directly.
#pragma once
#include "abi/Console.h"
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace osv::console {

/// A ring of `N` (a power of two) bytes; positions run freely and wrap modulo 2^32.
template <size_t N> class ByteRing {
  static_assert((N & (N - 1)) == 0);

public:
  size_t used() const { return head - tail; }
  size_t room() const { return N - used(); }
  bool empty() const { return head == tail; }
  void put(char c) { bytes[head++ % N] = c; }
  /// The caller has checked `room()`.
  void put(const char *src, size_t n) {
    size_t first = std::min(n, N - head % N);
    memcpy(bytes + head % N, src, first);
    memcpy(bytes, src + first, n - first);
    head += static_cast<uint32_t>(n);
  }
  /// The longest contiguous run at the front, at most `max` bytes.
  std::span<const char> front(size_t max) const { return {bytes + tail % N, std::min({max, used(), N - tail % N})}; }
  void drop(size_t n) { tail += static_cast<uint32_t>(n); }
  size_t take(char *dst, size_t n) {
    n = std::min(n, used());
    for (size_t done = 0; done < n;) {
      auto run = front(n - done);
      memcpy(dst + done, run.data(), run.size());
      drop(run.size());
      done += run.size();
    }
    return n;
  }
  void clear() { tail = head; }

private:
  uint32_t head = 0, tail = 0;
  char bytes[N];
};

/// Takes the host's bytes apart. A `Sink` has
///   size_t stdinRoom();                   how many Stdin bytes can be taken now
///   void stdinBytes(const char *, size_t)
///   void stdinEnd();
///   void signal(int signo);
///   void windowSize(uint16_t rows, uint16_t columns);
///   void closed(abi::FrameType stream);   Stdout or Stderr
/// Unknown frame types are skipped.
class FrameParser {
public:
  /// Takes bytes until they are used up or the sink has no room; returns how many were taken.
  template <typename Sink> size_t feed(std::span<const char> in, Sink &sink) {
    size_t taken = 0;
    while (taken < in.size()) {
      if (headerUsed < 3) {
        header[headerUsed++] = static_cast<uint8_t>(in[taken++]);
        if (headerUsed == 3) {
          left = header[1] | header[2] << 8;
          smallUsed = 0;
          if (left == 0)
            finish(sink);
        }
        continue;
      }
      size_t n = std::min(left, in.size() - taken);
      if (type() == abi::FrameType::Stdin) {
        n = std::min(n, sink.stdinRoom());
        if (n == 0)
          return taken;
        sink.stdinBytes(in.data() + taken, n);
      } else {
        for (size_t i = 0; i < n && smallUsed < sizeof small; i++)
          small[smallUsed++] = static_cast<uint8_t>(in[taken + i]);
      }
      taken += n;
      left -= n;
      if (left == 0)
        finish(sink);
    }
    return taken;
  }
  /// Can the next byte be taken whatever it is?
  template <typename Sink> bool canTake(Sink &sink) const {
    return headerUsed < 3 || type() != abi::FrameType::Stdin || sink.stdinRoom() != 0;
  }

private:
  abi::FrameType type() const { return static_cast<abi::FrameType>(header[0]); }
  template <typename Sink> void finish(Sink &sink) {
    headerUsed = 0;
    switch (type()) {
    case abi::FrameType::StdinEof:
      return sink.stdinEnd();
    case abi::FrameType::Signal:
      return smallUsed >= 1 ? sink.signal(small[0]) : void();
    case abi::FrameType::WindowSize:
      if (smallUsed >= 4)
        sink.windowSize(static_cast<uint16_t>(small[0] | small[1] << 8),
                        static_cast<uint16_t>(small[2] | small[3] << 8));
      return;
    case abi::FrameType::Closed:
      return smallUsed >= 1 ? sink.closed(static_cast<abi::FrameType>(small[0])) : void();
    default:
      return;
    }
  }

  uint8_t header[3] = {};
  uint8_t headerUsed = 0;
  uint8_t small[4] = {};
  uint8_t smallUsed = 0;
  size_t left = 0;
};

} // namespace osv::console

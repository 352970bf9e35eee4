// SPDX-License-Identifier: BSD-3-Clause
//
// Our standard output and error as sinks that never block the event loop.
#pragma once
#include "llvm/ADT/StringRef.h"
#include <deque>
#include <string>

namespace osv::run {

/// One ordered queue for both descriptors: when they are the same terminal or file, the program's order is kept.
class OutputQueue {
public:
  OutputQueue();
  ~OutputQueue();
  OutputQueue(const OutputQueue &) = delete;

  void add(int fd, llvm::StringRef bytes); ///< fd is 1 or 2
  bool empty() const { return segments.empty(); }
  size_t size() const { return bytesQueued; }
  /// The descriptor to wait for (POLLOUT) before the next flush; -1 when there is nothing to write.
  int pollFd() const;
  /// Writes what can be written now.
  void flush();
  /// The pipe behind `fd` (1 or 2), to be watched for POLLERR: its reader went away; -1 when it is none or that is
  /// known.
  int pipeFd(int fd) const { return sinks[fd].isPipe && !sinks[fd].dead ? sinks[fd].fd : -1; }
  void readerGone(int fd) { sinks[fd].dead = sinks[fd].broken = true; }
  /// True once after the reader of `fd` went away.
  bool takeBrokenPipe(int fd) { return std::exchange(sinks[fd].broken, false); }
  /// Why output was lost ("standard output: No space left on device"); empty when none was.
  llvm::StringRef lost() const { return lostBecause; }

private:
  struct Sink {
    int fd = -1;           ///< where to write: our descriptor, or the same file opened again as non-blocking
    bool mayBlock = false; ///< could not be made non-blocking: write in pieces that fit after POLLOUT
    bool isSocket = false, isPipe = false;
    bool dead = false;
    bool broken = false; ///< dead for want of a reader, and not yet told
  };
  struct Segment {
    int fd;
    std::string bytes;
    size_t done = 0;
  };
  long writeSome(Sink &sink, llvm::StringRef bytes);

  Sink sinks[3];
  std::deque<Segment> segments;
  size_t bytesQueued = 0;
  std::string lostBecause;
};

} // namespace osv::run

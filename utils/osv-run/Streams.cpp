// SPDX-License-Identifier: BSD-3-Clause
//
// Non-blocking output without changing the caller's descriptors: O_NONBLOCK belongs to the open file, which we share
// with our parent and with whoever else has that terminal, so setting it would break them. A pipe or a terminal is
// opened again through /proc/self/fd instead; a socket takes MSG_DONTWAIT; a regular file never blocks for long.
#include "Streams.h"
#include "llvm/Support/Errno.h"
#include <cerrno>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace llvm;
namespace osv::run {

namespace {
constexpr size_t kSegmentSize = 256 << 10; ///< frames are gathered into writes of up to this size
constexpr size_t kSafeWrite = 4096;        ///< PIPE_BUF: after POLLOUT this much does not block
} // namespace

OutputQueue::OutputQueue() {
  for (int fd : {1, 2}) {
    Sink &sink = sinks[fd];
    sink.fd = fd;
    struct stat info;
    if (fstat(fd, &info) != 0)
      continue;
    sink.isSocket = S_ISSOCK(info.st_mode);
    sink.isPipe = S_ISFIFO(info.st_mode);
    if (!S_ISFIFO(info.st_mode) && !S_ISCHR(info.st_mode))
      continue;
    std::string path = "/proc/self/fd/" + std::to_string(fd);
    int own = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0)
      sink.fd = own;
    else
      sink.mayBlock = true;
  }
}

OutputQueue::~OutputQueue() {
  for (int fd : {1, 2})
    if (sinks[fd].fd != fd)
      close(sinks[fd].fd);
}

void OutputQueue::add(int fd, StringRef bytes) {
  if (bytes.empty() || sinks[fd].dead)
    return;
  if (segments.empty() || segments.back().fd != fd || segments.back().bytes.size() >= kSegmentSize)
    segments.push_back({fd, {}});
  segments.back().bytes.append(bytes.data(), bytes.size());
  bytesQueued += bytes.size();
}

int OutputQueue::pollFd() const { return segments.empty() ? -1 : sinks[segments.front().fd].fd; }

long OutputQueue::writeSome(Sink &sink, StringRef bytes) {
  if (sink.isSocket)
    return send(sink.fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sink.mayBlock)
    bytes = bytes.take_front(kSafeWrite);
  return write(sink.fd, bytes.data(), bytes.size());
}

void OutputQueue::flush() {
  while (!segments.empty()) {
    Segment &segment = segments.front();
    Sink &sink = sinks[segment.fd];
    StringRef rest = StringRef(segment.bytes).drop_front(segment.done);
    long n = sink.dead ? long(rest.size()) : writeSome(sink, rest);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (n < 0) {
      if (errno == EPIPE) {
        readerGone(segment.fd);
        continue;
      }
      sink.dead = true;
      if (lostBecause.empty())
        lostBecause = (segment.fd == 1 ? "standard output: " : "standard error: ") + sys::StrError();
      continue;
    }
    segment.done += n;
    bytesQueued -= n;
    if (segment.done == segment.bytes.size())
      segments.pop_front();
    if (sink.mayBlock)
      return; // one safe piece per POLLOUT
  }
}

} // namespace osv::run

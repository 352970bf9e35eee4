// SPDX-License-Identifier: BSD-3-Clause
//
// The console as an open file. A standard stream that is no terminal (osv.tty) looks like the pipe that it is at the
// host.
#pragma once
#include "kernel/dev/Console.h"
#include "kernel/fs/File.h"

namespace osv {

class ConsoleFile : public File {
public:
  /// `stream`: where writes go. `terminal`: isatty.
  ConsoleFile(abi::FrameType stream, bool terminal) : stream(stream), terminal(terminal) {}
  Result<size_t> read(IoBuffer &io) override;
  Result<size_t> write(IoBuffer &io) override;
  Result<size_t> readAt(IoBuffer &io, uint64_t) override { return Errno::SPipe; }
  Result<long> ioctl(unsigned cmd, uint64_t arg) override;
  Result<void> stat(struct stat &out) override;
  uint32_t poll() override;
  WaitQueue &readiness() override { return console::inputQueue(); }
  const char *kind() const override { return terminal ? "/dev/console" : "pipe:[0]"; }
  Result<Ref<File>> reopen(int flags) override;

private:
  const abi::FrameType stream;
  const bool terminal;
};

} // namespace osv

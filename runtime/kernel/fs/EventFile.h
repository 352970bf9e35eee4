// SPDX-License-Identifier: BSD-3-Clause
//
// eventfd(2): a 64-bit counter with readiness.
#pragma once
#include "kernel/fs/File.h"

namespace osv {

class EventFile : public File {
public:
  EventFile(uint64_t initial, bool semaphore) : count(initial), semaphore(semaphore) {}
  Result<size_t> read(IoBuffer &io) override;
  Result<size_t> write(IoBuffer &io) override;
  uint32_t poll() override;
  const char *kind() const override { return "anon_inode:[eventfd]"; }

private:
  SpinLock lock;
  uint64_t count;
  const bool semaphore;
};

} // namespace osv

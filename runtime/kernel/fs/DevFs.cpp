// SPDX-License-Identifier: BSD-3-Clause
//
// /dev: the memory devices, the terminal's names, and what Linux's devtmpfs has besides (links to /proc/self/fd, shm).
#include "kernel/fs/ConsoleFile.h"
#include "kernel/fs/Vfs.h"
#include "kernel/lib/Random.h"
#include "kernel/mm/Heap.h"
#include <algorithm>

namespace osv {
namespace {

class NullFile : public File {
public:
  Result<size_t> read(IoBuffer &) override { return size_t{0}; }
  Result<size_t> readAt(IoBuffer &, uint64_t) override { return size_t{0}; }
  Result<size_t> write(IoBuffer &io) override {
    size_t n = io.remaining();
    io.skip(n);
    return n;
  }
  Result<size_t> writeAt(IoBuffer &io, uint64_t) override { return write(io); }
  Result<uint64_t> seek(int64_t, int) override { return uint64_t{0}; }
  bool canPoll() const override { return false; }
};

/// Reads of /dev/zero and /dev/full; a mapping of /dev/zero is of zero pages.
class ZeroFile : public NullFile {
public:
  explicit ZeroFile(bool full) : full(full) {}
  Result<size_t> read(IoBuffer &io) override { return io.zero(io.remaining()); }
  Result<size_t> readAt(IoBuffer &io, uint64_t) override { return read(io); }
  Result<size_t> write(IoBuffer &io) override { return full ? Result<size_t>(Errno::NoSpc) : NullFile::write(io); }
  Result<size_t> writeAt(IoBuffer &io, uint64_t) override { return write(io); }
  Result<Ref<MemoryObject>> memoryObject() override {
    if (full)
      return Errno::NoDev;
    // As Linux's: a shared mapping is of fresh memory of its own, as large as the mapping.
    Ref<File> fresh = TRY(openUnnamed(FsKind::Shm, rootDentry(), "dev/zero", 0666, O_RDWR));
    TRY(fresh->truncate(INT64_MAX & ~(kPageSize - 1)));
    return fresh->memoryObject();
  }

private:
  bool full;
};

class RandomFile : public NullFile {
public:
  Result<size_t> read(IoBuffer &io) override {
    size_t done = 0;
    char bytes[256];
    while (io.remaining()) {
      size_t n = std::min(sizeof bytes, io.remaining());
      fillRandom(std::as_writable_bytes(std::span(bytes, n)));
      auto moved = io.copyOut(bytes, n);
      if (!moved)
        return done ? Result<size_t>(done) : moved;
      done += *moved;
      if (*moved < n)
        break;
    }
    return done;
  }
  Result<size_t> readAt(IoBuffer &io, uint64_t) override { return read(io); }
  bool canPoll() const override { return true; }
};

template <typename T, typename... As> Result<Ref<File>> opened(As... args) {
  return Ref<File>(Ref<T>::adopt(TRY(make<T>(args...))));
}

Result<Ref<File>> openNull(int) { return opened<NullFile>(); }
Result<Ref<File>> openZero(int) { return opened<ZeroFile>(false); }
Result<Ref<File>> openFull(int) { return opened<ZeroFile>(true); }
Result<Ref<File>> openRandom(int) { return opened<RandomFile>(); }
Result<Ref<File>> openTerminal(int) {
  // /dev/console always leads to the console; it is a terminal when standard input or output is one.
  bool terminal = console::isTerminal(0) || console::isTerminal(1);
  return opened<ConsoleFile>(abi::FrameType::Stdout, terminal);
}
Result<Ref<File>> openControllingTerminal(int flags) {
  if (!console::isTerminal(0) && !console::isTerminal(1) && !console::isTerminal(2))
    return Errno::NxIo; // no controlling terminal
  return openTerminal(flags);
}

} // namespace

Result<void> populateDev(Dentry &dev) {
  struct {
    const char *name;
    uint32_t permissions;
    unsigned major, minor;
    DeviceInode::Open open;
  } const kDevices[] = {
      {"null", 0666, 1, 3, openNull},        {"zero", 0666, 1, 5, openZero},
      {"full", 0666, 1, 7, openFull},        {"random", 0666, 1, 8, openRandom},
      {"urandom", 0666, 1, 9, openRandom},   {"tty", 0666, 5, 0, openControllingTerminal},
      {"console", 0620, 5, 1, openTerminal},
  };
  for (const auto &d : kDevices)
    TRY(addEntry(dev, d.name,
                 Ref<Inode>(Ref<DeviceInode>::adopt(
                     TRY(make<DeviceInode>(FsKind::Dev, d.permissions, d.major, d.minor, d.open))))));
  TRY(addSymlink(dev, "fd", FsKind::Dev, "/proc/self/fd"));
  TRY(addSymlink(dev, "stdin", FsKind::Dev, "/proc/self/fd/0"));
  TRY(addSymlink(dev, "stdout", FsKind::Dev, "/proc/self/fd/1"));
  TRY(addSymlink(dev, "stderr", FsKind::Dev, "/proc/self/fd/2"));
  TRY(addDirectory(dev, "shm", FsKind::Shm, 01777));
  return {};
}

} // namespace osv

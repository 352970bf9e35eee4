// SPDX-License-Identifier: BSD-3-Clause
//
// Reads and writes go through a small kernel buffer, because the console's rings are filled with interrupts off, where
// program memory must not be touched. The terminal ioctls are those of Linux's tty_ioctl(4) that make sense without job
// control.
#include "kernel/fs/ConsoleFile.h"
#include "kernel/fs/Inode.h"
#include "kernel/fs/Pipe.h"
#include "kernel/fs/Vfs.h"
#include "kernel/mm/Heap.h"
#include <algorithm>
#include <asm/ioctls.h>
#include <asm/termios.h>
#include <linux/eventpoll.h>

namespace osv {
namespace {

constexpr size_t kStackBuffer = 512;
constexpr size_t kHeapBuffer = 4096;

/// A transfer buffer: on the stack for small transfers, on the heap for large ones (when there is memory).
class Bounce {
public:
  explicit Bounce(size_t wanted) {
    if (wanted > kStackBuffer)
      heap = static_cast<char *>(heapAlloc(kHeapBuffer));
  }
  ~Bounce() {
    if (heap)
      heapFree(heap);
  }
  std::span<char> span() { return heap ? std::span<char>(heap, kHeapBuffer) : std::span<char>(small); }

private:
  char small[kStackBuffer];
  char *heap = nullptr;
};

} // namespace

Result<size_t> ConsoleFile::read(IoBuffer &io) {
  if (io.remaining() == 0)
    return size_t{0};
  Bounce buffer(io.remaining());
  size_t n = TRY(console::read(buffer.span().first(std::min(buffer.span().size(), io.remaining())), nonBlocking()));
  size_t done = TRY(io.copyOut(buffer.span().data(), n));
  return done;
}

Result<size_t> ConsoleFile::write(IoBuffer &io) {
  Bounce buffer(io.remaining());
  size_t done = 0;
  while (io.remaining()) {
    auto copied = io.copyIn(buffer.span().data(), buffer.span().size());
    if (!copied)
      return done ? Result<size_t>(done) : copied;
    auto written = console::write(stream, buffer.span().first(*copied), nonBlocking());
    if (!written) {
      if (written.error() == Errno::Pipe)
        raiseBrokenPipe();
      return done ? Result<size_t>(done) : written;
    }
    done += *written;
    if (*written < *copied)
      break;
  }
  return done;
}

uint32_t ConsoleFile::poll() {
  uint32_t ready = 0;
  if (readable() && console::inputReady())
    ready |= EPOLLIN | EPOLLRDNORM;
  if (writable() && console::outputReady())
    ready |= EPOLLOUT | EPOLLWRNORM;
  if (writable() && console::outputClosed(stream))
    ready |= EPOLLERR;
  return ready;
}

Result<void> ConsoleFile::stat(struct stat &out) {
  if (terminal && dentry)
    return File::stat(out);
  out = {};
  out.st_dev = encodeDevice(0, 13);
  out.st_ino = 1 + static_cast<unsigned>(stream);
  out.st_mode = terminal ? S_IFCHR | 0620 : S_IFIFO | 0600;
  out.st_rdev = terminal ? encodeDevice(5, 1) : 0;
  out.st_nlink = 1;
  out.st_blksize = kPageSize;
  return {};
}

Result<Ref<File>> ConsoleFile::reopen(int) {
  auto *f = TRY(make<ConsoleFile>(stream, terminal));
  f->dentry = dentry;
  return Ref<File>(Ref<ConsoleFile>::adopt(f));
}

Result<long> ConsoleFile::ioctl(unsigned cmd, uint64_t arg) {
  if (cmd == FIONREAD) {
    TRY(UserPtr<int>(arg).write(static_cast<int>(console::inputAvailable())));
    return 0;
  }
  if (!terminal)
    return Errno::NoTty;
  switch (cmd) {
  case TCGETS:
    TRY(UserPtr<termios>(arg).write(console::terminalSettings()));
    return 0;
  case TCSETSW:
  case TCSETSF:
  case TCSETS: {
    termios t = TRY(UserPtr<termios>(arg).read());
    if (cmd != TCSETS)
      TRY(console::waitForOutput());
    console::setTerminalSettings(t, cmd == TCSETSF);
    return 0;
  }
  case TCGETS2: {
    termios t = console::terminalSettings();
    struct termios2 t2 = {t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_line, {}, 38400, 38400};
    std::copy(std::begin(t.c_cc), std::end(t.c_cc), t2.c_cc);
    TRY(UserPtr<struct termios2>(arg).write(t2));
    return 0;
  }
  case TCSETS2:
  case TCSETSW2:
  case TCSETSF2: {
    struct termios2 t2 = TRY(UserPtr<struct termios2>(arg).read());
    termios t = {t2.c_iflag, t2.c_oflag, t2.c_cflag, t2.c_lflag, t2.c_line, {}};
    std::copy(std::begin(t2.c_cc), std::end(t2.c_cc), t.c_cc);
    if (cmd != TCSETS2)
      TRY(console::waitForOutput());
    console::setTerminalSettings(t, cmd == TCSETSF2);
    return 0;
  }
  case TIOCGWINSZ: {
    auto size = console::windowSize();
    TRY(UserPtr<struct winsize>(arg).write(winsize{size.rows, size.columns, 0, 0}));
    return 0;
  }
  case TIOCSWINSZ: {
    struct winsize w = TRY(UserPtr<struct winsize>(arg).read());
    console::setWindowSize({w.ws_row, w.ws_col});
    return 0;
  }
  case TCSBRK:
    TRY(console::waitForOutput());
    return 0;
  case TCFLSH:
    if (arg == TCIFLUSH || arg == TCIOFLUSH)
      console::flushInput();
    return arg > TCIOFLUSH ? Result<long>(Errno::Inval) : Result<long>(0);
  case TCXONC:
    return arg > TCION ? Result<long>(Errno::Inval) : Result<long>(0);
  case TIOCGPGRP:
  case TIOCGSID:
    TRY(UserPtr<int>(arg).write(1));
    return 0;
  case TIOCSPGRP:
    TRY(UserPtr<int>(arg).read());
    return 0;
  case TIOCSCTTY:
  case TIOCNOTTY:
  case TIOCEXCL:
  case TIOCNXCL:
    return 0;
  case TIOCOUTQ:
    TRY(UserPtr<int>(arg).write(0));
    return 0;
  default:
    return Errno::NoTty;
  }
}

Result<Ref<File>> openConsole(int which) {
  bool terminal = console::isTerminal(which);
  auto *f = TRY(make<ConsoleFile>(which == 2 ? abi::FrameType::Stderr : abi::FrameType::Stdout, terminal));
  Ref<ConsoleFile> file = Ref<ConsoleFile>::adopt(f);
  // A terminal is opened read-write three times over; a pipe has one direction.
  file->flags = (terminal ? O_RDWR : which == 0 ? O_RDONLY : O_WRONLY) | O_LARGEFILE;
  if (terminal) {
    TreeReadGuard tree;
    Ref<Dentry> root = rootDentry();
    if (Ref<Dentry> dev = TRY(root->inode->lookup(*root, "dev")))
      file->dentry = TRY(dev->inode->lookup(*dev, "console"));
  }
  return Ref<File>(file);
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Copies between descriptors inside the kernel: sendfile, copy_file_range, splice, tee. Plain copies through one page:
// files are memory here, so there is nothing to gain from moving pages.
#include "kernel/fs/Pipe.h"
#include "kernel/fs/RegularFile.h"
#include "kernel/mm/Heap.h"
#include "kernel/syscalls/FileArguments.h"
#include <algorithm>

namespace osv {
namespace {

constexpr size_t kChunk = 4096;

struct Page {
  char *bytes = static_cast<char *>(heapAlloc(kChunk));
  ~Page() {
    if (bytes)
      heapFree(bytes);
  }
};

/// Copies up to n bytes; `*from` and `*to` (null: the file's own position) advance by what was written. Reading goes
/// ahead of writing by at most one chunk, and what was not written is not counted: `in` must be readable at an offset.
Result<size_t> copyBytes(File &in, uint64_t *from, File &out, uint64_t *to, size_t n) {
  Page page;
  if (!page.bytes)
    return Errno::NoMem;
  size_t done = 0;
  while (done < n) {
    IoBuffer source = IoBuffer::kernel(page.bytes, std::min(kChunk, n - done));
    auto got = in.readAt(source, *from);
    if (!got)
      return done ? Result<size_t>(done) : got;
    if (*got == 0)
      break;
    IoBuffer target = IoBuffer::kernel(page.bytes, *got);
    auto put = to ? out.writeAt(target, *to) : out.write(target);
    if (!put)
      return done ? Result<size_t>(done) : put;
    *from += *put;
    if (to)
      *to += *put;
    done += *put;
    if (*put < *got)
      break;
  }
  return done;
}

/// An offset argument: the program's variable, or the file's position.
class Offset {
public:
  Result<void> read(UserPtr<long> argument, File &file) {
    variable = argument;
    position = file.position;
    if (!argument)
      return {};
    long v = TRY(argument.read());
    if (v < 0)
      return Errno::Inval;
    position = static_cast<uint64_t>(v);
    return {};
  }
  Result<void> writeBack(File &file) {
    if (variable)
      return variable.write(static_cast<long>(position));
    file.position = position;
    return {};
  }
  uint64_t position = 0;

private:
  UserPtr<long> variable;
};

} // namespace

Result<long> sys_sendfile(int outFd, int inFd, UserPtr<long> offset, size_t n) {
  Ref<File> in = TRY(files().get(inFd)), out = TRY(files().get(outFd));
  if (!in->readable() || !out->writable())
    return Errno::BadF;
  if (in->isPath() || out->isPath())
    return Errno::BadF;
  if (!in->seekable())
    return offset ? Errno::SPipe : Errno::Inval;
  if (out->flags & O_APPEND)
    return Errno::Inval;
  Offset from;
  TRY(from.read(offset, *in));
  size_t done = TRY(copyBytes(*in, &from.position, *out, nullptr, std::min(n, kMaxTransfer)));
  TRY(from.writeBack(*in));
  return static_cast<long>(done);
}

Result<long> sys_copy_file_range(int inFd, UserPtr<long> inOffset, int outFd, UserPtr<long> outOffset, size_t n,
                                 unsigned flags) {
  if (flags)
    return Errno::Inval;
  Ref<File> in = TRY(files().get(inFd)), out = TRY(files().get(outFd));
  if (!in->readable() || !out->writable() || (out->flags & O_APPEND) || in->isPath() || out->isPath())
    return Errno::BadF;
  for (File *f : {in.get(), out.get()}) {
    if (f->inode() && f->inode()->isDirectory())
      return Errno::IsDir;
    if (!f->seekable() || !f->inode()->isRegular())
      return Errno::Inval;
  }
  Offset from, to;
  TRY(from.read(inOffset, *in));
  TRY(to.read(outOffset, *out));
  uint64_t size = in->inode()->size();
  n = std::min<uint64_t>({n, kMaxTransfer, from.position < size ? size - from.position : 0});
  if (in->inode() == out->inode() && from.position < to.position + n && to.position < from.position + n)
    return Errno::Inval;
  size_t done = TRY(copyBytes(*in, &from.position, *out, &to.position, n));
  TRY(from.writeBack(*in));
  TRY(to.writeBack(*out));
  return static_cast<long>(done);
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Reading, writing, truncating and mapping of in-memory file contents. See FileData.h for the locks.
#include "kernel/fs/FileData.h"
#include "kernel/mm/Heap.h"
#include "kernel/mm/PageAllocator.h"
#include <algorithm>
#include <cstring>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/memfd.h>

namespace osv {

namespace {
constexpr uint64_t kMaxFileSize = INT64_MAX;
char *bytesOf(PAddr page) { return static_cast<char *>(arch::directMap(page)); }
} // namespace

uint64_t FileData::allocatedPages() {
  SpinGuard g(lock);
  return pages.count() + roundUp(imageSize, kPageSize) / kPageSize;
}

Result<PAddr> FileData::pin(uint64_t index) {
  PAddr page = pages.find(index);
  if (!page.value) {
    uint64_t start = index * kPageSize;
    bool fromImage = start < imageSize;
    page = TRY(allocPages(0, fromImage ? Zero::No : Zero::Yes));
    if (fromImage) {
      size_t n = std::min<uint64_t>(imageSize - start, kPageSize);
      memcpy(bytesOf(page), image + start, n);
      memset(bytesOf(page) + n, 0, kPageSize - n);
    }
    if (auto r = pages.insert(index, page); !r) {
      releasePage(page);
      return r.error();
    }
  }
  retainPage(page);
  return page;
}

Result<size_t> FileData::read(IoBuffer &io, uint64_t offset) {
  size_t done = 0;
  while (io.remaining()) {
    PAddr page;
    const char *archived = nullptr;
    size_t n;
    {
      SpinGuard g(lock);
      uint64_t end = bytes.load(std::memory_order_relaxed);
      if (offset >= end)
        break;
      size_t inPage = offset % kPageSize;
      n = std::min<uint64_t>({io.remaining(), end - offset, kPageSize - inPage});
      page = pages.find(offset / kPageSize);
      if (page.value) {
        retainPage(page);
      } else if (offset < imageSize) {
        archived = image + offset;
        // Nothing was ever written: the whole run in one copy.
        uint64_t run = pages.count() == 0 ? std::min<uint64_t>(io.remaining(), end - offset) : n;
        n = std::min(run, imageSize - offset);
      }
    }
    Result<size_t> moved = page.value ? io.copyOut(bytesOf(page) + offset % kPageSize, n)
                           : archived ? io.copyOut(archived, n)
                                      : io.zero(n);
    if (page.value)
      releasePage(page);
    if (!moved)
      return done ? Result<size_t>(done) : moved;
    done += *moved;
    offset += *moved;
    if (*moved < n)
      break;
  }
  return done;
}

Result<size_t> FileData::write(IoBuffer &io, uint64_t offset, uint64_t *end) {
  MutexGuard writers(writeLock);
  if (seals & F_SEAL_WRITE)
    return Errno::Perm;
  if (offset == kAppend)
    offset = size();
  if (offset >= kMaxFileSize)
    return io.remaining() ? Result<size_t>(Errno::FBig) : Result<size_t>(size_t{0});
  if ((seals & F_SEAL_GROW) && offset + io.remaining() > size()) {
    if (offset >= size())
      return Errno::Perm;
    io.limit(size() - offset);
  }
  io.limit(kMaxFileSize - offset);
  size_t done = 0;
  while (io.remaining()) {
    Result<PAddr> page = [&] {
      SpinGuard g(lock);
      return pin(offset / kPageSize);
    }();
    if (!page) {
      if (done)
        break;
      return Errno::NoSpc;
    }
    size_t n = std::min(io.remaining(), kPageSize - offset % kPageSize);
    auto moved = io.copyIn(bytesOf(*page) + offset % kPageSize, n);
    if (moved) {
      SpinGuard g(lock);
      offset += *moved;
      if (offset > bytes.load(std::memory_order_relaxed))
        bytes.store(offset, std::memory_order_release);
    }
    releasePage(*page);
    if (!moved) {
      if (done)
        break;
      return moved;
    }
    done += *moved;
    if (*moved < n)
      break;
  }
  *end = offset;
  return done;
}

/// Zeroes what pages hold of [from, to), which lies within one page. Lock held.
void FileData::zeroTail(uint64_t from, uint64_t to) {
  if (PAddr page = pages.find(from / kPageSize); page.value)
    memset(bytesOf(page) + from % kPageSize, 0, to - from);
}

Result<void> FileData::truncate(uint64_t size) {
  if (size > kMaxFileSize)
    return Errno::FBig;
  MutexGuard writers(writeLock);
  if ((size < this->size() && (seals & F_SEAL_SHRINK)) || (size > this->size() && (seals & F_SEAL_GROW)))
    return Errno::Perm;
  bool shorter = size < this->size();
  bytes.store(size, std::memory_order_release); // from here on no fault maps what lies beyond
  if (!shorter)
    return {};
  uint64_t firstGone = roundUp(size, kPageSize) / kPageSize;
  fileTruncated(*this, firstGone);
  SpinGuard g(lock);
  pages.removeFrom(firstGone);
  if (size % kPageSize)
    zeroTail(size, roundUp(size, kPageSize));
  imageSize = std::min(imageSize, size);
  return {};
}

Result<void> FileData::allocate(int mode, uint64_t offset, uint64_t len) {
  if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
    return Errno::OpNotSupp;
  if ((mode & FALLOC_FL_PUNCH_HOLE) && mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
    return Errno::OpNotSupp;
  if (mode & FALLOC_FL_ZERO_RANGE)
    return Errno::OpNotSupp; // as tmpfs
  uint64_t end = offset + len;
  if (end > kMaxFileSize)
    return Errno::FBig;
  MutexGuard writers(writeLock);
  if (mode & FALLOC_FL_PUNCH_HOLE) {
    if (seals & F_SEAL_WRITE)
      return Errno::Perm;
    for (uint64_t at = offset; at < std::min(end, roundUp(size(), kPageSize));) {
      uint64_t next = std::min(end, roundDown(at, kPageSize) + kPageSize);
      SpinGuard g(lock);
      if (at < imageSize) { // the archive must not show through
        PAddr page = TRY(pin(at / kPageSize));
        releasePage(page);
        zeroTail(at, next);
      } else if (PAddr page = pages.find(at / kPageSize); next - at == kPageSize && page.value && pageRefs(page) == 1) {
        pages.remove(at / kPageSize);
        releasePage(page);
      } else { // partly, or mapped somewhere: the mapping must see the zeros
        zeroTail(at, next);
      }
      at = next;
    }
    return {};
  }
  if (end > size() && (seals & F_SEAL_GROW))
    return Errno::Perm;
  for (uint64_t index = offset / kPageSize; index * kPageSize < end; index++) {
    SpinGuard g(lock);
    if (index * kPageSize < imageSize)
      continue;
    auto page = pin(index);
    if (!page)
      return Errno::NoSpc;
    releasePage(*page);
  }
  if (!(mode & FALLOC_FL_KEEP_SIZE) && end > size())
    bytes.store(end, std::memory_order_release);
  return {};
}

Result<uint64_t> FileData::seekData(uint64_t from, bool hole) {
  SpinGuard g(lock);
  uint64_t end = bytes.load(std::memory_order_relaxed);
  if (from >= end)
    return Errno::NxIo;
  if (!hole) {
    if (from < imageSize)
      return from;
    uint64_t index = pages.nextPresent(from / kPageSize);
    if (index == ~0ull || index * kPageSize >= end)
      return Errno::NxIo;
    return std::max(from, index * kPageSize);
  }
  uint64_t at = std::max(from, roundUp(imageSize, kPageSize));
  if (imageSize == 0 || from >= imageSize)
    at = from;
  while (at < end && pages.find(at / kPageSize).value)
    at = roundDown(at, kPageSize) + kPageSize;
  return std::min(at, end);
}

Result<PAddr> FileData::page(uint64_t index, bool) {
  SpinGuard g(lock);
  if (index >= roundUp(bytes.load(std::memory_order_relaxed), kPageSize) / kPageSize)
    return Errno::Range;
  return pin(index);
}

FileData::~FileData() {
  if (mappedName)
    heapFree(mappedName);
}

void FileData::setMappedName(uint64_t inodeNumber, std::string_view path) {
  auto *copy = static_cast<char *>(heapAlloc(path.size() ? path.size() : 1));
  if (!copy)
    return; // no name, then
  path.copy(copy, path.size());
  SpinGuard g(lock);
  if (mappedName) {
    heapFree(copy);
    return;
  }
  inode = inodeNumber;
  mappedLength = path.size();
  mappedName = copy;
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// The bytes of a regular in-memory file: pages where it was written or mapped, the image's archive where it was not,
// zeros elsewhere.
//
// Two locks. `writeLock` (sleeping) orders writers, truncation and appends; program memory may be touched under it.
// `lock` (spinning) guards the page map and the size, is taken by page faults on mappings of the file, and program
// memory is never touched under it: a page is pinned, the lock dropped, the bytes copied. So a program may write a file
// from a mapping of the same file.
#pragma once
#include "kernel/fs/File.h"
#include "kernel/fs/PageMap.h"

namespace osv {

/// It is itself what a mapping shows: all mappings of a file share one object (merging of areas, futex keys).
class FileData final : public MemoryObject {
public:
  FileData() = default;
  /// Contents in the image's read-only memory, referenced in place.
  FileData(const char *image, uint64_t n) : image(image), imageSize(n), bytes(n) {}

  ~FileData() override;

  uint64_t size() const { return bytes.load(std::memory_order_acquire); }
  uint64_t allocatedPages();
  Result<size_t> read(IoBuffer &io, uint64_t offset);
  /// Appends when `offset` is kAppend; `*end` is the position after the last byte written. ENOSPC, EFAULT, EFBIG.
  static constexpr uint64_t kAppend = ~0ull;
  Result<size_t> write(IoBuffer &io, uint64_t offset, uint64_t *end);
  Result<void> truncate(uint64_t size);
  Result<void> allocate(int mode, uint64_t offset, uint64_t len);
  /// SEEK_DATA / SEEK_HOLE. ENXIO.
  Result<uint64_t> seekData(uint64_t from, bool hole);
  Result<PAddr> page(uint64_t index, bool write) override;
  uint64_t inodeNumber() const override { return inode; }
  std::string_view name() const override { return {mappedName, mappedLength}; }
  /// At the first mapping: what /proc/self/maps shows.
  void setMappedName(uint64_t inodeNumber, std::string_view path);

  int seals = 1; ///< memfd: F_SEAL_* (F_SEAL_SEAL unless MFD_ALLOW_SEALING)

private:
  /// The page of `index` with a reference taken, made from the archive or of zeros when there was none. Lock held.
  Result<PAddr> pin(uint64_t index);
  void zeroTail(uint64_t from, uint64_t to);

  Mutex writeLock;
  SpinLock lock;
  PageMap pages;
  const char *image = nullptr;
  uint64_t imageSize = 0; ///< bytes of `image` that still show
  std::atomic<uint64_t> bytes{0};
  uint64_t inode = 0;
  char *mappedName = nullptr; ///< set once
  size_t mappedLength = 0;
};

/// A file became shorter: its pages from index `firstPage` on must vanish from every mapping. Defined with the system
/// calls.
void fileTruncated(const MemoryObject &object, uint64_t firstPage);

} // namespace osv

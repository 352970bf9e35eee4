// SPDX-License-Identifier: BSD-3-Clause
//
// From page index to physical page: a radix tree whose nodes are pages of 512 entries. A file of one page needs no node
// at all, one of up to 2 MiB needs one. Empty nodes are freed by `removeFrom` only. No locking: FileData's.
#pragma once
#include "kernel/lib/Result.h"
#include "kernel/lib/Types.h"

namespace osv {

class PageMap {
public:
  ~PageMap();
  /// PAddr(0) when there is none.
  PAddr find(uint64_t index) const;
  /// There was none before. ENOMEM.
  Result<void> insert(uint64_t index, PAddr page);
  /// PAddr(0) when there was none; the caller owns the page then.
  PAddr remove(uint64_t index);
  /// Releases (releasePage) every page with an index >= first.
  void removeFrom(uint64_t first);
  /// The first index >= `from` that has a page, or ~0.
  uint64_t nextPresent(uint64_t from) const;
  uint64_t count() const { return pages; }

private:
  static constexpr unsigned kBits = 9;
  static constexpr uint64_t kFanout = 1u << kBits;
  uint64_t span() const { return height > 7 ? ~0ull : uint64_t{1} << (kBits * height); }
  static PAddr *node(PAddr p);
  static void removeBelow(PAddr entry, unsigned level, uint64_t first, uint64_t &pages);
  static uint64_t findBelow(PAddr entry, unsigned level, uint64_t from);

  PAddr root;
  unsigned height = 0; ///< 0: `root` is page 0 itself
  uint64_t pages = 0;
};

} // namespace osv

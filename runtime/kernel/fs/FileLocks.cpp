// SPDX-License-Identifier: BSD-3-Clause
//
// Advisory locks: conflict search, and POSIX's splitting and merging of ranges when an owner's own locks overlap.
#include "kernel/fs/FileLocks.h"
#include "kernel/fs/Inode.h"
#include "kernel/mm/Heap.h"

namespace osv {

LockList::~LockList() {
  while (FileLock *l = first) {
    first = l->next;
    delete l;
  }
}

const FileLock *LockList::findConflict(const void *owner, LockStyle style, bool exclusive, uint64_t start,
                                       uint64_t end) const {
  for (const FileLock *l = first; l; l = l->next)
    if (l->owner != owner && l->style == style && l->start <= end && start <= l->end && (exclusive || l->exclusive))
      return l;
  return nullptr;
}

bool LockList::conflict(const void *owner, LockStyle style, bool exclusive, uint64_t start, uint64_t end,
                        FileLock *out) {
  MutexGuard g(mutex);
  const FileLock *l = findConflict(owner, style, exclusive, start, end);
  if (l)
    *out = *l;
  return l;
}

Result<void> LockList::apply(const void *owner, LockStyle style, int type, uint64_t start, uint64_t end) {
  // All memory first: at most one piece is split off, and one new lock made.
  FileLock *fresh = type == F_UNLCK ? nullptr : TRY(make<FileLock>(owner, start, end, style, type == F_WRLCK));
  auto spare = make<FileLock>();
  if (!spare) {
    delete fresh;
    return spare.error();
  }
  FileLock *piece = *spare;
  for (FileLock **at = &first; *at;) {
    FileLock &l = **at;
    if (l.owner != owner || l.style != style || l.start > end || start > l.end) {
      at = &l.next;
      continue;
    }
    if (l.start < start && l.end > end) { // a hole in the middle
      *piece = {owner, end + 1, l.end, style, l.exclusive, l.next};
      l.end = start - 1;
      l.next = piece;
      piece = nullptr;
      break;
    }
    if (l.start < start) {
      l.end = start - 1;
      at = &l.next;
    } else if (l.end > end) {
      l.start = end + 1;
      at = &l.next;
    } else {
      *at = l.next;
      delete &l;
    }
  }
  delete piece;
  if (fresh) {
    fresh->next = first;
    first = fresh;
  }
  released.wakeAll();
  return {};
}

Result<void> LockList::set(const void *owner, LockStyle style, int type, uint64_t start, uint64_t end, bool wait) {
  MutexGuard g(mutex);
  if (type != F_UNLCK && findConflict(owner, style, type == F_WRLCK, start, end)) {
    if (!wait)
      return Errno::Again;
    if (style == LockStyle::Flock)
      TRY(apply(owner, style, F_UNLCK, start, end)); // flock gives up the old lock before it waits for the new one
    auto isFree = [&] { return !findConflict(owner, style, type == F_WRLCK, start, end); };
    if (!isFree())
      TRY(waitUntil(mutex, released, isFree));
  }
  return apply(owner, style, type, start, end);
}

void LockList::releaseOwner(const void *owner, LockStyle style) {
  MutexGuard g(mutex);
  for (FileLock **at = &first; *at;) {
    FileLock &l = **at;
    if (l.owner != owner || l.style != style) {
      at = &l.next;
      continue;
    }
    *at = l.next;
    delete &l;
  }
  released.wakeAll();
}

Result<LockList *> locksOf(Inode &inode) {
  if (LockList *l = inode.locks.load(std::memory_order_acquire))
    return l;
  LockList *fresh = TRY(make<LockList>()), *expected = nullptr;
  if (inode.locks.compare_exchange_strong(expected, fresh, std::memory_order_acq_rel))
    return fresh;
  delete fresh;
  return expected;
}

void releaseFileLocks(File &file) {
  Inode *inode = file.inode();
  LockList *l = inode ? inode->locks.load(std::memory_order_acquire) : nullptr;
  if (!l)
    return;
  l->releaseOwner(&file, LockStyle::Flock);
  l->releaseOwner(&file, LockStyle::Record);
}

} // namespace osv

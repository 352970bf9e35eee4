// SPDX-License-Identifier: BSD-3-Clause
//
// The descriptor table grows by doubling; the old array is freed after the lock is dropped.
#include "kernel/fs/FileTable.h"
#include "kernel/mm/Heap.h"
#include <algorithm>
#include <cstring>

namespace osv {

Result<FileTable *> FileTable::create() { return make<FileTable>(); }

Result<Ref<File>> FileTable::get(int fd) {
  Ref<File> f = take(fd);
  return f ? Result<Ref<File>>(std::move(f)) : Result<Ref<File>>(Errno::BadF);
}

Result<void> FileTable::grow(unsigned fd) {
  while (fd >= capacity) {
    unsigned before = capacity;
    unsigned wanted = std::max(capacity ? capacity * 2 : 32, fd + 1);
    lock.unlockRaw();
    auto *fresh = static_cast<Slot *>(heapAlloc(wanted * sizeof(Slot)));
    lock.lockRaw();
    if (!fresh)
      return Errno::NoMem;
    Slot *old = fresh;
    if (capacity == before) {
      memset(fresh, 0, wanted * sizeof(Slot));
      if (slots)
        memcpy(fresh, slots, capacity * sizeof(Slot));
      old = slots;
      slots = fresh;
      capacity = wanted;
    }
    if (old) {
      lock.unlockRaw();
      heapFree(old);
      lock.lockRaw();
    }
  }
  return {};
}

Result<int> FileTable::install(Ref<File> f, bool closeOnExec, int min) {
  unsigned limit = descriptorLimit();
  if (static_cast<unsigned>(min) >= limit)
    return min < 0 ? Errno::Inval : Errno::MFile;
  SpinGuard g(lock);
  for (;;) {
    unsigned fd = std::max(static_cast<unsigned>(min), lowestFree);
    while (fd < capacity && slots[fd].file)
      fd++;
    if (fd >= limit)
      return Errno::MFile;
    if (fd >= capacity) {
      TRY(grow(fd));
      if (slots[fd].file) // somebody else took it while the lock was dropped
        continue;
    }
    slots[fd] = {f.leak(), closeOnExec};
    if (static_cast<unsigned>(min) <= lowestFree)
      lowestFree = fd + 1;
    return static_cast<int>(fd);
  }
}

Result<int> FileTable::replace(int fd, Ref<File> f, bool closeOnExec) {
  if (static_cast<unsigned>(fd) >= descriptorLimit())
    return Errno::BadF;
  Ref<File> old; // released after the lock
  SpinGuard g(lock);
  TRY(grow(static_cast<unsigned>(fd)));
  old = Ref<File>::adopt(slots[fd].file);
  slots[fd] = {f.leak(), closeOnExec};
  return fd;
}

Result<void> FileTable::close(int fd) {
  Ref<File> old;
  SpinGuard g(lock);
  if (static_cast<unsigned>(fd) >= capacity || !slots[fd].file)
    return Errno::BadF;
  old = Ref<File>::adopt(slots[fd].file);
  slots[fd] = {};
  lowestFree = std::min(lowestFree, static_cast<unsigned>(fd));
  return {};
}

Result<bool> FileTable::closeOnExec(int fd) {
  SpinGuard g(lock);
  if (static_cast<unsigned>(fd) >= capacity || !slots[fd].file)
    return Errno::BadF;
  return slots[fd].closeOnExec;
}

Result<void> FileTable::setCloseOnExec(int fd, bool on) {
  SpinGuard g(lock);
  if (static_cast<unsigned>(fd) >= capacity || !slots[fd].file)
    return Errno::BadF;
  slots[fd].closeOnExec = on;
  return {};
}

int FileTable::next(int fd) {
  SpinGuard g(lock);
  for (unsigned i = std::max(fd, 0); i < capacity; i++)
    if (slots[i].file)
      return static_cast<int>(i);
  return -1;
}

} // namespace osv

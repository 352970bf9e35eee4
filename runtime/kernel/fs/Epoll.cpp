// SPDX-License-Identifier: BSD-3-Clause
//
// epoll sets: membership, announcements, and collecting with level, edge and one-shot semantics. Lock order: Epoll.h.
#include "kernel/fs/Epoll.h"
#include "kernel/lib/Log.h"
#include "kernel/mm/Heap.h"
#include <new>

namespace osv {
namespace {

constexpr uint32_t kAlways = EPOLLERR | EPOLLHUP;
constexpr uint32_t kPrivate = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;
constexpr int kMaxNesting = 5;

/// Membership of all sets. Built on first use: the runtime has no dynamic initialisers.
Mutex &watchersLock() {
  alignas(Mutex) static constinit char storage[sizeof(Mutex)] = {};
  static constinit SpinLock once;
  static constinit bool made = false;
  if (!__atomic_load_n(&made, __ATOMIC_ACQUIRE)) {
    SpinGuard g(once);
    if (!made) {
      new (storage) Mutex;
      __atomic_store_n(&made, true, __ATOMIC_RELEASE);
    }
  }
  return *std::launder(reinterpret_cast<Mutex *>(storage));
}

} // namespace

EpollItem *EpollFile::find(File *file, int fd) {
  struct Key {
    File *file;
    int fd;
  };
  struct Compare {
    bool operator()(const Key &k, const EpollItem &i) const { return k.file != i.file ? k.file < i.file : k.fd < i.fd; }
    bool operator()(const EpollItem &i, const Key &k) const { return k.file != i.file ? i.file < k.file : i.fd < k.fd; }
  };
  auto it = items.find(Key{file, fd}, Compare());
  return it == items.end() ? nullptr : &*it;
}

void EpollFile::markReady(EpollItem &item) {
  {
    IrqSpinGuard g(readyLock);
    if (!item.ready) {
      item.ready = true;
      readyList.push_back(item);
    }
  }
  if (!pollQueue.empty())
    pollQueue.wakeAll(EPOLLIN | EPOLLRDNORM);
}

/// In the file's wait queue's lock, any context.
bool EpollFile::announced(WaitEntry &entry, uint32_t events) {
  auto &item = reinterpret_cast<EpollItem &>(entry);
  uint32_t wanted = item.event.events;
  if ((wanted & ~kPrivate) == 0 || !(events & wanted)) // disarmed by EPOLLONESHOT, or of no interest
    return false;
  item.set->markReady(item);
  return wanted & EPOLLEXCLUSIVE;
}

int EpollFile::depthBelow(const EpollFile *target, int depth) {
  if (this == target)
    return -1;
  if (depth > kMaxNesting)
    return depth;
  int deepest = depth;
  for (EpollItem &item : items)
    if (EpollFile *inner = item.file->asEpoll()) {
      int d = inner->depthBelow(target, depth + 1);
      if (d < 0)
        return d;
      deepest = d > deepest ? d : deepest;
    }
  return deepest;
}

Result<void> EpollFile::add(File &file, int fd, const struct epoll_event &event) {
  auto *item = TRY(make<EpollItem>());
  item->entry.notify = announced;
  item->set = this;
  item->file = &file;
  item->fd = fd;
  item->event = event;
  item->event.events |= kAlways;
  items.insert(*item);
  item->nextWatcher = file.watchers;
  item->previousWatcher = &file.watchers;
  if (file.watchers)
    file.watchers->previousWatcher = &item->nextWatcher;
  file.watchers = item;
  file.readiness().add(item->entry);
  if (file.poll() & item->event.events)
    markReady(*item);
  return {};
}

/// watchersLock and mutex held.
void EpollFile::drop(EpollItem &item) {
  item.file->readiness().remove(item.entry); // from here on nobody announces it
  {
    IrqSpinGuard g(readyLock);
    if (item.ready)
      readyList.erase(readyList.iterator_to(item));
  }
  items.erase(items.iterator_to(item));
  *item.previousWatcher = item.nextWatcher;
  if (item.nextWatcher)
    item.nextWatcher->previousWatcher = item.previousWatcher;
  delete &item;
}

Result<void> EpollFile::control(int op, Ref<File> file, int fd, const struct epoll_event &event) {
  if (!file->canPoll())
    return Errno::Perm;
  if (file.get() == this)
    return Errno::Inval;
  constexpr uint32_t kExclusiveOk = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
  if (op != EPOLL_CTL_DEL && (event.events & EPOLLEXCLUSIVE)) {
    if (op == EPOLL_CTL_MOD || file->asEpoll() || (event.events & ~kExclusiveOk))
      return Errno::Inval;
  }
  MutexGuard membership(watchersLock());
  if (op == EPOLL_CTL_ADD)
    if (EpollFile *inner = file->asEpoll()) {
      int depth = inner->depthBelow(this, 1);
      if (depth < 0 || depth >= kMaxNesting)
        return Errno::Loop;
    }
  MutexGuard g(mutex);
  EpollItem *item = find(file.get(), fd);
  switch (op) {
  case EPOLL_CTL_ADD:
    return item ? Result<void>(Errno::Exist) : add(*file, fd, event);
  case EPOLL_CTL_DEL:
    if (!item)
      return Errno::NoEnt;
    drop(*item);
    return {};
  case EPOLL_CTL_MOD:
    if (!item)
      return Errno::NoEnt;
    if (item->event.events & EPOLLEXCLUSIVE)
      return Errno::Inval;
    item->event.data = event.data;
    // The callback reads `events` without a lock: the fence orders it before the poll below, which sees what the
    // callback may have missed.
    std::atomic_ref<uint32_t>(item->event.events).store(event.events | kAlways, std::memory_order_seq_cst);
    if (file->poll() & item->event.events)
      markReady(*item);
    return {};
  default:
    return Errno::Inval;
  }
}

Result<size_t> EpollFile::collect(size_t most, bool (*put)(void *, size_t, const struct epoll_event &), void *ctx) {
  MutexGuard g(mutex);
  // Everything that is ready now is looked at at most once; what stays ready (level-triggered) goes to the back, so
  // that all get their turn.
  ReadyList batch;
  {
    IrqSpinGuard r(readyLock);
    batch.splice(batch.end(), readyList);
  }
  ReadyList again;
  size_t count = 0;
  bool faulted = false;
  while (!batch.empty() && count < most) {
    EpollItem &item = batch.front();
    {
      IrqSpinGuard r(readyLock);
      batch.pop_front();
      item.ready = false; // before the poll: an announcement from now on counts anew
    }
    uint32_t wanted = item.event.events;
    uint32_t found = wanted & ~kPrivate ? item.file->poll() & wanted : 0;
    if (!found)
      continue;
    struct epoll_event out = item.event;
    out.events = found;
    bool copied = put(ctx, count, out);
    if (copied) {
      count++;
      if (wanted & EPOLLONESHOT) {
        item.event.events = wanted & kPrivate;
        continue;
      }
    }
    if (!copied || !(wanted & EPOLLET)) {
      IrqSpinGuard r(readyLock);
      if (!item.ready) {
        item.ready = true;
        again.push_back(item);
      }
    }
    if (!copied) {
      faulted = true;
      break;
    }
  }
  bool left;
  {
    IrqSpinGuard r(readyLock);
    // What was not looked at stays in front.
    readyList.splice(readyList.begin(), batch);
    readyList.splice(readyList.end(), again);
    left = !readyList.empty();
  }
  if (left && !pollQueue.empty())
    pollQueue.wakeAll(EPOLLIN | EPOLLRDNORM);
  return faulted && count == 0 ? Result<size_t>(Errno::Fault) : Result<size_t>(count);
}

Result<size_t> EpollFile::wait(size_t most, Nanos deadline, bool (*put)(void *, size_t, const struct epoll_event &),
                               void *ctx) {
  if (size_t n = TRY(collect(most, put, ctx)))
    return n;
  if (deadline == 0)
    return size_t{0};
  Waiter w(pollQueue);
  for (;;) {
    if (size_t n = TRY(collect(most, put, ctx)))
      return n;
    if (auto r = w.wait(deadline); !r) {
      if (r.error() != Errno::TimedOut)
        return r.error();
      return collect(most, put, ctx);
    }
  }
}

uint32_t EpollFile::poll() {
  MutexGuard g(mutex);
  for (EpollItem &item : items) {
    bool ready = [&] {
      IrqSpinGuard r(readyLock);
      return item.ready;
    }();
    if (ready && (item.file->poll() & item.event.events & ~kPrivate))
      return EPOLLIN | EPOLLRDNORM;
  }
  return 0;
}

EpollFile::~EpollFile() {
  MutexGuard membership(watchersLock());
  MutexGuard g(mutex);
  while (!items.empty())
    drop(*items.begin());
}

void leaveEpollSets(File &file) {
  MutexGuard membership(watchersLock());
  while (EpollItem *item = file.watchers) {
    MutexGuard g(item->set->mutex);
    item->set->drop(*item);
  }
}

} // namespace osv

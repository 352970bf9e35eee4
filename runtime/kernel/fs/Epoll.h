// SPDX-License-Identifier: BSD-3-Clause
//
// epoll(7). An item is one (file, descriptor) that one epoll set watches. It hangs in the set's tree, in the file's
// list of watchers and in the file's wait queue; when the file announces events its item goes to the set's ready list,
// and epoll_wait asks the file itself.
//
// Locks, in this order: `watchersLock` (all sets' membership, the files' watcher lists), a set's `mutex` (its tree and
// items; held while files are polled; an outer set's before an inner one's, and loops are refused), a wait queue's
// lock, a set's `readyLock` (interrupt-safe: files announce from interrupts).
#pragma once
#include "kernel/fs/File.h"
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <linux/eventpoll.h>

namespace osv {

class EpollFile;

struct EpollItem {
  WaitEntry entry; ///< first: the callback gets its address
  EpollFile *set;
  File *file; ///< not owned: the item goes when the file does
  int fd;
  struct epoll_event event; ///< EPOLLERR and EPOLLHUP always included
  bool ready = false;       ///< on the ready list; readyLock
  boost::intrusive::set_member_hook<> treeHook;
  boost::intrusive::list_member_hook<> readyHook;
  EpollItem *nextWatcher = nullptr, **previousWatcher = nullptr; ///< the file's list; watchersLock
  /// Order of a set's tree.
  bool operator<(const EpollItem &o) const { return file != o.file ? file < o.file : fd < o.fd; }
};

class EpollFile : public File {
public:
  ~EpollFile() override;
  /// epoll_ctl. `event` is ignored for EPOLL_CTL_DEL.
  Result<void> control(int op, Ref<File> file, int fd, const struct epoll_event &event);
  /// Takes ready events and gives each to `put` (which copies it to the program; false: it could not). Returns how
  /// many; EFAULT when the first could not be copied. Does not sleep for events.
  Result<size_t> collect(size_t most, bool (*put)(void *ctx, size_t index, const struct epoll_event &e), void *ctx);
  /// epoll_wait: sleeps until collect finds something. RestartSys when interrupted, 0 at the deadline.
  Result<size_t> wait(size_t most, Nanos deadline, bool (*put)(void *ctx, size_t index, const struct epoll_event &e),
                      void *ctx);
  uint32_t poll() override;
  const char *kind() const override { return "anon_inode:[eventpoll]"; }
  EpollFile *asEpoll() override { return this; }

private:
  friend void leaveEpollSets(File &file);
  using Tree = boost::intrusive::set<
      EpollItem, boost::intrusive::member_hook<EpollItem, boost::intrusive::set_member_hook<>, &EpollItem::treeHook>,
      boost::intrusive::constant_time_size<false>>;
  using ReadyList = boost::intrusive::list<
      EpollItem, boost::intrusive::member_hook<EpollItem, boost::intrusive::list_member_hook<>, &EpollItem::readyHook>,
      boost::intrusive::constant_time_size<false>>;
  static bool announced(WaitEntry &entry, uint32_t events);
  EpollItem *find(File *file, int fd);
  void markReady(EpollItem &item);
  void drop(EpollItem &item);
  Result<void> add(File &file, int fd, const struct epoll_event &event);
  /// Depth of nesting below, or -1 when `target` is found.
  int depthBelow(const EpollFile *target, int depth);

  Mutex mutex;
  Tree items;
  SpinLock readyLock;
  ReadyList readyList;
};

/// Takes a file that is about to be deleted out of every set.
void leaveEpollSets(File &file);

} // namespace osv

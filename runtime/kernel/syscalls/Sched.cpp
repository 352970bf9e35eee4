// SPDX-License-Identifier: BSD-3-Clause
//
// sched_*, getpriority and setpriority. Policies: SCHED_OTHER, SCHED_BATCH (the same here), SCHED_IDLE, SCHED_FIFO,
// SCHED_RR; SCHED_DEADLINE is not there and refused with EINVAL. The program is root: it may do to its own threads what
// it likes.
#include "kernel/Process.h"
#include "kernel/sched/SchedulerState.h"
#include "kernel/syscalls/Handlers.h"
#include <algorithm>
#include <linux/sched.h>
#include <linux/sched/types.h>

namespace osv {
namespace {

constexpr int kMaxRtPriority = 99;
constexpr Nanos kRoundRobinInterval = 100'000'000; ///< what Linux reports

Result<Ref<Thread>> threadById(int pid) {
  if (pid == 0)
    return Ref<Thread>::share(&current());
  Ref<Thread> t = currentProcess().findThread(pid);
  if (!t)
    return Errno::Srch;
  return t;
}

bool isRealTime(int policy) { return policy == SCHED_FIFO || policy == SCHED_RR; }
bool isPolicy(int policy) {
  return isRealTime(policy) || policy == SCHED_NORMAL || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

/// `policy` may carry SCHED_RESET_ON_FORK.
Result<long> setPolicy(Thread &t, int policy, int priority, int nice) {
  bool reset = policy & SCHED_RESET_ON_FORK;
  policy &= ~SCHED_RESET_ON_FORK;
  if (!isPolicy(policy) || priority < 0 || priority > kMaxRtPriority || isRealTime(policy) != (priority != 0))
    return Errno::Inval;
  t.resetOnFork = reset;
  setSchedulingPolicy(t, policy, priority, nice);
  return 0L;
}

/// Where sched_attr of the caller's size is longer than ours, the rest must be zero.
Result<struct sched_attr> readAttributes(uint64_t address) {
  struct sched_attr a = {};
  uint32_t size = TRY(UserPtr<uint32_t>(address).read());
  if (size == 0)
    size = SCHED_ATTR_SIZE_VER0;
  bool bad = size < SCHED_ATTR_SIZE_VER0 || size > kPageSize;
  for (size_t at = sizeof a; !bad && at < size; at += 4) {
    uint32_t word = 0;
    TRY(copyFromUser(&word, VAddr(address) + at, std::min<size_t>(4, size - at)));
    bad = word != 0;
  }
  if (bad) {
    (void)UserPtr<uint32_t>(address).write(uint32_t{sizeof a});
    return Errno::TooBig;
  }
  TRY(copyFromUser(&a, VAddr(address), std::min<size_t>(size, sizeof a)));
  if ((a.sched_flags & SCHED_FLAG_UTIL_CLAMP) && size < SCHED_ATTR_SIZE_VER1)
    return Errno::Inval;
  return a;
}

/// For each thread that PRIO_* names.
template <typename Fn> Result<void> forThreads(int which, int who, Fn fn) {
  Process &p = currentProcess();
  switch (which) {
  case PRIO_PROCESS: {
    Ref<Thread> t = who == 0 ? Ref<Thread>::share(&current()) : p.findThread(who);
    if (!t)
      return Errno::Srch;
    fn(*t);
    return {};
  }
  case PRIO_PGRP:
    if (who != 0 && who != p.pid)
      return Errno::Srch;
    break;
  case PRIO_USER:
    if (who != 0 && static_cast<uint32_t>(who) != p.credentials.uid)
      return Errno::Srch;
    break;
  default:
    return Errno::Inval;
  }
  IrqSpinGuard g(p.threadsLock);
  for (Thread &t : p.threads)
    fn(t);
  return {};
}

} // namespace

Result<long> sys_sched_yield() {
  yield();
  return 0L;
}

Result<long> sys_sched_setaffinity(int pid, unsigned len, UserPtr<const uint8_t> mask) {
  uint64_t wanted = 0;
  TRY(copyFromUser(&wanted, mask.addr(), std::min<size_t>(len, sizeof wanted)));
  Ref<Thread> t = TRY(threadById(pid));
  wanted &= sched::onlineMask.load();
  if (!wanted)
    return Errno::Inval;
  setAffinity(*t, wanted);
  return 0L;
}

Result<long> sys_sched_getaffinity(int pid, unsigned len, UserPtr<uint8_t> mask) {
  if (len < sizeof(uint64_t) || (len & (sizeof(uint64_t) - 1)))
    return Errno::Inval;
  Ref<Thread> t = TRY(threadById(pid));
  uint64_t allowed = t->affinity & sched::onlineMask.load();
  TRY(copyToUser(mask.addr(), &allowed, sizeof allowed));
  return long{sizeof allowed};
}

Result<long> sys_sched_setscheduler(int pid, int policy, UserPtr<const int> param) {
  if (pid < 0 || policy < 0 || !param)
    return Errno::Inval;
  int priority = TRY(param.as<int>().read());
  Ref<Thread> t = TRY(threadById(pid));
  return setPolicy(*t, policy, priority, t->nice);
}

Result<long> sys_sched_setparam(int pid, UserPtr<const int> param) {
  if (pid < 0 || !param)
    return Errno::Inval;
  int priority = TRY(param.as<int>().read());
  Ref<Thread> t = TRY(threadById(pid));
  return setPolicy(*t, t->policy | (t->resetOnFork ? SCHED_RESET_ON_FORK : 0), priority, t->nice);
}

Result<long> sys_sched_getscheduler(int pid) {
  if (pid < 0)
    return Errno::Inval;
  Ref<Thread> t = TRY(threadById(pid));
  return long{t->policy} | (t->resetOnFork ? SCHED_RESET_ON_FORK : 0);
}

Result<long> sys_sched_getparam(int pid, UserPtr<int> param) {
  if (pid < 0 || !param)
    return Errno::Inval;
  Ref<Thread> t = TRY(threadById(pid));
  TRY(param.write(int{t->rtPriority}));
  return 0L;
}

Result<long> sys_sched_get_priority_max(int policy) {
  if (!isPolicy(policy) && policy != SCHED_DEADLINE)
    return Errno::Inval;
  return isRealTime(policy) ? long{kMaxRtPriority} : 0L;
}

Result<long> sys_sched_get_priority_min(int policy) {
  if (!isPolicy(policy) && policy != SCHED_DEADLINE)
    return Errno::Inval;
  return isRealTime(policy) ? 1L : 0L;
}

Result<long> sys_sched_rr_get_interval(int pid, UserPtr<__kernel_timespec> interval) {
  if (pid < 0)
    return Errno::Inval;
  Ref<Thread> t = TRY(threadById(pid));
  Nanos n = t->policy == SCHED_FIFO ? 0 : t->policy == SCHED_RR ? kRoundRobinInterval : schedulerSlice();
  TRY(interval.write(__kernel_timespec{n / 1'000'000'000, n % 1'000'000'000}));
  return 0L;
}

Result<long> sys_sched_setattr(int pid, uint64_t attr, unsigned flags) {
  if (pid < 0 || !attr || flags)
    return Errno::Inval;
  struct sched_attr a = TRY(readAttributes(attr));
  if (static_cast<int>(a.sched_policy) < 0 || (a.sched_flags & ~uint64_t{SCHED_FLAG_ALL}))
    return Errno::Inval;
  if (a.sched_flags & SCHED_FLAG_UTIL_CLAMP)
    return Errno::OpNotSupp;
  Ref<Thread> t = TRY(threadById(pid));
  int policy = a.sched_flags & SCHED_FLAG_KEEP_POLICY ? t->policy : static_cast<int>(a.sched_policy);
  bool keep = a.sched_flags & SCHED_FLAG_KEEP_PARAMS;
  int priority = keep ? t->rtPriority : a.sched_priority > 1000 ? 1000 : static_cast<int>(a.sched_priority);
  int nice = keep || isRealTime(policy) ? t->nice : std::clamp(a.sched_nice, -20, 19);
  return setPolicy(*t, policy | (a.sched_flags & SCHED_FLAG_RESET_ON_FORK ? SCHED_RESET_ON_FORK : 0), priority, nice);
}

Result<long> sys_sched_getattr(int pid, uint64_t attr, unsigned size, unsigned flags) {
  if (pid < 0 || !attr || size > kPageSize || size < SCHED_ATTR_SIZE_VER0 || flags)
    return Errno::Inval;
  Ref<Thread> t = TRY(threadById(pid));
  struct sched_attr a = {};
  a.size = std::min<unsigned>(size, sizeof a);
  a.sched_policy = t->policy;
  a.sched_flags = t->resetOnFork ? SCHED_FLAG_RESET_ON_FORK : 0;
  if (isRealTime(t->policy))
    a.sched_priority = t->rtPriority;
  else
    a.sched_nice = t->nice;
  TRY(copyToUser(VAddr(attr), &a, a.size));
  return 0L;
}

Result<long> sys_getpriority(int which, int who) {
  long best = -1; // 20 - nice: the system call's result is never negative
  TRY(forThreads(which, who, [&](Thread &t) { best = std::max<long>(best, 20 - t.nice); }));
  if (best < 0)
    return Errno::Srch;
  return best;
}

Result<long> sys_setpriority(int which, int who, int nice) {
  nice = std::clamp(nice, -20, 19);
  TRY(forThreads(which, who, [&](Thread &t) { setSchedulingPolicy(t, t.policy, t.rtPriority, nice); }));
  return 0L;
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// System calls of the process as a whole: its ids and groups, children (there are none), resource limits, prctl,
// capabilities. What a process would be in a tree of others is what it is for init: its own session and group leader,
// without a parent.
#include "kernel/Process.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/syscalls/Handlers.h"
#include <algorithm>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/wait.h>

namespace osv {

// ---- Process, group and session

Result<long> sys_getpgrp() { return long{currentProcess().groupId}; }

Result<long> sys_getpgid(int pid) {
  if (pid != 0 && pid != currentProcess().pid)
    return Errno::Srch;
  return long{currentProcess().groupId};
}

Result<long> sys_getsid(int pid) {
  if (pid != 0 && pid != currentProcess().pid)
    return Errno::Srch;
  return long{currentProcess().sessionId};
}

Result<long> sys_setpgid(int pid, int group) {
  if (group < 0)
    return Errno::Inval;
  if (pid != 0 && pid != currentProcess().pid)
    return Errno::Srch;
  return Errno::Perm; // a session leader
}

Result<long> sys_setsid() { return Errno::Perm; } // a group leader

Result<long> sys_wait4(int pid, uint64_t status, int options, uint64_t usage) {
  if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
    return Errno::Inval;
  return pid == INT32_MIN ? Errno::Srch : Errno::Child;
}

Result<long> sys_waitid(int type, int id, uint64_t info, int options, uint64_t usage) {
  if (options & ~(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
    return Errno::Inval;
  if (!(options & (WEXITED | WSTOPPED | WCONTINUED)))
    return Errno::Inval;
  switch (type) {
  case P_ALL:
    break;
  case P_PID:
    if (id <= 0)
      return Errno::Inval;
    break;
  case P_PGID:
    if (id < 0)
      return Errno::Inval;
    break;
  case P_PIDFD:
    return id < 0 ? Errno::Inval : Errno::BadF;
  default:
    return Errno::Inval;
  }
  return Errno::Child;
}

Result<long> sys_ptrace(long request, long pid, uint64_t address, uint64_t data) { return Errno::Perm; }

// ---- Users and groups. Linux keeps these per thread and libc makes them process-wide; here they are process-wide.

namespace {
constexpr uint32_t kKeep = ~0u; ///< (uid_t)-1

/// Leaving root drops the capabilities, unless asked to keep them. `lock` held.
void uidsChanged(Credentials &c, bool wasRoot) {
  bool anyRoot = c.uid == 0 || c.effectiveUid == 0 || c.savedUid == 0;
  if (wasRoot && !anyRoot && !c.keepCapabilities)
    c.permitted = c.effective = c.ambient = 0;
  if (c.effectiveUid != 0)
    c.effective = 0;
  else
    c.effective = c.permitted;
}

/// The common part of the set*id calls: with `capable` anything goes; else each of the new ids must be one of the
/// current three.
Result<long> setIds(uint32_t &real, uint32_t &effective, uint32_t &saved, uint32_t &fs, uint32_t r, uint32_t e,
                    uint32_t s, bool capable) {
  for (uint32_t id : {r, e, s})
    if (id != kKeep && !capable && id != real && id != effective && id != saved)
      return Errno::Perm;
  real = r == kKeep ? real : r;
  effective = e == kKeep ? effective : e;
  saved = s == kKeep ? saved : s;
  fs = effective;
  return 0L;
}

Result<long> setUids(uint32_t r, uint32_t e, uint32_t s) {
  Credentials &c = currentProcess().credentials;
  SpinGuard g(c.lock);
  bool wasRoot = c.uid == 0 || c.effectiveUid == 0 || c.savedUid == 0;
  TRY(setIds(c.uid, c.effectiveUid, c.savedUid, c.fsUid, r, e, s, c.capable(CAP_SETUID)));
  uidsChanged(c, wasRoot);
  return 0L;
}

Result<long> setGids(uint32_t r, uint32_t e, uint32_t s) {
  Credentials &c = currentProcess().credentials;
  SpinGuard g(c.lock);
  return setIds(c.gid, c.effectiveGid, c.savedGid, c.fsGid, r, e, s, c.capable(CAP_SETGID));
}
} // namespace

Result<long> sys_setuid(unsigned uid) {
  if (uid == kKeep)
    return Errno::Inval;
  bool all = currentProcess().credentials.capable(CAP_SETUID);
  return setUids(all ? uid : kKeep, uid, all ? uid : kKeep);
}
Result<long> sys_setgid(unsigned gid) {
  if (gid == kKeep)
    return Errno::Inval;
  bool all = currentProcess().credentials.capable(CAP_SETGID);
  return setGids(all ? gid : kKeep, gid, all ? gid : kKeep);
}
Result<long> sys_setreuid(unsigned real, unsigned effective) {
  const Credentials &c = currentProcess().credentials;
  uint32_t e = effective == kKeep ? c.effectiveUid : effective;
  bool saves = real != kKeep || (effective != kKeep && effective != c.uid);
  return setUids(real, effective, saves ? e : kKeep);
}
Result<long> sys_setregid(unsigned real, unsigned effective) {
  const Credentials &c = currentProcess().credentials;
  uint32_t e = effective == kKeep ? c.effectiveGid : effective;
  bool saves = real != kKeep || (effective != kKeep && effective != c.gid);
  return setGids(real, effective, saves ? e : kKeep);
}
Result<long> sys_setresuid(unsigned real, unsigned effective, unsigned saved) {
  return setUids(real, effective, saved);
}
Result<long> sys_setresgid(unsigned real, unsigned effective, unsigned saved) {
  return setGids(real, effective, saved);
}

Result<long> sys_getresuid(UserPtr<uint32_t> real, UserPtr<uint32_t> effective, UserPtr<uint32_t> saved) {
  const Credentials &c = currentProcess().credentials;
  TRY(real.write(c.uid));
  TRY(effective.write(c.effectiveUid));
  TRY(saved.write(c.savedUid));
  return 0L;
}
Result<long> sys_getresgid(UserPtr<uint32_t> real, UserPtr<uint32_t> effective, UserPtr<uint32_t> saved) {
  const Credentials &c = currentProcess().credentials;
  TRY(real.write(c.gid));
  TRY(effective.write(c.effectiveGid));
  TRY(saved.write(c.savedGid));
  return 0L;
}

namespace {
/// setfsuid and setfsgid never fail: they return the old value, changed or not.
long setFsId(uint32_t &fs, uint32_t real, uint32_t effective, uint32_t saved, uint32_t id, bool capable) {
  uint32_t old = fs;
  if (id != kKeep && (capable || id == real || id == effective || id == saved || id == fs))
    fs = id;
  return old;
}
} // namespace
Result<long> sys_setfsuid(unsigned uid) {
  Credentials &c = currentProcess().credentials;
  SpinGuard g(c.lock);
  return setFsId(c.fsUid, c.uid, c.effectiveUid, c.savedUid, uid, c.capable(CAP_SETUID));
}
Result<long> sys_setfsgid(unsigned gid) {
  Credentials &c = currentProcess().credentials;
  SpinGuard g(c.lock);
  return setFsId(c.fsGid, c.gid, c.effectiveGid, c.savedGid, gid, c.capable(CAP_SETGID));
}

Result<long> sys_getgroups(int size, UserPtr<uint32_t> list) {
  const Credentials &c = currentProcess().credentials;
  if (size < 0)
    return Errno::Inval;
  if (size == 0)
    return long{c.groupCount};
  if (static_cast<uint32_t>(size) < c.groupCount)
    return Errno::Inval;
  TRY(list.write(std::span(c.groups, c.groupCount)));
  return long{c.groupCount};
}

Result<long> sys_setgroups(int size, UserPtr<const uint32_t> list) {
  Credentials &c = currentProcess().credentials;
  if (!c.capable(CAP_SETGID))
    return Errno::Perm;
  if (size < 0 || size > 65536)
    return Errno::Inval;
  if (static_cast<unsigned>(size) > kMaxGroups)
    return Errno::NoMem;
  uint32_t groups[kMaxGroups];
  TRY(list.as<uint32_t>().read(std::span(groups, static_cast<size_t>(size))));
  std::sort(groups, groups + size, [](uint32_t a, uint32_t b) { return a < b; }); // with std::less it is in libc++.so
  SpinGuard g(c.lock);
  std::copy_n(groups, size, c.groups);
  c.groupCount = static_cast<uint32_t>(size);
  return 0L;
}

// ---- Capabilities

namespace {
/// Reads the header; the number of 32-bit sets that its version has. On an unknown version Linux writes the one it
/// prefers.
Result<unsigned> capabilitySets(UserPtr<struct __user_cap_header_struct> user, int *pid) {
  struct __user_cap_header_struct h = TRY(user.read());
  *pid = h.pid;
  switch (h.version) {
  case _LINUX_CAPABILITY_VERSION_1:
    return unsigned{_LINUX_CAPABILITY_U32S_1};
  case _LINUX_CAPABILITY_VERSION_2:
  case _LINUX_CAPABILITY_VERSION_3:
    return unsigned{_LINUX_CAPABILITY_U32S_3};
  }
  h.version = _LINUX_CAPABILITY_VERSION_3;
  TRY(user.write(h));
  return Errno::Inval;
}
} // namespace

Result<long> sys_capget(UserPtr<struct __user_cap_header_struct> header, UserPtr<struct __user_cap_data_struct> data) {
  int pid;
  Result<unsigned> sets = capabilitySets(header, &pid);
  if (!sets.ok())
    return !data && sets.error() == Errno::Inval ? Result<long>(0L) : sets.error();
  if (pid < 0)
    return Errno::Inval;
  if (pid != 0 && pid != current().tid && !currentProcess().findThread(pid))
    return Errno::Srch;
  if (!data)
    return 0L;
  const Credentials &c = currentProcess().credentials;
  struct __user_cap_data_struct d[2];
  for (unsigned i = 0; i < 2; i++)
    d[i] = {static_cast<uint32_t>(c.effective >> 32 * i), static_cast<uint32_t>(c.permitted >> 32 * i),
            static_cast<uint32_t>(c.inheritable >> 32 * i)};
  TRY(data.write(std::span(static_cast<const struct __user_cap_data_struct *>(d), *sets)));
  return 0L;
}

Result<long> sys_capset(UserPtr<struct __user_cap_header_struct> header,
                        UserPtr<const struct __user_cap_data_struct> data) {
  int pid;
  unsigned sets = TRY(capabilitySets(header, &pid));
  if (pid != 0 && pid != current().tid)
    return Errno::Perm;
  struct __user_cap_data_struct d[2] = {};
  TRY(data.as<struct __user_cap_data_struct>().read(std::span(d, sets)));
  uint64_t effective = d[0].effective | uint64_t{d[1].effective} << 32,
           permitted = d[0].permitted | uint64_t{d[1].permitted} << 32,
           inheritable = d[0].inheritable | uint64_t{d[1].inheritable} << 32;
  effective &= kAllCapabilities, permitted &= kAllCapabilities, inheritable &= kAllCapabilities;
  Credentials &c = currentProcess().credentials;
  SpinGuard g(c.lock);
  if ((permitted & ~c.permitted) || (effective & ~permitted) ||
      (inheritable & ~(c.inheritable | c.permitted | c.bounding)))
    return Errno::Perm;
  c.permitted = permitted;
  c.effective = effective;
  c.inheritable = inheritable;
  c.ambient &= permitted & inheritable;
  return 0L;
}

// ---- Resource limits

namespace {
constexpr unsigned kLimitCount = 16;
constexpr uint64_t kMaxOpenFiles = 1 << 20; ///< fs.nr_open

Result<void> setLimit(Process &p, unsigned resource, const struct rlimit64 &l) {
  if (l.rlim_cur > l.rlim_max)
    return Errno::Inval;
  struct rlimit64 &old = p.limits[resource];
  if (l.rlim_max > old.rlim_max && !p.credentials.capable(CAP_SYS_RESOURCE))
    return Errno::Perm;
  if (resource == RLIMIT_NOFILE && l.rlim_max > kMaxOpenFiles)
    return Errno::Perm;
  old = l;
  if (resource == RLIMIT_STACK)
    p.addressSpace->setStackLimit(l.rlim_cur);
  else if (resource == RLIMIT_AS)
    p.addressSpace->setAddressLimit(l.rlim_cur);
  return {};
}
} // namespace

Result<long> sys_getrlimit(unsigned resource, UserPtr<struct rlimit64> out) {
  if (resource >= kLimitCount)
    return Errno::Inval;
  TRY(out.write(currentProcess().limits[resource]));
  return 0L;
}

Result<long> sys_setrlimit(unsigned resource, UserPtr<const struct rlimit64> in) {
  struct rlimit64 l = TRY(in.as<struct rlimit64>().read());
  if (resource >= kLimitCount)
    return Errno::Inval;
  TRY(setLimit(currentProcess(), resource, l));
  return 0L;
}

Result<long> sys_prlimit64(int pid, unsigned resource, UserPtr<const struct rlimit64> in,
                           UserPtr<struct rlimit64> out) {
  if (resource >= kLimitCount)
    return Errno::Inval;
  struct rlimit64 l;
  if (in)
    l = TRY(in.as<struct rlimit64>().read());
  Process &p = currentProcess();
  if (pid != 0 && !p.findThread(pid))
    return Errno::Srch;
  struct rlimit64 old = p.limits[resource];
  if (in)
    TRY(setLimit(p, resource, l));
  if (out)
    TRY(out.write(old));
  return 0L;
}

// ---- prctl

Result<long> sys_prctl(int option, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5) {
  Process &p = currentProcess();
  Credentials &c = p.credentials;
  Thread &me = current();
  auto putInt = [](uint64_t address, int v) -> Result<long> {
    TRY(UserPtr<int>(address).write(v));
    return 0L;
  };
  switch (option) {
  case PR_SET_PDEATHSIG:
    if (a2 > 64)
      return Errno::Inval;
    p.parentDeathSignal = static_cast<int32_t>(a2); // the parent, the machine, never dies before its child
    return 0L;
  case PR_GET_PDEATHSIG:
    return putInt(a2, p.parentDeathSignal);
  case PR_GET_DUMPABLE:
    return long{p.dumpable};
  case PR_SET_DUMPABLE:
    if (a2 > 1)
      return Errno::Inval;
    p.dumpable = static_cast<uint8_t>(a2);
    return 0L;
  case PR_GET_KEEPCAPS:
    return long{c.keepCapabilities};
  case PR_SET_KEEPCAPS:
    if (a2 > 1)
      return Errno::Inval;
    c.keepCapabilities = a2;
    return 0L;
  case PR_GET_TIMING:
    return long{PR_TIMING_STATISTICAL};
  case PR_SET_TIMING:
    return a2 == PR_TIMING_STATISTICAL ? Result<long>(0L) : Errno::Inval;
  case PR_SET_NAME: {
    char name[sizeof me.name] = {};
    long n = isUserRange(a2, 1) ? arch::osv_user_strnlen(reinterpret_cast<const char *>(a2), sizeof name - 1) : -1;
    if (n < 0)
      return Errno::Fault;
    TRY(copyFromUser(name, VAddr(a2), static_cast<size_t>(n)));
    std::copy(std::begin(name), std::end(name), me.name);
    return 0L;
  }
  case PR_GET_NAME:
    TRY(copyToUser(VAddr(a2), me.name, sizeof me.name));
    return 0L;
  case PR_GET_SECCOMP:
    return 0L;
  case PR_CAPBSET_READ:
    if (a2 > kLastCapability)
      return Errno::Inval;
    return static_cast<long>(c.bounding >> a2 & 1);
  case PR_CAPBSET_DROP: {
    if (!c.capable(CAP_SETPCAP))
      return Errno::Perm;
    if (a2 > kLastCapability)
      return Errno::Inval;
    SpinGuard g(c.lock);
    c.bounding &= ~(1ull << a2);
    return 0L;
  }
  case PR_CAP_AMBIENT:
    if (a2 == PR_CAP_AMBIENT_CLEAR_ALL) {
      if (a3 | a4 | a5)
        return Errno::Inval;
      c.ambient = 0;
      return 0L;
    }
    if (a3 > kLastCapability || (a4 | a5))
      return Errno::Inval;
    if (a2 == PR_CAP_AMBIENT_IS_SET)
      return static_cast<long>(c.ambient >> a3 & 1);
    if (a2 == PR_CAP_AMBIENT_LOWER) {
      c.ambient &= ~(1ull << a3);
      return 0L;
    }
    if (a2 != PR_CAP_AMBIENT_RAISE)
      return Errno::Inval;
    if (!(c.permitted & c.inheritable & 1ull << a3))
      return Errno::Perm;
    c.ambient |= 1ull << a3;
    return 0L;
  case PR_GET_TSC:
    return putInt(a2, PR_TSC_ENABLE);
  case PR_SET_TSC:
    return a2 == PR_TSC_ENABLE ? Result<long>(0L) : Errno::Inval;
  case PR_GET_SECUREBITS:
    return long{c.secureBits};
  case PR_SET_SECUREBITS:
    if (!c.capable(CAP_SETPCAP) || (a2 & ~0xffull))
      return Errno::Perm;
    c.secureBits = static_cast<uint32_t>(a2);
    return 0L;
  case PR_GET_TIMERSLACK:
    return static_cast<long>(me.timerSlack);
  case PR_SET_TIMERSLACK: // timers here are never late on purpose
    me.timerSlack = a2 == 0 || static_cast<int64_t>(a2) < 0 ? kDefaultTimerSlack : a2;
    return 0L;
  case PR_MCE_KILL_GET:
    return (a2 | a3 | a4 | a5) ? Errno::Inval : Result<long>(long{PR_MCE_KILL_DEFAULT});
  case PR_SET_CHILD_SUBREAPER:
    p.childSubreaper = a2;
    return 0L;
  case PR_GET_CHILD_SUBREAPER:
    return putInt(a2, p.childSubreaper);
  case PR_SET_NO_NEW_PRIVS:
    if (a2 != 1 || (a3 | a4 | a5))
      return Errno::Inval;
    p.noNewPrivs = true;
    return 0L;
  case PR_GET_NO_NEW_PRIVS:
    if (a2 | a3 | a4 | a5)
      return Errno::Inval;
    return long{p.noNewPrivs};
  case PR_GET_TID_ADDRESS:
    TRY(UserPtr<uint64_t>(a2).write(me.clearChildTid));
    return 0L;
  case PR_GET_THP_DISABLE:
    return (a2 | a3 | a4 | a5) ? Errno::Inval : Result<long>(0L);
  case PR_TASK_PERF_EVENTS_DISABLE:
  case PR_TASK_PERF_EVENTS_ENABLE:
    return 0L; // it has none
  }
  // PR_SET_SECCOMP, PR_SET_MM, PR_SET_VMA, PR_*_SPECULATION_CTRL, ... : as a Linux that was built without them.
  return Errno::Inval;
}

} // namespace osv

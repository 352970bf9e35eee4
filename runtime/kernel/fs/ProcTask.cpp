// SPDX-License-Identifier: BSD-3-Clause
//
// /proc/self and /proc/<pid>/task/<tid>: one process, so /proc/1 is an ordinary directory of generated files; threads
// and descriptors come and go, so task/ and fd/ make their entries when they are looked up. The formats are those of
// proc(5), field by field.
#include "abi/Image.h"
#include "kernel/Process.h"
#include "kernel/fs/FileTable.h"
#include "kernel/fs/Generated.h"
#include "kernel/fs/Vfs.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/mm/Heap.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/time/Time.h"
#include <algorithm>
#include <cstring>

namespace osv {
namespace {

constexpr Nanos kTick = 10'000'000;
constexpr uint64_t kKib = kPageSize / 1024;

std::string_view threadName(const Thread &t) {
  std::string_view all(t.name, sizeof t.name);
  return all.substr(0, all.find('\0'));
}

/// The thread that a file is about: `arg` is its id, 0 the first thread's (the process's own files).
Result<Ref<Thread>> threadOf(uint64_t arg) {
  Process &p = currentProcess();
  Ref<Thread> t = p.findThread(arg ? static_cast<int32_t>(arg) : p.pid);
  if (!t && arg == 0) // the first thread has ended; the process goes on
    t = Ref<Thread>::share(&current());
  return t ? Result<Ref<Thread>>(std::move(t)) : Result<Ref<Thread>>(Errno::Srch);
}

std::string_view execName() { return reinterpret_cast<const char *>(osv_image.execName); }

char stateOf(Thread &t) {
  switch (t.state.load()) {
  case ThreadState::Blocked:
    return 'S';
  case ThreadState::Dead:
    return 'Z';
  default:
    return 'R';
  }
}

struct SignalSets {
  SigSet pending, shared, blocked, ignored, caught;
};
SignalSets signalsOf(Process &p, Thread &t) {
  IrqSpinGuard g(p.signals.lock);
  SignalSets s = {t.signals.pending.set, p.signals.pending.set, t.signals.blocked, 0, 0};
  for (int n = 1; n <= 64; n++) {
    uint64_t handler = p.signals.actions[n - 1].handler;
    if (handler == 1)
      s.ignored |= sigBit(n);
    else if (handler)
      s.caught |= sigBit(n);
  }
  return s;
}

// ---- Memory

Result<void> makeMaps(Text &out, uint64_t) {
  currentProcess().addressSpace->forEach(
      [](void *ctx, const AddressSpace::AreaInfo &a) {
        Text &out = *static_cast<Text *>(ctx);
        out.hex(a.start.value, 8);
        out.add('-');
        out.hex(a.end.value, 8);
        out.add(' ');
        out.add(a.prot & 1 ? 'r' : '-');
        out.add(a.prot & 2 ? 'w' : '-');
        out.add(a.prot & 4 ? 'x' : '-');
        out.add(a.shared ? 's' : 'p');
        out.add(' ');
        out.hex(a.offset, 8);
        out.add(a.inode ? " 00:10 " : " 00:00 ");
        out.decimal(a.inode, 1);
        if (a.name.empty())
          out.add(' '); // as Linux: a blank and no name
        else
          out.pad(73);
        out.add(a.name);
        out.add('\n');
      },
      &out);
  return {};
}

Result<void> makeStatm(Text &out, uint64_t) {
  auto u = currentProcess().addressSpace->usage();
  out.print("{} {} 0 1 0 {} 0\n", u.virtualPages, u.residentPages, u.virtualPages);
  return {};
}

/// The program's own memory, as it is now.
Result<void> addProgramBytes(Text &out, uint64_t start, uint64_t end) {
  char bytes[256];
  for (; start < end; start += sizeof bytes) {
    size_t n = std::min<size_t>(sizeof bytes, end - start);
    if (!copyFromUser(bytes, VAddr(start), n))
      return {};
    out.add({bytes, n});
  }
  return {};
}
Result<void> makeCmdline(Text &out, uint64_t) {
  return addProgramBytes(out, currentProcess().argStart, currentProcess().argEnd);
}
Result<void> makeEnviron(Text &out, uint64_t) {
  return addProgramBytes(out, currentProcess().envStart, currentProcess().envEnd);
}
Result<void> makeAuxv(Text &out, uint64_t) {
  return addProgramBytes(out, currentProcess().auxStart, currentProcess().auxEnd);
}

// ---- State

Result<void> makeComm(Text &out, uint64_t arg) {
  out.add(threadName(*TRY(threadOf(arg))));
  out.add('\n');
  return {};
}
Result<void> storeComm(std::string_view text, uint64_t arg) {
  Ref<Thread> t = TRY(threadOf(arg));
  if (text.ends_with('\n'))
    text.remove_suffix(1);
  size_t n = text.copy(t->name, sizeof t->name - 1);
  memset(t->name + n, 0, sizeof t->name - n);
  return {};
}

Result<void> makeStat(Text &out, uint64_t arg) {
  Process &p = currentProcess();
  Ref<Thread> t = TRY(threadOf(arg));
  auto u = p.addressSpace->usage();
  SignalSets s = signalsOf(p, *t);
  Nanos cpu = arg ? threadCpuTime(*t) : p.cpuTime();
  // pid comm state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt
  out.print("{} ({}) {c} 0 {} {} 0 -1 4194560 0 0 0 0", t->tid, threadName(*t), stateOf(*t), p.groupId, p.sessionId);
  // utime stime cutime cstime priority nice threads itrealvalue starttime
  out.print(" {} 0 0 0 {} {} {} 0 {}", cpu / kTick, 20 + t->nice, t->nice, p.threadCount, p.startTime / kTick);
  // vsize rss rsslim startcode endcode startstack kstkesp kstkeip
  out.print(" {} {} {} 1 1 {} 0 0", u.virtualPages * kPageSize, u.residentPages, p.limits[RLIMIT_RSS].rlim_cur,
            p.argStart);
  // signal blocked sigignore sigcatch wchan nswap cnswap exit_signal processor rt_priority policy
  out.print(" {} {} {} {} 0 0 0 17 {} 0 0", s.pending & INT32_MAX, s.blocked & INT32_MAX, s.ignored & INT32_MAX,
            s.caught & INT32_MAX, t->cpu);
  // delayacct guest cguest startdata enddata startbrk argstart argend envstart envend exitcode
  out.print(" 0 0 0 0 0 {} {} {} {} {} 0\n", p.addressSpace->breakStart().value, p.argStart, p.argEnd, p.envStart,
            p.envEnd);
  return {};
}

Result<void> makeStatus(Text &out, uint64_t arg) {
  Process &p = currentProcess();
  Ref<Thread> t = TRY(threadOf(arg));
  auto u = p.addressSpace->usage();
  SignalSets s = signalsOf(p, *t);
  out.print("Name:\t{}\nUmask:\t0", threadName(*t));
  uint32_t mask = p.fs->umask;
  for (int shift = 6; shift >= 0; shift -= 3)
    out.add(static_cast<char>('0' + (mask >> shift & 7)));
  char state = stateOf(*t);
  out.print("\nState:\t{c} ({})\n", state, state == 'S' ? "sleeping" : state == 'Z' ? "zombie" : "running");
  out.print("Tgid:\t{}\nNgid:\t0\nPid:\t{}\nPPid:\t0\nTracerPid:\t0\n", p.pid, t->tid);
  const Credentials &c = p.credentials;
  out.print("Uid:\t{}\t{}\t{}\t{}\n", c.uid, c.effectiveUid, c.savedUid, c.fsUid);
  out.print("Gid:\t{}\t{}\t{}\t{}\n", c.gid, c.effectiveGid, c.savedGid, c.fsGid);
  out.add("FDSize:\t64\nGroups:\t");
  for (uint32_t i = 0; i < c.groupCount; i++)
    out.print("{} ", c.groups[i]);
  out.add('\n');
  auto memory = [&](std::string_view name, uint64_t pages) {
    out.add(name);
    out.add(":\t");
    out.decimal(pages * kKib, 8);
    out.add(" kB\n");
  };
  memory("VmPeak", u.virtualPages);
  memory("VmSize", u.virtualPages);
  memory("VmLck", u.lockedPages);
  memory("VmPin", 0);
  memory("VmHWM", u.peakResidentPages);
  memory("VmRSS", u.residentPages);
  memory("RssAnon", u.residentPages);
  memory("RssFile", 0);
  memory("RssShmem", 0);
  memory("VmSwap", 0);
  out.print("Threads:\t{}\nSigQ:\t{}/{}\n", p.threadCount, p.signals.queued, p.limits[RLIMIT_SIGPENDING].rlim_cur);
  auto set = [&](std::string_view name, uint64_t bits) {
    out.add(name);
    out.add(":\t");
    out.hex(bits, 16);
    out.add('\n');
  };
  set("SigPnd", s.pending);
  set("ShdPnd", s.shared);
  set("SigBlk", s.blocked);
  set("SigIgn", s.ignored);
  set("SigCgt", s.caught);
  set("CapInh", c.inheritable);
  set("CapPrm", c.permitted);
  set("CapEff", c.effective);
  set("CapBnd", c.bounding);
  set("CapAmb", c.ambient);
  out.print("NoNewPrivs:\t{}\nSeccomp:\t0\nSeccomp_filters:\t0\n", p.noNewPrivs ? 1 : 0);
  out.add("Cpus_allowed:\t");
  unsigned cpus = arch::cpuCount();
  out.hex(t->affinity & (cpus >= 64 ? ~0ull : (1ull << cpus) - 1));
  if (cpus == 1)
    out.add("\nCpus_allowed_list:\t0\n");
  else
    out.print("\nCpus_allowed_list:\t0-{}\n", cpus - 1);
  out.print("voluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n", t->switches, t->preemptions);
  return {};
}

Result<void> makeLimits(Text &out, uint64_t) {
  static constexpr struct {
    const char *name, *unit;
    int which;
  } kLimits[] = {
      {"Max cpu time", "seconds", RLIMIT_CPU},         {"Max file size", "bytes", RLIMIT_FSIZE},
      {"Max data size", "bytes", RLIMIT_DATA},         {"Max stack size", "bytes", RLIMIT_STACK},
      {"Max core file size", "bytes", RLIMIT_CORE},    {"Max resident set", "bytes", RLIMIT_RSS},
      {"Max processes", "processes", RLIMIT_NPROC},    {"Max open files", "files", RLIMIT_NOFILE},
      {"Max locked memory", "bytes", RLIMIT_MEMLOCK},  {"Max address space", "bytes", RLIMIT_AS},
      {"Max file locks", "locks", RLIMIT_LOCKS},       {"Max pending signals", "signals", RLIMIT_SIGPENDING},
      {"Max msgqueue size", "bytes", RLIMIT_MSGQUEUE}, {"Max nice priority", "", RLIMIT_NICE},
      {"Max realtime priority", "", RLIMIT_RTPRIO},    {"Max realtime timeout", "us", RLIMIT_RTTIME},
  };
  out.add("Limit                     Soft Limit           Hard Limit           Units     \n");
  for (const auto &l : kLimits) {
    out.add(l.name);
    out.pad(26);
    auto limit = currentProcess().limits[l.which];
    size_t column = 26;
    for (uint64_t v : {limit.rlim_cur, limit.rlim_max}) {
      if (v == ~0ull)
        out.add("unlimited");
      else
        out.decimal(v, 1);
      out.pad(column += 21);
    }
    out.add(l.unit);
    out.pad(78);
    out.add('\n');
  }
  return {};
}

Result<void> makeCgroup(Text &out, uint64_t) {
  out.add("0::/\n");
  return {};
}

constexpr struct {
  const char *target, *type;
  FsKind kind;
} kMounts[] = {
    {"/", "tmpfs", FsKind::Root},   {"/dev", "devtmpfs", FsKind::Dev},  {"/proc", "proc", FsKind::Proc},
    {"/sys", "sysfs", FsKind::Sys}, {"/dev/shm", "tmpfs", FsKind::Shm},
};
Result<void> makeMounts(Text &out, uint64_t) {
  for (const auto &m : kMounts)
    out.print("{} {} {} rw,relatime 0 0\n", m.type, m.target, m.type);
  return {};
}
Result<void> makeMountinfo(Text &out, uint64_t) {
  for (unsigned i = 0; i < std::size(kMounts); i++)
    out.print("{} {} 0:{} / {} rw,relatime - {} {} rw\n", 20 + i, i ? 20u : 1u,
              16 + static_cast<unsigned>(kMounts[i].kind), kMounts[i].target, kMounts[i].type, kMounts[i].type);
  return {};
}

std::atomic<int> oomScoreAdjust{0};
Result<void> makeOomScoreAdjust(Text &out, uint64_t) {
  out.print("{}\n", oomScoreAdjust.load());
  return {};
}
Result<void> storeOomScoreAdjust(std::string_view text, uint64_t) {
  bool negative = text.starts_with('-');
  text.remove_prefix(negative);
  if (text.ends_with('\n'))
    text.remove_suffix(1);
  int64_t n = parseDecimal(text);
  if (n < 0 || n > 1000)
    return Errno::Inval;
  oomScoreAdjust = static_cast<int>(negative ? -n : n);
  return {};
}
Result<void> makeZero(Text &out, uint64_t) {
  out.add("0\n");
  return {};
}
Result<void> makeIo(Text &out, uint64_t) {
  // No block device: nothing is ever read from or written to storage, and the character counts are not kept.
  out.add("rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
  return {};
}

constexpr GeneratedRow kPerThread[] = {
    {"comm", 0644, makeComm, storeComm},
    {"stat", 0444, makeStat},
    {"status", 0444, makeStatus},
    {"statm", 0444, makeStatm},
    {"maps", 0444, makeMaps},
    {"cmdline", 0444, makeCmdline},
    {"environ", 0400, makeEnviron},
    {"auxv", 0400, makeAuxv},
    {"limits", 0644, makeLimits},
    {"cgroup", 0444, makeCgroup},
    {"mounts", 0444, makeMounts},
    {"mountinfo", 0444, makeMountinfo},
    {"oom_score", 0444, makeZero},
    {"oom_score_adj", 0644, makeOomScoreAdjust, storeOomScoreAdjust},
    {"io", 0400, makeIo},
};

// ---- Links

/// exe: the program's path. It leads somewhere only when the root file system has the program.
class ExeLink : public GeneratedLink {
public:
  ExeLink() : GeneratedLink(FsKind::Proc) {}
  Result<size_t> readLink(std::span<char> out) override {
    std::string_view name = execName();
    size_t n = 0;
    if (!name.starts_with('/') && !out.empty())
      out[n++] = '/';
    return n + name.copy(out.data() + n, out.size() - n);
  }
};

/// cwd and root.
class PlaceLink : public GeneratedLink {
public:
  explicit PlaceLink(bool root) : GeneratedLink(FsKind::Proc), root(root) {}
  Result<size_t> readLink(std::span<char> out) override { return pathOf(*place(), out); }
  Result<bool> follow(Ref<Dentry> *to, Ref<File> *) override {
    *to = place();
    return true;
  }

private:
  Ref<Dentry> place() { return root ? currentProcess().fs->root() : currentProcess().fs->cwd(); }
  bool root;
};

/// thread-self.
class ThreadSelfLink : public GeneratedLink {
public:
  ThreadSelfLink() : GeneratedLink(FsKind::Proc) {}
  Result<size_t> readLink(std::span<char> out) override {
    return format(out, "{}/task/{}", currentProcess().pid, current().tid);
  }
};

/// fd/N.
class DescriptorLink : public GeneratedLink {
public:
  explicit DescriptorLink(int fd) : GeneratedLink(FsKind::Proc), fd(fd) {}
  Result<size_t> readLink(std::span<char> out) override {
    Ref<File> f = TRY(currentProcess().files->get(fd));
    if (f->dentry)
      return pathOf(*f->dentry, out);
    return std::string_view(f->kind()).copy(out.data(), out.size());
  }
  Result<bool> follow(Ref<Dentry> *place, Ref<File> *file) override {
    Ref<File> f = TRY(currentProcess().files->get(fd));
    if (f->dentry)
      *place = f->dentry;
    else
      *file = std::move(f);
    return true;
  }

private:
  int fd;
};

Result<void> makeFdinfo(Text &out, uint64_t fd) {
  Ref<File> f = TRY(currentProcess().files->get(static_cast<int>(fd)));
  out.print("pos:\t{}\nflags:\t0", f->position);
  char octal[12];
  int n = 12;
  for (unsigned flags = static_cast<unsigned>(f->flags); flags || n == 12; flags >>= 3)
    octal[--n] = static_cast<char>('0' + (flags & 7));
  out.add({octal + n, static_cast<size_t>(12 - n)});
  out.print("\nmnt_id:\t20\nino:\t{}\n", f->inode() ? f->inode()->number : 1);
  return {};
}

// ---- Directories

template <typename T, typename... As> Result<Ref<Inode>> inodeOf(As... args) {
  return Ref<Inode>(Ref<T>::adopt(TRY(make<T>(args...))));
}

/// fd and fdinfo.
class DescriptorDirectory : public GeneratedDirectory {
public:
  explicit DescriptorDirectory(bool info) : GeneratedDirectory(FsKind::Proc, info ? 0555 : 0500), info(info) {}
  Result<Ref<Dentry>> lookup(Dentry &self, std::string_view name) override {
    int64_t fd = parseDecimal(name);
    if (fd < 0 || !currentProcess().files->get(static_cast<int>(fd)))
      return Ref<Dentry>();
    Ref<Inode> inode =
        info ? TRY((inodeOf<GeneratedInode>(FsKind::Proc, 0444u, makeFdinfo, nullptr, static_cast<uint64_t>(fd))))
             : TRY(inodeOf<DescriptorLink>(static_cast<int>(fd)));
    return transientEntry(self, name, std::move(inode));
  }
  bool nextEntry(uint64_t *cookie, DirectoryEntry &out) override {
    if (*cookie - 2 > INT32_MAX)
      return false;
    int fd = currentProcess().files->next(static_cast<int>(*cookie - 2));
    if (fd < 0)
      return false;
    *cookie = static_cast<uint64_t>(fd) + 3;
    out.nameLength = format(std::span(out.name), "{}", fd);
    out.inode = number + static_cast<uint64_t>(fd) + 1;
    out.type = info ? 8 : 10;
    return true;
  }

private:
  bool info;
};

/// task/<tid>: the files of kPerThread and the links, about one thread.
class ThreadDirectory : public GeneratedDirectory {
public:
  explicit ThreadDirectory(uint64_t tid) : GeneratedDirectory(FsKind::Proc, 0555), tid(tid) {}
  Result<Ref<Dentry>> lookup(Dentry &self, std::string_view name) override {
    for (const GeneratedRow &row : kPerThread)
      if (name == row.name)
        return transientEntry(self, name,
                              TRY(inodeOf<GeneratedInode>(FsKind::Proc, row.permissions, row.make, row.store, tid)));
    if (name == "fd" || name == "fdinfo")
      return transientEntry(self, name, TRY(inodeOf<DescriptorDirectory>(name == "fdinfo")));
    return Ref<Dentry>();
  }
  bool nextEntry(uint64_t *cookie, DirectoryEntry &out) override {
    constexpr std::string_view kDirectories[] = {"fd", "fdinfo"};
    uint64_t i = *cookie - 2;
    if (i >= std::size(kPerThread) + 2)
      return false;
    bool directory = i >= std::size(kPerThread);
    std::string_view name = directory ? kDirectories[i - std::size(kPerThread)] : std::string_view(kPerThread[i].name);
    out.nameLength = name.copy(out.name, sizeof out.name);
    out.inode = number + i + 1;
    out.type = directory ? 4 : 8;
    ++*cookie;
    return true;
  }

private:
  uint64_t tid;
};

class TaskDirectory : public GeneratedDirectory {
public:
  TaskDirectory() : GeneratedDirectory(FsKind::Proc, 0555) {}
  Result<Ref<Dentry>> lookup(Dentry &self, std::string_view name) override {
    int64_t tid = parseDecimal(name);
    if (tid <= 0 || !currentProcess().findThread(static_cast<int32_t>(tid)))
      return Ref<Dentry>();
    return transientEntry(self, name, TRY(inodeOf<ThreadDirectory>(static_cast<uint64_t>(tid))));
  }
  bool nextEntry(uint64_t *cookie, DirectoryEntry &out) override {
    Process &p = currentProcess();
    IrqSpinGuard g(p.threadsLock);
    auto it =
        p.threads.lower_bound(static_cast<int32_t>(std::min<uint64_t>(*cookie - 1, INT32_MAX))); // cookie 2 is tid 1
    if (it == p.threads.end())
      return false;
    *cookie = static_cast<uint64_t>(it->tid) + 2;
    out.nameLength = format(std::span(out.name), "{}", it->tid);
    out.inode = number + static_cast<uint64_t>(it->tid);
    out.type = 4;
    return true;
  }
};

} // namespace

Result<void> populateProcess(Dentry &proc) {
  Ref<Dentry> self = TRY(addDirectory(proc, "1", FsKind::Proc, 0555));
  TRY(addGenerated(*self, FsKind::Proc, kPerThread));
  TRY(addEntry(*self, "exe", TRY(inodeOf<ExeLink>())));
  TRY(addEntry(*self, "cwd", TRY(inodeOf<PlaceLink>(false))));
  TRY(addEntry(*self, "root", TRY(inodeOf<PlaceLink>(true))));
  TRY(addEntry(*self, "fd", TRY(inodeOf<DescriptorDirectory>(false))));
  TRY(addEntry(*self, "fdinfo", TRY(inodeOf<DescriptorDirectory>(true))));
  TRY(addEntry(*self, "task", TRY(inodeOf<TaskDirectory>())));
  TRY(addDirectory(*self, "net", FsKind::Proc, 0555));
  TRY(addEntry(proc, "thread-self", TRY(inodeOf<ThreadSelfLink>())));
  return {};
}

} // namespace osv

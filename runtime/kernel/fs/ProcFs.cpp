// SPDX-License-Identifier: BSD-3-Clause
//
// /proc: what is there of the system as a whole. The process's own part is ProcTask.cpp. Numbers that this kernel has
// no counterpart of (interrupts by device, swap) are shown as Linux shows them when there is none: zero.
#include "kernel/Process.h"
#include "kernel/arch/Cpu.h"
#include "kernel/fs/FileTable.h"
#include "kernel/fs/Generated.h"
#include "kernel/fs/Vfs.h"
#include "kernel/lib/Random.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/mm/PageAllocator.h"
#include "kernel/sched/Scheduler.h"
#include "kernel/time/Time.h"

namespace osv {
namespace {

constexpr Nanos kTick = 10'000'000; ///< USER_HZ = 100
constexpr uint64_t kKib = kPageSize / 1024;

Result<void> makeVersion(Text &out, uint64_t) {
  out.add("Linux version 6.1.0-osv (osv-rewrite@localhost) (clang version 19) #1 SMP PREEMPT_DYNAMIC osv-rewrite\n");
  return {};
}

Result<void> makeCpuinfo(Text &out, uint64_t) {
  char text[3072];
  for (unsigned cpu = 0; cpu < arch::cpuCount(); cpu++)
    out.add({text, arch::describeCpu(cpu, text)});
  return {};
}

Result<void> makeMeminfo(Text &out, uint64_t) {
  MemoryStats m = memoryStats();
  AddressSpace::Usage u = currentProcess().addressSpace->usage();
  enum Value : uint8_t { Zero, Total, Free, Resident, Virtual, Endless };
  const uint64_t values[] = {
      0, m.totalPages * kKib, m.freePages * kKib, u.residentPages * kKib, u.virtualPages * kKib, 34359738367};
  static constexpr struct {
    char name[16];
    Value value;
  } kRows[] = {
      {"MemTotal", Total},       {"MemFree", Free},         {"MemAvailable", Free},    {"Buffers", Zero},
      {"Cached", Zero},          {"SwapCached", Zero},      {"Active", Resident},      {"Inactive", Zero},
      {"SwapTotal", Zero},       {"SwapFree", Zero},        {"Dirty", Zero},           {"Writeback", Zero},
      {"AnonPages", Resident},   {"Mapped", Zero},          {"Shmem", Zero},           {"Slab", Zero},
      {"CommitLimit", Total},    {"Committed_AS", Virtual}, {"VmallocTotal", Endless}, {"VmallocUsed", Zero},
      {"HugePages_Total", Zero},
  };
  auto row = [&](std::string_view name, uint64_t kib) {
    out.add(name);
    out.add(':');
    out.pad(16);
    out.decimal(kib, 8);
    out.add(" kB\n");
  };
  for (const auto &r : kRows)
    row(r.name, values[r.value]);
  out.add("Hugepagesize:       2048 kB\n");
  return {};
}

Result<void> makeStat(Text &out, uint64_t) {
  Nanos now = monotonicNow();
  unsigned cpus = arch::cpuCount();
  Nanos idleAll = 0;
  for (unsigned i = 0; i < cpus; i++)
    idleAll += cpuIdleTime(i);
  Nanos busyAll = now * cpus - idleAll;
  auto row = [&](Nanos busy, Nanos idle) { out.print(" {} 0 0 {} 0 0 0 0 0 0\n", busy / kTick, idle / kTick); };
  out.add("cpu ");
  row(busyAll, idleAll);
  for (unsigned i = 0; i < cpus; i++) {
    out.print("cpu{}", i);
    row(now - cpuIdleTime(i), cpuIdleTime(i));
  }
  Process &p = currentProcess();
  out.print("intr 0\nctxt {}\nbtime {}\nprocesses {}\nprocs_running {}\nprocs_blocked 0\n",
            p.exitedSwitches + p.exitedPreemptions, (realtimeNow() - now) / 1'000'000'000, p.nextTid.load(),
            runnableThreads());
  return {};
}

Result<void> makeUptime(Text &out, uint64_t) {
  Nanos now = monotonicNow(), idle = 0;
  for (unsigned i = 0; i < arch::cpuCount(); i++)
    idle += cpuIdleTime(i);
  for (Nanos t : {now, idle}) {
    out.decimal(static_cast<uint64_t>(t / 1'000'000'000), 1);
    out.add('.');
    out.decimal(static_cast<uint64_t>(t / kTick % 100), 2, '0');
    out.add(t == now ? ' ' : '\n');
  }
  return {};
}

/// No average is kept: what runs now stands for all three, as in sysinfo.
Result<void> makeLoadavg(Text &out, uint64_t) {
  Process &p = currentProcess();
  unsigned n = runnableThreads();
  out.print("{}.00 {}.00 {}.00 {}/{} {}\n", n, n, n, n, p.threadCount, p.nextTid.load() - 1);
  return {};
}

Result<void> makeFilesystems(Text &out, uint64_t) {
  out.add("nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\nnodev\tpipefs\n");
  return {};
}

Result<void> makeText(Text &out, uint64_t arg) {
  out.add(reinterpret_cast<const char *>(arg));
  return {};
}

Result<void> makeUuid(Text &out, uint64_t) {
  uint8_t b[16];
  fillRandom(std::as_writable_bytes(std::span(b)));
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      out.add('-');
    out.hex(b[i], 2);
  }
  out.add('\n');
  return {};
}

char bootId[40];
Result<void> makeBootId(Text &out, uint64_t) {
  out.add(bootId);
  return {};
}

Result<void> makeFileMax(Text &out, uint64_t) {
  out.print("{}\n", memoryStats().totalPages / 4 + 1024);
  return {};
}

Result<void> makeFileNr(Text &out, uint64_t) {
  Process &p = currentProcess();
  unsigned n = 0;
  for (int fd = p.files->next(0); fd >= 0; fd = p.files->next(fd + 1))
    n++;
  out.print("{}\t0\t{}\n", n, memoryStats().totalPages / 4 + 1024);
  return {};
}

/// Constant settings: path below /proc/sys and contents. They cannot be written (EPERM when opened for that).
constexpr struct {
  const char *directory, *name, *text;
} kSettings[] = {
    {"kernel", "osrelease", "6.1.0-osv\n"},
    {"kernel", "ostype", "Linux\n"},
    {"kernel", "version", "#1 SMP PREEMPT_DYNAMIC osv-rewrite\n"},
    {"kernel", "hostname", "osv\n"},
    {"kernel", "domainname", "(none)\n"},
    {"kernel", "pid_max", "4194304\n"},
    {"kernel", "threads-max", "65536\n"},
    {"kernel", "ngroups_max", "65536\n"},
    {"kernel", "cap_last_cap", "40\n"},
    {"kernel", "randomize_va_space", "0\n"},
    {"kernel", "core_pattern", "core\n"},
    {"kernel", "shmmax", "18446744073692774399\n"},
    {"kernel/random", "entropy_avail", "256\n"},
    {"kernel/random", "poolsize", "256\n"},
    {"vm", "overcommit_memory", "0\n"},
    {"vm", "overcommit_ratio", "50\n"},
    {"vm", "max_map_count", "65530\n"},
    {"vm", "mmap_min_addr", "65536\n"},
    {"vm", "swappiness", "60\n"},
    {"vm", "nr_hugepages", "0\n"},
    {"fs", "nr_open", "1048576\n"},
    {"fs", "pipe-max-size", "1048576\n"},
    {"net/core", "somaxconn", "4096\n"},
    {"net/ipv4", "ip_local_port_range", "32768\t60999\n"},
};

constexpr GeneratedRow kRoot[] = {
    {"version", 0444, makeVersion},         {"cpuinfo", 0444, makeCpuinfo},
    {"meminfo", 0444, makeMeminfo},         {"stat", 0444, makeStat},
    {"uptime", 0444, makeUptime},           {"loadavg", 0444, makeLoadavg},
    {"filesystems", 0444, makeFilesystems},
};
constexpr GeneratedRow kRandom[] = {{"uuid", 0444, makeUuid}, {"boot_id", 0444, makeBootId}};
constexpr GeneratedRow kFs[] = {{"file-max", 0444, makeFileMax}, {"file-nr", 0444, makeFileNr}};

/// A constant text as a file.
Result<void> addConstant(Dentry &dir, const char *name, FsKind kind, const char *text) {
  const GeneratedRow row = {name, 0444, makeText};
  return addGenerated(dir, kind, std::span(&row, 1), reinterpret_cast<uint64_t>(text));
}

Result<void> makeOnline(Text &out, uint64_t) {
  unsigned n = arch::cpuCount();
  if (n == 1)
    out.add("0\n");
  else
    out.print("0-{}\n", n - 1);
  return {};
}
constexpr GeneratedRow kCpus[] = {
    {"online", 0444, makeOnline}, {"possible", 0444, makeOnline}, {"present", 0444, makeOnline}};

} // namespace

Result<void> populateProc(Dentry &proc) {
  TRY(addGenerated(proc, FsKind::Proc, kRoot));
  TRY(addSymlink(proc, "self", FsKind::Proc, "1"));
  TRY(addSymlink(proc, "mounts", FsKind::Proc, "self/mounts"));
  TRY(addSymlink(proc, "net", FsKind::Proc, "self/net"));
  Text id;
  TRY(makeUuid(id, 0));
  id.view().copy(bootId, sizeof bootId - 1);
  Ref<Dentry> sys = TRY(addDirectory(proc, "sys", FsKind::Proc, 0555));
  for (const auto &s : kSettings)
    TRY(addConstant(*TRY(ensureDirectories(*sys, s.directory, FsKind::Proc)), s.name, FsKind::Proc, s.text));
  TRY(addGenerated(*TRY(ensureDirectories(*sys, "kernel/random", FsKind::Proc)), FsKind::Proc, kRandom));
  TRY(addGenerated(*TRY(ensureDirectories(*sys, "fs", FsKind::Proc)), FsKind::Proc, kFs));
  return populateProcess(proc);
}

Result<void> populateSys(Dentry &sys) {
  Ref<Dentry> cpu = TRY(ensureDirectories(sys, "devices/system/cpu", FsKind::Sys));
  TRY(addGenerated(*cpu, FsKind::Sys, kCpus));
  for (unsigned i = 0; i < arch::cpuCount(); i++) {
    char name[16];
    TRY(addDirectory(*cpu, {name, format(name, "cpu{}", i)}, FsKind::Sys, 0755));
  }
  Ref<Dentry> huge = TRY(ensureDirectories(sys, "kernel/mm/transparent_hugepage", FsKind::Sys));
  TRY(addConstant(*huge, "enabled", FsKind::Sys, "always [madvise] never\n"));
  TRY(addConstant(*huge, "defrag", FsKind::Sys, "always defer defer+madvise [madvise] never\n"));
  TRY(addConstant(*huge, "hpage_pmd_size", FsKind::Sys, "2097152\n"));
  return {};
}

} // namespace osv

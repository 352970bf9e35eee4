// SPDX-License-Identifier: BSD-3-Clause
//
// The vDSO's image as the build links it: found by the lookups of the libraries that use it, and called, with a data
// page of our own before it.
//
// Each lookup below follows the steps of one library on its own terms: Go goes by file offsets and the GNU hash table,
// musl by the symbol count of the SysV table, glibc by version hash. A vDSO that one of them does not find is silently
// not used.
#include "arch/x64/ClockMath.h"
#include "kernel/vdso/VdsoData.h"
#include <cstring>
#include <elf.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <time.h>
#include <vector>
#include <x86intrin.h>

namespace {

constexpr size_t kPage = 4096;

/// [data page][image], as the kernel maps them.
struct Mapped {
  osv::VdsoData *data = nullptr;
  const char *image = nullptr;
  size_t size = 0;

  Mapped() {
    std::ifstream in(OSV_VDSO_FILE, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), {}};
    size = (bytes.size() + kPage - 1) / kPage * kPage;
    auto *p =
        static_cast<char *>(mmap(nullptr, kPage + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    memcpy(p + kPage, bytes.data(), bytes.size());
    mprotect(p + kPage, size, PROT_READ | PROT_EXEC);
    data = reinterpret_cast<osv::VdsoData *>(p);
    image = p + kPage;
  }
  ~Mapped() { munmap(data, kPage + size); }
  const Elf64_Ehdr &header() const { return *reinterpret_cast<const Elf64_Ehdr *>(image); }
  const Elf64_Phdr *programHeaders() const { return reinterpret_cast<const Elf64_Phdr *>(image + header().e_phoff); }
};

struct Tables {
  uint64_t bias = 0;
  const char *strings = nullptr;
  const Elf64_Sym *symbols = nullptr;
  const uint32_t *hash = nullptr, *gnuHash = nullptr;
  const uint16_t *versions = nullptr;
  const Elf64_Verdef *definitions = nullptr;
};

/// What all of them do first. `byOffset`: the dynamic section is taken at its file offset (Go), else at its address
/// (musl).
Tables readTables(const Mapped &m, bool byOffset) {
  Tables t;
  const Elf64_Dyn *dynamic = nullptr;
  auto base = reinterpret_cast<uint64_t>(m.image);
  bool found = false;
  for (unsigned i = 0; i < m.header().e_phnum; i++) {
    const Elf64_Phdr &p = m.programHeaders()[i];
    if (p.p_type == PT_LOAD && !found) {
      found = true;
      t.bias = base + p.p_offset - p.p_vaddr;
    }
    if (p.p_type == PT_DYNAMIC) {
      dynamic = reinterpret_cast<const Elf64_Dyn *>(byOffset ? base + p.p_offset : base + p.p_vaddr);
      EXPECT_FALSE(p.p_flags & PF_W); // glibc relocates a writable one in place
    }
  }
  EXPECT_TRUE(found && dynamic);
  for (; dynamic->d_tag != DT_NULL; dynamic++) {
    uint64_t p = t.bias + dynamic->d_un.d_ptr;
    switch (dynamic->d_tag) {
    case DT_STRTAB:
      t.strings = reinterpret_cast<const char *>(p);
      break;
    case DT_SYMTAB:
      t.symbols = reinterpret_cast<const Elf64_Sym *>(p);
      break;
    case DT_HASH:
      t.hash = reinterpret_cast<const uint32_t *>(p);
      break;
    case DT_GNU_HASH:
      t.gnuHash = reinterpret_cast<const uint32_t *>(p);
      break;
    case DT_VERSYM:
      t.versions = reinterpret_cast<const uint16_t *>(p);
      break;
    case DT_VERDEF:
      t.definitions = reinterpret_cast<const Elf64_Verdef *>(p);
      break;
    case DT_REL:
    case DT_RELA:
    case DT_JMPREL:
    case DT_NEEDED:
      ADD_FAILURE() << "dynamic tag " << dynamic->d_tag;
    }
  }
  EXPECT_TRUE(t.strings && t.symbols && t.hash && t.gnuHash && t.versions && t.definitions);
  return t;
}

uint32_t sysvHash(const char *s) {
  uint32_t h = 0;
  for (; *s; s++) {
    h = 16 * h + static_cast<unsigned char>(*s);
    h ^= h >> 24 & 0xf0;
  }
  return h & 0xfffffff;
}
uint32_t gnuHash(const char *s) {
  uint32_t h = 5381;
  for (; *s; s++)
    h = h * 33 + static_cast<unsigned char>(*s);
  return h;
}

/// Index of version LINUX_2.6, -1: not defined.
int findVersion(const Tables &t) {
  constexpr uint32_t kLinux26Hash = 61765110; // as glibc has it compiled in
  for (auto *d = t.definitions;;
       d = reinterpret_cast<const Elf64_Verdef *>(reinterpret_cast<const char *>(d) + d->vd_next)) {
    auto *aux = reinterpret_cast<const Elf64_Verdaux *>(reinterpret_cast<const char *>(d) + d->vd_aux);
    if (!(d->vd_flags & VER_FLG_BASE) && d->vd_hash == kLinux26Hash && !strcmp(t.strings + aux->vda_name, "LINUX_2.6"))
      return d->vd_ndx & 0x7fff;
    if (d->vd_next == 0)
      return -1;
  }
}

bool isFunction(const Elf64_Sym &s) {
  unsigned type = ELF64_ST_TYPE(s.st_info), bind = ELF64_ST_BIND(s.st_info);
  return type == STT_FUNC && (bind == STB_GLOBAL || bind == STB_WEAK) && s.st_shndx != SHN_UNDEF;
}

/// Go's runtime: buckets of the GNU table, name, then version.
const void *lookupLikeGo(const Mapped &m, const char *name) {
  Tables t = readTables(m, true);
  int version = findVersion(t);
  uint32_t buckets = t.gnuHash[0], first = t.gnuHash[1], bloom = t.gnuHash[2], hash = gnuHash(name);
  const uint32_t *bucket = t.gnuHash + 4 + bloom * 2, *chain = bucket + buckets;
  uint32_t i = bucket[hash % buckets];
  if (i < first)
    return nullptr;
  for (;; i++) {
    uint32_t h = chain[i - first];
    if ((h | 1) == (hash | 1) && isFunction(t.symbols[i]) && !strcmp(t.strings + t.symbols[i].st_name, name) &&
        (t.versions[i] & 0x7fff) == version)
      return reinterpret_cast<const void *>(t.bias + t.symbols[i].st_value);
    if (h & 1)
      return nullptr;
  }
}

/// Older Go, and everything else with a SysV table: chains.
const void *lookupLikeSysV(const Mapped &m, const char *name) {
  Tables t = readTables(m, true);
  int version = findVersion(t);
  uint32_t buckets = t.hash[0];
  const uint32_t *bucket = t.hash + 2, *chain = bucket + buckets;
  for (uint32_t i = bucket[sysvHash(name) % buckets]; i; i = chain[i])
    if (isFunction(t.symbols[i]) && !strcmp(t.strings + t.symbols[i].st_name, name) &&
        (t.versions[i] & 0x7fff) == version)
      return reinterpret_cast<const void *>(t.bias + t.symbols[i].st_value);
  return nullptr;
}

/// musl: all symbols in order.
const void *lookupLikeMusl(const Mapped &m, const char *name) {
  Tables t = readTables(m, false);
  int version = findVersion(t);
  for (uint32_t i = 0; i < t.hash[1]; i++)
    if (isFunction(t.symbols[i]) && !strcmp(t.strings + t.symbols[i].st_name, name) &&
        (t.versions[i] & 0x7fff) == version)
      return reinterpret_cast<const void *>(t.bias + t.symbols[i].st_value);
  return nullptr;
}

TEST(Vdso, EveryLibraryFindsEveryFunction) {
  Mapped m;
  for (const char *name : {"clock_gettime", "gettimeofday", "time", "clock_getres", "getcpu"}) {
    std::string prefixed = std::string("__vdso_") + name;
    const void *found = lookupLikeGo(m, prefixed.c_str());
    EXPECT_NE(found, nullptr) << name;
    for (const char *n : {prefixed.c_str(), name}) {
      EXPECT_EQ(lookupLikeGo(m, n), found) << n;
      EXPECT_EQ(lookupLikeSysV(m, n), found) << n;
      EXPECT_EQ(lookupLikeMusl(m, n), found) << n;
    }
  }
  EXPECT_EQ(lookupLikeGo(m, "__vdso_nothing"), nullptr);
  EXPECT_EQ(lookupLikeMusl(m, "osv_vvar"), nullptr);
}

TEST(Vdso, Image) {
  Mapped m;
  const Elf64_Ehdr &e = m.header();
  EXPECT_EQ(memcmp(e.e_ident, ELFMAG, SELFMAG), 0);
  EXPECT_EQ(e.e_type, ET_DYN);
  EXPECT_EQ(e.e_machine, EM_X86_64);
  EXPECT_EQ(m.size, kPage); // a second page would be a page of the kernel's image
  unsigned loads = 0;
  for (unsigned i = 0; i < e.e_phnum; i++) {
    const Elf64_Phdr &p = m.programHeaders()[i];
    EXPECT_EQ(p.p_offset, p.p_vaddr);
    EXPECT_FALSE(p.p_flags & PF_W);
    loads += p.p_type == PT_LOAD;
  }
  EXPECT_EQ(loads, 1u);
}

template <typename F> F function(const Mapped &m, const char *name) {
  return reinterpret_cast<F>(const_cast<void *>(lookupLikeMusl(m, name)));
}
using ClockFn = int (*)(int, timespec *);

constexpr uint64_t kHz = 2'000'000'000;
constexpr int64_t kBase = 5'999'999'999, kOffset = 1'700'000'000'123'456'789;

void startClock(Mapped &m) {
  m.data->baseTsc = __rdtsc();
  m.data->factor = osv::arch::clockFactor(kHz);
  m.data->baseNanos = kBase;
  for (int clock : {CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_REALTIME_ALARM, CLOCK_TAI})
    m.data->offsets[clock] = kOffset;
}
int64_t nanos(const timespec &t) {
  EXPECT_GE(t.tv_nsec, 0);
  EXPECT_LT(t.tv_nsec, 1'000'000'000);
  return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}
int64_t expectedNanos(const Mapped &m, uint64_t tsc) {
  return kBase + static_cast<int64_t>(osv::arch::scaleTicks(tsc - m.data->baseTsc, m.data->factor));
}

TEST(Vdso, ClocksFollowTheDataPage) {
  Mapped m;
  startClock(m);
  auto clockGetTime = function<ClockFn>(m, "__vdso_clock_gettime");
  for (int clock : {CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM,
                    CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_REALTIME_ALARM, CLOCK_TAI}) {
    timespec t;
    int64_t before = expectedNanos(m, __rdtsc()) + m.data->offsets[clock];
    ASSERT_EQ(clockGetTime(clock, &t), 0);
    int64_t after = expectedNanos(m, __rdtsc()) + m.data->offsets[clock];
    EXPECT_GE(nanos(t), before) << clock;
    EXPECT_LE(nanos(t), after) << clock;
  }
}

TEST(Vdso, TimeOfDay) {
  Mapped m;
  startClock(m);
  timeval tv;
  struct timezone tz = {7, 7};
  auto getTimeOfDay = function<int (*)(timeval *, struct timezone *)>(m, "__vdso_gettimeofday");
  int64_t before = (expectedNanos(m, __rdtsc()) + kOffset) / 1000;
  ASSERT_EQ(getTimeOfDay(&tv, &tz), 0);
  int64_t after = (expectedNanos(m, __rdtsc()) + kOffset) / 1000;
  EXPECT_GE(tv.tv_sec * 1'000'000 + tv.tv_usec, before);
  EXPECT_LE(tv.tv_sec * 1'000'000 + tv.tv_usec, after);
  EXPECT_EQ(tz.tz_minuteswest, 0);
  EXPECT_EQ(tz.tz_dsttime, 0);
  EXPECT_EQ(getTimeOfDay(nullptr, nullptr), 0);
  time_t stored = 0, returned = function<time_t (*)(time_t *)>(m, "__vdso_time")(&stored);
  EXPECT_EQ(stored, returned);
  EXPECT_GE(returned, before / 1'000'000);
  EXPECT_LE(returned, after / 1'000'000 + 1);
}

TEST(Vdso, ABaseInTheFutureDoesNotGoBackwards) {
  Mapped m;
  startClock(m);
  m.data->baseTsc = __rdtsc() + 1'000'000'000'000;
  timespec t;
  ASSERT_EQ(function<ClockFn>(m, "__vdso_clock_gettime")(CLOCK_MONOTONIC, &t), 0);
  EXPECT_EQ(nanos(t), kBase);
}

TEST(Vdso, OtherClocksAreTheKernels) {
  Mapped m;
  auto clockGetTime = function<ClockFn>(m, "__vdso_clock_gettime");
  auto clockGetRes = function<ClockFn>(m, "__vdso_clock_getres");
  timespec t = {-1, -1};
  EXPECT_EQ(clockGetTime(CLOCK_PROCESS_CPUTIME_ID, &t), 0); // by the host's kernel
  EXPECT_GE(nanos(t), 0);
  EXPECT_EQ(clockGetTime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
  EXPECT_EQ(clockGetTime(10, &t), -EINVAL);
  EXPECT_EQ(clockGetTime(12, &t), -EINVAL);
  EXPECT_EQ(clockGetTime(33, &t), -EINVAL); // not taken for clock 1 by the shift
  EXPECT_EQ(clockGetRes(CLOCK_MONOTONIC, &t), 0);
  EXPECT_EQ(nanos(t), 1);
  EXPECT_EQ(clockGetRes(CLOCK_REALTIME_COARSE, &t), 0);
  EXPECT_EQ(nanos(t), 4'000'000);
  EXPECT_EQ(clockGetRes(CLOCK_MONOTONIC, nullptr), 0);
  EXPECT_EQ(clockGetRes(99, &t), -EINVAL);
}

TEST(Vdso, GetCpu) {
  Mapped m;
  auto getCpu = function<long (*)(unsigned *, unsigned *, void *)>(m, "__vdso_getcpu");
  cpu_set_t all, one;
  sched_getaffinity(0, sizeof all, &all);
  unsigned cpu = 0, node = 7;
  while (!CPU_ISSET(cpu, &all))
    cpu++;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  unsigned seen = 99;
  m.data->cpuSource = osv::kCpuSyscall;
  EXPECT_EQ(getCpu(&seen, &node, nullptr), 0);
  EXPECT_EQ(seen, cpu);
  m.data->cpuSource = osv::kCpuRdtscp;
  EXPECT_EQ(getCpu(&seen, &node, nullptr), 0);
  EXPECT_EQ(seen & 0xfff, cpu); // Linux keeps the node above
  EXPECT_EQ(node, 0u);
  m.data->cpuSource = osv::kCpuZero;
  EXPECT_EQ(getCpu(&seen, nullptr, nullptr), 0);
  EXPECT_EQ(seen, 0u);
  EXPECT_EQ(getCpu(nullptr, nullptr, nullptr), 0);
  sched_setaffinity(0, sizeof all, &all);
}

} // namespace

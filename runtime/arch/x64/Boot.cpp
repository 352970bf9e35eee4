// SPDX-License-Identifier: BSD-3-Clause
//
// From boot.S to the generic kernel: reads what the monitor says (PVH's hvm_start_info), gives the memory to the
// allocator, builds the final translation tables. One call a line; the order is the point.
#include "abi/Image.h"
#include "arch/x64/Clock.h"
#include "arch/x64/Cpu.h"
#include "arch/x64/Mmu.h"
#include "arch/x64/Smp.h"
#include "kernel/Main.h"
#include "kernel/arch/Context.h"
#include "kernel/arch/Mmu.h"
#include "kernel/dev/Console.h"
#include "kernel/lib/Log.h"
#include "kernel/mm/PageAllocator.h"
#include "kernel/sched/Scheduler.h"
#include <algorithm>

namespace osv::arch {
namespace {

/// Xen's public hvm_start_info, version 1 (xen/include/public/arch-x86/hvm/start_info.h describes it).
struct StartInfo {
  uint32_t magic, version, flags, moduleCount;
  uint64_t modules, commandLine, rsdp;
  uint64_t memoryMap; ///< version >= 1
  uint32_t memoryMapEntries, reserved;
};
struct MemoryMapEntry {
  uint64_t addr, size;
  uint32_t type, reserved;
};
inline constexpr uint32_t kStartInfoMagic = 0x336ec578;
inline constexpr uint32_t kTypeRam = 1;
inline constexpr uint64_t kBootMapped = 1ull << 30; ///< what boot.S put into the direct map
inline constexpr uint64_t kLowMemory = 0x10000;     ///< below: BIOS data, the trampoline of further processors
inline constexpr unsigned kMaxRanges = 32;

struct Range {
  uint64_t start, end;
};
extern "C" char osv_boot_pml4[], osv_kernel_start[], osv_kernel_end[];

template <typename T> const T *physical(uint64_t p) { return static_cast<const T *>(directMap(PAddr(p))); }

/// What of the RAM is in use from the start, besides the program's segments. Whole pages.
constinit Range lowMemory{0, kLowMemory}, commandLinePages{};
constinit Range lowRam{}; ///< what of lowMemory is RAM

uint64_t kernelPhys(const char *p) { return reinterpret_cast<uint64_t>(p) - osv_image_shift; }

/// The first range in use that ends after `at`; when there is none, an empty one at the end of everything.
Range nextUsed(uint64_t at) {
  Range first{~0ull, ~0ull};
  auto look = [&](uint64_t start, uint64_t end) {
    if (end > at && start < first.start)
      first = {start, end};
  };
  look(lowMemory.start, lowMemory.end);
  look(commandLinePages.start, commandLinePages.end);
  look(kernelPhys(osv_kernel_start), kernelPhys(osv_kernel_end));
  for (const abi::Segment &s : osv_image.segments)
    if (s.filesz)
      look(roundDown(s.paddr, kPageSize), roundUp(s.paddr + s.filesz, kPageSize));
  return first;
}

/// Hands what is free of [r.start, r.end) to the allocator: also the gaps between the parts of the image.
void addFreeMemory(Range r) {
  for (uint64_t at = r.start; at < r.end;) {
    Range used = nextUsed(at);
    if (used.start > at)
      addMemory(PAddr(at), PAddr(std::min(used.start, r.end)));
    at = used.end;
  }
}

/// The tables that the kernel walks before it can report a fault well must be where the rewriter puts them.
template <typename T> bool isInRodata(const abi::Table<T> &table) {
  uint64_t start = reinterpret_cast<uint64_t>(osv_rodata_start),
           size = reinterpret_cast<uint64_t>(osv_rodata_end) - start;
  return table.count == 0 || (table.addr - start <= size && table.count <= (size - (table.addr - start)) / sizeof(T));
}

void checkManifest(const abi::ImageHeader &h) {
  VERIFY(h.magic == abi::kImageMagic && h.version == abi::kImageVersion && h.size == sizeof h);
  VERIFY(isInRodata(h.segments) && isInRodata(h.argv) && isInRodata(h.envp) && isInRodata(h.rootfs) &&
         isInRodata(h.stubs) && isInRodata(h.traps));
}

void initMemory(const StartInfo &info, std::string_view commandLine) {
  VERIFY(info.version >= 1 && info.memoryMapEntries > 0);
  Range ram[kMaxRanges];
  unsigned count = 0;
  std::span<const MemoryMapEntry> map(physical<MemoryMapEntry>(info.memoryMap), info.memoryMapEntries);
  for (const MemoryMapEntry &e : map) {
    uint64_t start = roundUp(e.addr, kPageSize), end = roundDown(e.addr + e.size, kPageSize);
    if (e.type == kTypeRam && start < end && count < kMaxRanges)
      ram[count++] = {start, end};
    if (e.type == kTypeRam && start < kLowMemory && start < end)
      lowRam = {start, std::min(end, kLowMemory)};
  }
  // The command line stays where the monitor put it (the process's arguments point into it); the memory map is not
  // needed again.
  uint64_t line = directMapPhys(commandLine.data()).value;
  commandLinePages = {roundDown(line, kPageSize), roundUp(line + commandLine.size() + 1, kPageSize)};
  PhysRange ranges[kMaxRanges + 1];
  for (unsigned i = 0; i < count; i++) {
    ranges[i] = {PAddr(ram[i].start), PAddr(ram[i].end)};
    if (ram[i].start < kBootMapped)
      addFreeMemory({ram[i].start, std::min(ram[i].end, kBootMapped)});
  }
  // Some monitors put it outside of what they call RAM (qboot: below 1 MiB, reserved).
  const Range &where = commandLinePages;
  bool inRam =
      std::any_of(ram, ram + count, [&](const Range &r) { return where.start >= r.start && where.end <= r.end; });
  if (!inRam)
    ranges[count] = {PAddr(where.start), PAddr(where.end)};
  initMmu({ranges, count + !inRam}); // the whole RAM is reachable from here on, kernel text is read-only
  for (unsigned i = 0; i < count; i++)
    if (ram[i].end > kBootMapped)
      addFreeMemory({std::max(ram[i].start, kBootMapped), ram[i].end});
}

} // namespace

void releaseBootMemory() {
  lowMemory = {0, kPageSize}; // page 0 is no page
  addFreeMemory(lowRam);
  // boot.S has the tables in a row, the stack (now the idle thread's) behind them.
  PAddr tables(kernelPhys(osv_boot_pml4));
  PAddr end = tables + static_cast<size_t>(osv_boot_stack - osv_boot_pml4);
  if (!adoptPages(tables, end).ok())
    return;
  for (; tables < end; tables += kPageSize)
    releasePage(tables);
}

/// Boot CPU, its boot stack and block, interrupts off; thread_local works.
extern "C" [[noreturn]] void osv_boot(uint64_t startInfo) {
  const auto &info = *physical<StartInfo>(startInfo);
  const char *line = physical<char>(info.commandLine);
  std::string_view commandLine(info.commandLine ? line : "", info.commandLine ? __builtin_strlen(line) : 0);
  console::initEarly(commandLine); // log and panic work, polled
  VERIFY(info.magic == kStartInfoMagic);
  checkManifest(osv_image);
  detectFeatures(); // patches the gates: kernel text is still writable
  initCpu(0);       // faults are reported from here on
  initFpu();
  setAcpiRoot(PAddr(info.rsdp));
  initMemory(info, commandLine); // what the monitor left in low memory may be gone afterwards
  initApic();
  initClock();
  initApicTimer(); // needs the clock
  kernelMain(commandLine);
}

} // namespace osv::arch

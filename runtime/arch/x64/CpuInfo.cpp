// SPDX-License-Identifier: BSD-3-Clause
//
// /proc/cpuinfo, from CPUID: the lines and flag names of Linux's arch/x86/kernel/cpu/proc.c and cpufeatures.h, in
// Linux's order. Flags are those of the CPU less what the program may not use: FSGSBASE (GS is the kernel's) is never
// shown. All CPUs are alike.
#include "arch/x64/Clock.h"
#include "kernel/arch/Cpu.h"
#include "kernel/lib/Log.h"
#include <cstring>

namespace osv::arch {
namespace {

/// Features of one CPUID register, bit 0 first; null: no name, or not shown.
struct Word {
  uint32_t leaf, subleaf;
  uint8_t reg; ///< 0..3: eax, ebx, ecx, edx
  const char *names[32];
};
constexpr Word kWords[] = {
    {1, 0, 3, {"fpu",  "vme",  "de",   "pse", "tsc",  "msr", "pae",   "mce", "cx8",     "apic",  nullptr,
               "sep",  "mtrr", "pge",  "mca", "cmov", "pat", "pse36", "pn",  "clflush", nullptr, "dts",
               "acpi", "mmx",  "fxsr", "sse", "sse2", "ss",  "ht",    "tm",  "ia64",    "pbe"}},
    {0x80000001, 0, 3, {nullptr, nullptr,    nullptr,   nullptr,   nullptr, nullptr, nullptr,    nullptr,
                        nullptr, nullptr,    nullptr,   "syscall", nullptr, nullptr, nullptr,    nullptr,
                        nullptr, nullptr,    nullptr,   "mp",      "nx",    nullptr, "mmxext",   nullptr,
                        nullptr, "fxsr_opt", "pdpe1gb", "rdtscp",  nullptr, "lm",    "3dnowext", "3dnow"}},
    {1, 0, 2, {"pni",    "pclmulqdq", "dtes64", "monitor", "ds_cpl",
               "vmx",    "smx",       "est",    "tm2",     "ssse3",
               "cid",    "sdbg",      "fma",    "cx16",    "xtpr",
               "pdcm",   nullptr,     "pcid",   "dca",     "sse4_1",
               "sse4_2", "x2apic",    "movbe",  "popcnt",  "tsc_deadline_timer",
               "aes",    "xsave",     nullptr,  "avx",     "f16c",
               "rdrand", "hypervisor"}},
    {0x80000001, 0, 2, {"lahf_lm",    "cmp_legacy",  "svm",           "extapic", "cr8_legacy",  "abm",
                        "sse4a",      "misalignsse", "3dnowprefetch", "osvw",    "ibs",         "xop",
                        "skinit",     "wdt",         nullptr,         "lwp",     "fma4",        "tce",
                        nullptr,      "nodeid_msr",  nullptr,         "tbm",     "topoext",     "perfctr_core",
                        "perfctr_nb", nullptr,       "bpext",         "ptsc",    "perfctr_llc", "mwaitx"}},
    {7, 0, 1, {nullptr,   "tsc_adjust", "sgx",      "bmi1",     "hle",      "avx2",       nullptr,    "smep",
               "bmi2",    "erms",       "invpcid",  "rtm",      "cqm",      nullptr,      "mpx",      "rdt_a",
               "avx512f", "avx512dq",   "rdseed",   "adx",      "smap",     "avx512ifma", nullptr,    "clflushopt",
               "clwb",    "intel_pt",   "avx512pf", "avx512er", "avx512cd", "sha_ni",     "avx512bw", "avx512vl"}},
    {0xd, 1, 0, {"xsaveopt", "xsavec", "xgetbv1", "xsaves"}},
    {7, 0, 2, {nullptr,      "avx512vbmi",   "umip",          "pku",      "ospke",
               "waitpkg",    "avx512_vbmi2", nullptr,         "gfni",     "vaes",
               "vpclmulqdq", "avx512_vnni",  "avx512_bitalg", "tme",      "avx512_vpopcntdq",
               nullptr,      "la57",         nullptr,         nullptr,    nullptr,
               nullptr,      nullptr,        "rdpid",         nullptr,    "bus_lock_detect",
               "cldemote",   nullptr,        "movdiri",       "movdir64b"}},
    {7, 0, 3, {nullptr,         nullptr,    "avx512_4vnniw",
               "avx512_4fmaps", "fsrm",     nullptr,
               nullptr,         nullptr,    "avx512_vp2intersect",
               nullptr,         "md_clear", nullptr,
               nullptr,         nullptr,    "serialize",
               nullptr,         nullptr,    nullptr,
               nullptr,         "arch_lbr", nullptr,
               nullptr,         "amx_bf16", "avx512_fp16",
               "amx_tile",      "amx_int8"}},
};

class Lines {
public:
  explicit Lines(std::span<char> out) : out(out) {}
  template <typename... Ts> void print(std::string_view fmt, const Ts &...ts) {
    used += format(out.subspan(used), fmt, ts...);
  }
  size_t size() const { return used; }

private:
  std::span<char> out;
  size_t used = 0;
};

uint32_t registerOf(const CpuidResult &r, unsigned which) {
  return which == 0 ? r.eax : which == 1 ? r.ebx : which == 2 ? r.ecx : r.edx;
}

} // namespace

size_t describeCpu(unsigned cpu, std::span<char> out) {
  Lines lines(out);
  CpuidResult leaf0 = cpuid(0), leaf1 = cpuid(1);
  uint32_t maxBasic = leaf0.eax, maxExtended = cpuid(0x80000000).eax;
  char vendor[12];
  memcpy(vendor, &leaf0.ebx, 4);
  memcpy(vendor + 4, &leaf0.edx, 4);
  memcpy(vendor + 8, &leaf0.ecx, 4);
  uint32_t family = leaf1.eax >> 8 & 15, model = leaf1.eax >> 4 & 15;
  if (family == 15)
    family += leaf1.eax >> 20 & 255;
  if (family >= 6)
    model |= leaf1.eax >> 12 & 0xf0;
  char brand[49] = "unknown";
  if (maxExtended >= 0x80000004)
    for (uint32_t i = 0; i < 3; i++) {
      CpuidResult r = cpuid(0x80000002 + i);
      memcpy(brand + 16 * i, &r, 16);
    }
  uint64_t khz = tscHz() / 1000;
  lines.print("processor\t: {}\nvendor_id\t: {}\ncpu family\t: {}\n", cpu, std::string_view(vendor, 12), family);
  lines.print("model\t\t: {}\nmodel name\t: {}\nstepping\t: {}\n", model, static_cast<const char *>(brand),
              leaf1.eax & 15);
  auto mhz = [&](std::string_view name, uint64_t thousandths, unsigned digits) {
    lines.print("{}: {}.", name, thousandths / 1000);
    uint64_t rest = thousandths % 1000;
    for (unsigned i = 0, unit = 100; i < digits; i++, unit /= 10)
      lines.print("{}", rest / unit % 10);
    lines.print("\n");
  };
  mhz("cpu MHz\t\t", khz, 3);
  lines.print("cache size\t: 0 KB\nphysical id\t: 0\nsiblings\t: {}\ncore id\t\t: {}\ncpu cores\t: {}\n", cpuCount(),
              cpu, cpuCount());
  lines.print("apicid\t\t: {}\ninitial apicid\t: {}\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {}\nwp\t\t: "
              "yes\nflags\t\t:",
              cpu, cpu, maxBasic);
  for (const Word &w : kWords) {
    if (w.leaf > (w.leaf & 0x80000000 ? maxExtended : maxBasic))
      continue;
    uint32_t bits = registerOf(cpuid(w.leaf, w.subleaf), w.reg);
    for (unsigned i = 0; i < 32; i++)
      if ((bits >> i & 1) && w.names[i])
        lines.print(" {}", w.names[i]);
  }
  lines.print("\nbugs\t\t:\n");
  mhz("bogomips\t", khz * 2, 2);
  uint32_t sizes = maxExtended >= 0x80000008 ? cpuid(0x80000008).eax : 0x3024;
  lines.print("clflush size\t: {}\ncache_alignment\t: 64\naddress sizes\t: {} bits physical, {} bits virtual\npower "
              "management:\n\n",
              (leaf1.ebx >> 8 & 255) * 8, sizes & 255, sizes >> 8 & 255);
  return lines.size();
}

} // namespace osv::arch

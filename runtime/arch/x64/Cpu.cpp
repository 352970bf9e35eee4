// SPDX-License-Identifier: BSD-3-Clause
//
// Brings one processor into the state that the gates rely on: descriptor tables with an IST stack for every vector,
// control registers, SYSCALL, the enabled FP state components; and finds out what the processor can do. FSGSBASE is
// used by the kernel where it exists and told to nobody.
#include "arch/x64/Cpu.h"
#include "kernel/arch/Context.h"
#include "kernel/arch/Mmu.h"
#include "kernel/dev/Console.h"
#include "kernel/lib/Log.h"
#include "kernel/mm/Heap.h"

namespace osv::arch {

Features features;

namespace {

struct [[gnu::packed]] Tss {
  uint32_t reserved0;
  uint64_t rsp[3];
  uint64_t reserved1;
  uint64_t ist[7]; ///< ist[0] is IST1
  uint64_t reserved2;
  uint16_t reserved3, ioMap;
};
struct Gate64 {
  uint16_t offsetLow, selector;
  uint8_t ist, type;
  uint16_t offsetMid;
  uint32_t offsetHigh, reserved;
};
struct [[gnu::packed]] TablePointer {
  uint16_t limit;
  uint64_t base;
};

/// IST1 holds only the hardware's frame and two registers before the hand-over; IST2..4 (NMI, #DF, #MC) run C++.
inline constexpr size_t kIst1Size = 512, kParanoidSize = 4096;
struct alignas(16) CpuTables {
  char ist1[kIst1Size];
  char paranoid[3][kParanoidSize];
  Tss tss;
  uint64_t gdt[5];
};
CpuTables bootTables;
CpuTables *tablesOf[kMaxCpus] = {&bootTables};
alignas(16) Gate64 idt[256];

struct FsgsbaseSite {
  uint64_t address;
  uint64_t routine;
};
extern "C" const FsgsbaseSite osv_fsgsbase_start[], osv_fsgsbase_end[];
extern "C" void osv_gate_syscall();

uint64_t readCr0() {
  uint64_t v;
  asm volatile("movq %%cr0, %0" : "=r"(v));
  return v;
}
void writeCr0(uint64_t v) { asm volatile("movq %0, %%cr0" ::"r"(v)); }
uint64_t readCr4() {
  uint64_t v;
  asm volatile("movq %%cr4, %0" : "=r"(v));
  return v;
}
void writeCr4(uint64_t v) { asm volatile("movq %0, %%cr4" ::"r"(v)); }

void fillIdt() {
  for (unsigned v = 0; v < 256; v++) {
    uint64_t entry = reinterpret_cast<uint64_t>(osv_vectors) + 16 * v;
    uint8_t ist = v == 2 ? 2 : v == 8 ? 3 : v == 18 ? 4 : 1;
    idt[v] = {static_cast<uint16_t>(entry),
              SELECTOR_CODE,
              ist,
              0x8e,
              static_cast<uint16_t>(entry >> 16),
              static_cast<uint32_t>(entry >> 32),
              0};
  }
}

} // namespace

/// QEMU 7.2's emulation offers XSAVE on models that lack all of its extensions (Opteron_G5), and hangs when CR4.OSXSAVE
/// is set.
static bool isBrokenXsave() {
  CpuidResult monitor = cpuid(0x40000000);
  bool isTcg = monitor.ebx == 0x54474354 && monitor.ecx == 0x43544743 && monitor.edx == 0x47435447; // "TCGTCGTCGTCG"
  return isTcg && cpuid(0xd, 1).eax == 0;
}

void detectFeatures() {
  uint32_t maxLeaf = cpuid(0).eax;
  CpuidResult one = cpuid(1);
  CpuidResult seven = maxLeaf >= 7 ? cpuid(7) : CpuidResult{};
  CpuidResult extended = cpuid(0x80000001);
  features.fsgsbase = seven.ebx & 1;
  features.xsave = (one.ecx & (1u << 26)) && !isBrokenXsave();
  features.rdrand = one.ecx & (1u << 30);
  features.rdseed = seven.ebx & (1u << 18);
  features.tscDeadline = one.ecx & (1u << 24);
  features.x2apic = one.ecx & (1u << 21);
  features.pages1G = extended.edx & (1u << 26);
  features.rdtscp = extended.edx & (1u << 27);
  features.invariantTsc = cpuid(0x80000000).eax >= 0x80000007 && (cpuid(0x80000007).edx & (1u << 8));
  features.xcr0 = 3;
  features.fpuSize = 512;
  if (features.xsave) {
    CpuidResult state = cpuid(0xd, 0);
    uint64_t supported = (uint64_t{state.edx} << 32) | state.eax;
    features.xcr0 = supported & 7; // x87, SSE, AVX
    if ((supported & 0xe0) == 0xe0 && (features.xcr0 & 4))
      features.xcr0 |= 0xe0; // AVX-512: opmask and both halves, or nothing (SDM 1, 13.3)
    features.avx = features.xcr0 & 4;
    features.avx512 = features.xcr0 & 0xe0;
    features.xsaveopt = cpuid(0xd, 1).eax & 1;
  }
  if (features.fsgsbase)
    return;
  // e8 rel32 in the place of the five-byte instruction; see Macros.inc.
  for (const FsgsbaseSite *s = osv_fsgsbase_start; s != osv_fsgsbase_end; s++) {
    auto *code = reinterpret_cast<uint8_t *>(s->address);
    VERIFY(code[0] == 0xf3 && code[2] == 0x0f && code[3] == 0xae);
    auto rel = static_cast<int32_t>(s->routine - (s->address + 5));
    code[0] = 0xe8;
    __builtin_memcpy(code + 1, &rel, 4);
  }
}

bool allocCpuTables(unsigned cpu) {
  auto *tables = static_cast<CpuTables *>(heapAlloc(sizeof(CpuTables), 64));
  if (!tables)
    return false;
  __builtin_memset(tables, 0, sizeof *tables);
  tablesOf[cpu] = tables;
  return true;
}

void initCpu(unsigned cpu) {
  CpuTables *tables = tablesOf[cpu];
  if (cpu == 0)
    fillIdt();
  tables->tss.ist[0] = reinterpret_cast<uint64_t>(tables->ist1 + kIst1Size);
  for (unsigned i = 0; i < 3; i++)
    tables->tss.ist[1 + i] = reinterpret_cast<uint64_t>(tables->paranoid[i] + kParanoidSize);
  tables->tss.ioMap = sizeof(Tss);
  uint64_t base = reinterpret_cast<uint64_t>(&tables->tss);
  tables->gdt[1] = 0x00af9b000000ffff;
  tables->gdt[2] = 0x00cf93000000ffff;
  tables->gdt[3] =
      (sizeof(Tss) - 1) | ((base & 0xffffff) << 16) | (uint64_t{0x89} << 40) | (((base >> 24) & 0xff) << 56);
  tables->gdt[4] = base >> 32;
  TablePointer gdtr{sizeof tables->gdt - 1, reinterpret_cast<uint64_t>(tables->gdt)};
  TablePointer idtr{sizeof idt - 1, reinterpret_cast<uint64_t>(idt)};
  asm volatile("lgdt %0; lidt %1; ltr %w2" ::"m"(gdtr), "m"(idtr), "r"(SELECTOR_TSS) : "memory");
  asm volatile("movl %0, %%ds; movl %0, %%es; movl %0, %%ss" ::"r"(SELECTOR_DATA));
  asm volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:" ::"i"(SELECTOR_CODE) : "rax", "memory");

  // CR0: monitor coprocessor, native x87 errors, write protection in ring 0; no EM, no TS. AM has no effect in ring 0.
  writeCr0((readCr0() & ~uint64_t{0xc}) | 0x10022);
  uint64_t cr4 = readCr4() | (1u << 7) | (1u << 9) | (1u << 10); // PGE, OSFXSR, OSXMMEXCPT
  if (features.fsgsbase)
    cr4 |= 1u << 16;
  if (features.xsave)
    cr4 |= 1u << 18;
  writeCr4(cr4);

  writeMsr(kMsrEfer, readMsr(kMsrEfer) | 1); // SCE
  writeMsr(kMsrStar, uint64_t{SELECTOR_CODE} << 32);
  writeMsr(kMsrLstar, reinterpret_cast<uint64_t>(osv_gate_syscall));
  writeMsr(kMsrSfmask, 0x44500); // AC, NT, DF, TF
  if (features.rdtscp)
    writeMsr(kMsrTscAux, cpu);
}

void initFpu() {
  if (features.xsave) {
    asm volatile("xsetbv" ::"c"(0), "a"(static_cast<uint32_t>(features.xcr0)),
                 "d"(static_cast<uint32_t>(features.xcr0 >> 32)));
    features.fpuSize = cpuid(0xd, 0).ebx; // for the XCR0 just set
  }
  asm volatile("fninit");
  alignas(16) char fx[512] = {};
  asm volatile("fxsave64 %0" : "=m"(fx));
  uint32_t mask;
  __builtin_memcpy(&mask, fx + 28, 4);
  features.mxcsrMask = mask ? mask : 0xffbf; // SDM 1, 11.6.6
  initSignalFrame();
}

void waitForInterrupt() { asm volatile("sti; hlt; cli" ::: "memory"); }

bool hardwareRandom(uint64_t &out) {
  for (unsigned tries = 0; tries < 16 && (features.rdseed || features.rdrand); tries++) {
    bool ok;
    if (features.rdseed)
      asm volatile("rdseed %0" : "=r"(out), "=@ccc"(ok));
    else
      asm volatile("rdrand %0" : "=r"(out), "=@ccc"(ok));
    if (ok)
      return true;
  }
  return false;
}

uint64_t hwcap() { return cpuid(1).edx; }
/// HWCAP2_RING3MWAIT and HWCAP2_FSGSBASE are Linux's two bits; neither is given (GS is the kernel's).
uint64_t hwcap2() { return 0; }

uint64_t fpuFeatures() { return features.xcr0; }
size_t fpuStateSize() { return features.fpuSize; }

void powerOff() {
  disableInterrupts();
  console::drain();
  out8(0xcf9, 0x0e); // PCI reset control
  for (unsigned i = 0; i < 1000 && (in8(0x64) & 2); i++)
    pause();
  out8(0x64, 0xfe); // keyboard controller
  TablePointer none{0, 0};
  asm volatile("lidt %0; int3" ::"m"(none)); // triple fault
  for (;;)
    asm volatile("hlt");
}

} // namespace osv::arch

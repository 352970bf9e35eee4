// SPDX-License-Identifier: BSD-3-Clause
//
// More than one processor: finding them (ACPI's MADT, else QEMU's fw_cfg), starting them one by one (INIT, SIPI, SIPI;
// SDM 3, 9.4.4), and inter-processor interrupts. A processor counts as up when it is about to enter the scheduler.
#include "arch/x64/Smp.h"
#include "arch/x64/Clock.h"
#include "arch/x64/Cpu.h"
#include "arch/x64/Mmu.h"
#include "kernel/arch/Clock.h"
#include "kernel/arch/Context.h"
#include "kernel/arch/Mmu.h"
#include "kernel/lib/Log.h"
#include "kernel/lib/SpinLock.h"
#include "kernel/sched/Scheduler.h"
#include <atomic>

namespace osv::arch {
namespace {

inline constexpr PAddr kTrampoline{0x8000};
inline constexpr Nanos kStartTimeout = 1'000'000'000;

extern "C" {
extern char osv_trampoline[], osv_trampoline_end[], osv_trampoline_cr3[], osv_trampoline_context[],
    osv_trampoline_cpu[];
}

std::atomic<unsigned> up{1};
PAddr acpiRoot;
uint8_t apicIds[kMaxCpus];

// ---- Finding them.

struct [[gnu::packed]] AcpiHeader {
  char signature[4];
  uint32_t length;
  char rest[28];
};
struct [[gnu::packed]] Rsdp {
  char signature[8];
  uint8_t checksum;
  char oem[6];
  uint8_t revision;
  uint32_t rsdt;
};

/// Tables lie in RAM or in reserved memory that the direct map does not show; map them for the look.
const void *acpiMap(uint64_t p, size_t n) {
  PAddr first = PAddr(p).pageDown();
  auto mapped = mapDevice(first, roundUp(p + n - first.value, kPageSize));
  return mapped.ok() ? const_cast<char *>(static_cast<volatile char *>(*mapped)) + (p - first.value) : nullptr;
}

/// Fills apicIds with the enabled processors of the MADT, the boot processor first. 0: no table.
unsigned findByAcpi(PAddr rsdpAddr, uint8_t bootId) {
  if (!rsdpAddr.value)
    return 0;
  auto *rsdp = static_cast<const Rsdp *>(acpiMap(rsdpAddr.value, sizeof(Rsdp)));
  if (!rsdp || __builtin_memcmp(rsdp->signature, "RSD PTR ", 8) != 0)
    return 0;
  auto *rsdt = static_cast<const AcpiHeader *>(acpiMap(rsdp->rsdt, kPageSize));
  if (!rsdt || __builtin_memcmp(rsdt->signature, "RSDT", 4) != 0)
    return 0;
  unsigned tables = rsdt->length > kPageSize ? 0 : static_cast<unsigned>((rsdt->length - sizeof(AcpiHeader)) / 4);
  for (unsigned i = 0; i < tables; i++) {
    uint32_t addr;
    __builtin_memcpy(&addr, reinterpret_cast<const char *>(rsdt) + sizeof(AcpiHeader) + 4 * i, 4);
    auto *madt = static_cast<const AcpiHeader *>(acpiMap(addr, kPageSize));
    if (!madt || __builtin_memcmp(madt->signature, "APIC", 4) != 0 || madt->length > kPageSize)
      continue;
    unsigned count = 0;
    apicIds[count++] = bootId;
    auto *bytes = reinterpret_cast<const uint8_t *>(madt);
    for (uint32_t at = sizeof(AcpiHeader) + 8; at + 8 <= madt->length && bytes[at + 1] >= 2; at += bytes[at + 1])
      if (bytes[at] == 0 && (bytes[at + 4] & 1) && bytes[at + 3] != bootId &&
          count < kMaxCpus) // processor local APIC, enabled
        apicIds[count++] = bytes[at + 3];
    return count;
  }
  return 0;
}

/// QEMU's firmware configuration device: selector 0 is its signature, 5 the number of processors.
unsigned findByFwCfg(uint8_t bootId) {
  out16(0x510, 0);
  char signature[4];
  for (char &c : signature)
    c = static_cast<char>(in8(0x511));
  if (__builtin_memcmp(signature, "QEMU", 4) != 0)
    return 1;
  out16(0x510, 5);
  unsigned count = in8(0x511);
  count |= in8(0x511) << 8;
  count = count > kMaxCpus ? kMaxCpus : count;
  apicIds[0] = bootId;
  for (unsigned cpu = 1, id = 0; cpu < count; id++)
    if (id != bootId)
      apicIds[cpu++] = static_cast<uint8_t>(id);
  return count ? count : 1;
}

// ---- Starting them.

void spin(Nanos ns) {
  for (Nanos end = now() + ns; now() < end;)
    pause();
}

/// Starts one; false when it does not come up.
bool startCpu(unsigned cpu) {
  ThreadContext *context = createBootContext(cpu);
  if (!context || !allocCpuTables(cpu))
    return false;
  auto *page = static_cast<char *>(directMap(kTrampoline));
  auto put = [&](const char *symbol, uint64_t v) { __builtin_memcpy(page + (symbol - osv_trampoline), &v, 8); };
  put(osv_trampoline_cr3, PageTable::boot().root().value);
  put(osv_trampoline_context, reinterpret_cast<uint64_t>(context));
  put(osv_trampoline_cpu, cpu);
  unsigned before = up.load();
  sendInit(apicIds[cpu]);
  spin(200'000); // the architecture asks for 10 ms on processors of the nineties; virtual ones need none
  for (unsigned tries = 0; tries < 2; tries++) {
    sendStartup(apicIds[cpu], static_cast<uint8_t>(kTrampoline.value >> kPageShift));
    for (Nanos end = now() + (tries ? kStartTimeout : 10'000'000); now() < end;) {
      if (up.load(std::memory_order_acquire) != before)
        return true;
      pause();
    }
  }
  return false;
}

// ---- Calls.

SpinLock callLock;
struct {
  void (*fn)(void *) = nullptr;
  void *arg = nullptr;
  std::atomic<unsigned> pending{0};
} call;

} // namespace

/// A further processor, on the stack and block that createBootContext made; interrupts off. The first of two calls from
/// trampoline.S, without thread-local storage in the `fs` model.
extern "C" OSV_PRE_SWITCH void osv_init_ap(unsigned cpu) {
  initCpu(cpu);
  loadKernelTls();
}

/// The second, with everything in place.
extern "C" [[noreturn]] void osv_ap(unsigned cpu) {
  initFpu();
  initApic();
  initApicTimer();
  up.fetch_add(1, std::memory_order_release);
  enterSchedulerOnCpu(cpu);
}

void setAcpiRoot(PAddr rsdp) { acpiRoot = rsdp; }

void startOtherCpus() {
  uint8_t bootId = apicId();
  unsigned count = findByAcpi(acpiRoot, bootId);
  if (!count)
    count = findByFwCfg(bootId);
  if (count < 2)
    return;
  VERIFY(osv_trampoline_end - osv_trampoline <= static_cast<long>(kPageSize) &&
         PageTable::boot().root().value < (1ull << 32));
  __builtin_memcpy(directMap(kTrampoline), osv_trampoline, static_cast<size_t>(osv_trampoline_end - osv_trampoline));
  PageTable table = PageTable::boot();
  VERIFY(table.map(VAddr(kTrampoline.value), kTrampoline, Prot::ReadExec).ok());
  for (unsigned cpu = 1; cpu < count; cpu++)
    if (!startCpu(cpu)) {
      log(LogLevel::Error, "processor {} (APIC id {}) does not start; going on with {}", cpu, apicIds[cpu], cpu);
      break;
    }
  enableInterrupts(); // for the TLB shoot-down
  (void)table.unmap(VAddr(kTrampoline.value), kPageSize, nullptr, nullptr);
  disableInterrupts();
  log(LogLevel::Info, "{} processors", up.load());
}

unsigned cpuCount() { return up.load(std::memory_order_relaxed); }

void sendRescheduleIpi(unsigned cpu) {
  VERIFY(cpu < kMaxCpus);
  sendIpi(apicIds[cpu], kVectorReschedule);
}

void callOnAllCpus(void (*fn)(void *), void *arg) {
  VERIFY(interruptsEnabled()); // or two callers would wait for each other for ever
  PreemptGuard here;
  auto callHere = [&] {
    IrqGuard off;
    fn(arg);
  };
  if (cpuCount() == 1)
    return callHere();
  callLock.lockRaw();
  call.fn = fn;
  call.arg = arg;
  call.pending.store(cpuCount() - 1, std::memory_order_release);
  for (unsigned cpu = 0; cpu < cpuCount(); cpu++)
    if (cpu != gate().cpu)
      sendIpi(apicIds[cpu], kVectorCall);
  callHere();
  while (call.pending.load(std::memory_order_acquire) != 0)
    pause();
  callLock.unlockRaw();
}

void callInterrupt() {
  call.fn(call.arg);
  call.pending.fetch_sub(1, std::memory_order_release);
}

} // namespace osv::arch

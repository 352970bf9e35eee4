// SPDX-License-Identifier: BSD-3-Clause
//
// Local APIC (timer, inter-processor interrupts, end of interrupt), I/O APIC (device interrupts), and putting the old
// PICs to sleep. SDM volume 3, chapter 11 (local APIC); 82093AA data sheet (I/O APIC). xAPIC by memory-mapped
// registers: every monitor has it.
#include "arch/x64/Cpu.h"
#include "arch/x64/Smp.h"
#include "kernel/arch/Clock.h"
#include "kernel/arch/Irq.h"
#include "kernel/arch/Mmu.h"
#include "kernel/lib/Log.h"
#include "kernel/lib/SpinLock.h"

namespace osv::arch {
namespace {

enum ApicRegister : uint32_t {
  kId = 0x20,
  kTpr = 0x80,
  kEoi = 0xb0,
  kSpurious = 0xf0,
  kIcrLow = 0x300,
  kIcrHigh = 0x310,
  kLvtTimer = 0x320,
  kLvtLint0 = 0x350,
  kLvtLint1 = 0x360,
  kLvtError = 0x370,
  kTimerInitial = 0x380,
  kTimerCurrent = 0x390,
  kTimerDivide = 0x3e0,
};
inline constexpr uint32_t kMasked = 1u << 16, kApicEnable = 1u << 8;
inline constexpr uint64_t kIoApicBase = 0xfec00000; // where PIIX, ICH9 and microvm have the first one
inline constexpr unsigned kMaxGsi = 24;

volatile uint32_t *apic;
volatile uint32_t *ioApic;
SpinLock ioApicLock;
/// LAPIC timer ticks per nanosecond, 32.32 fixed point.
uint64_t ticksPerNano;

uint32_t read(uint32_t reg) { return apic[reg / 4]; }
void write(uint32_t reg, uint32_t v) { apic[reg / 4] = v; }

void ioApicWrite(uint32_t reg, uint32_t v) {
  ioApic[0] = reg;
  ioApic[4] = v;
}

struct IrqHandler {
  void (*fn)(void *) = nullptr;
  void *arg = nullptr;
};
IrqHandler handlers[kMaxGsi];

} // namespace

void initApic() {
  if (!apic) {
    out8(0x21, 0xff); // both 8259s: everything masked
    out8(0xa1, 0xff);
    auto local = mapDevice(PAddr(readMsr(kMsrApicBase) & 0xffff'ffff'f000), kPageSize);
    auto io = mapDevice(PAddr(kIoApicBase), kPageSize);
    VERIFY(local.ok() && io.ok());
    apic = static_cast<volatile uint32_t *>(*local);
    ioApic = static_cast<volatile uint32_t *>(*io);
  }
  writeMsr(kMsrApicBase, readMsr(kMsrApicBase) | (1u << 11));
  write(kTpr, 0);
  write(kLvtLint0, kMasked);
  write(kLvtLint1, kMasked);
  write(kLvtError, kMasked);
  write(kSpurious, kApicEnable | kVectorSpurious);
}

namespace {

struct TimerSample {
  Nanos time;
  uint32_t count;
  Nanos cost; ///< how long the read took: twice the uncertainty of `time`
};
TimerSample sampleTimer() {
  TimerSample best{0, 0, kForever};
  for (unsigned i = 0; i < 3; i++) {
    Nanos before = now();
    uint32_t count = read(kTimerCurrent);
    Nanos after = now();
    if (after - before < best.cost)
      best = {before + (after - before) / 2, count, after - before};
  }
  return best;
}

/// The timer's rate against the clock: 100 us give 1 % even when a read costs a microsecond under emulation; a timer
/// that fires early is only armed again. A host that takes the processor away during a read spoils the try, and it is
/// made again.
uint64_t measureTimer() {
  for (unsigned tries = 0; tries < 500; tries++) {
    write(kTimerInitial, ~0u);
    TimerSample start = sampleTimer(), end = start;
    while (end.time - start.time < 100'000)
      end = sampleTimer();
    Nanos elapsed = end.time - start.time;
    if (start.cost + end.cost < elapsed / 25 && elapsed < 1'000'000'000)
      return (uint64_t{start.count - end.count} << 32) / static_cast<uint64_t>(elapsed);
  }
  return 0;
}

} // namespace

void initApicTimer() {
  if (!ticksPerNano) {
    write(kTimerDivide, 0xb);                 // by 1
    write(kLvtTimer, kMasked | kVectorTimer); // one-shot
    ticksPerNano = measureTimer();
    write(kTimerInitial, 0);
    VERIFY(ticksPerNano != 0);
  }
  write(kTimerDivide, 0xb);
  write(kLvtTimer, kVectorTimer);
}

void setTimer(Nanos deadline) {
  if (deadline == kForever)
    return write(kTimerInitial, 0);
  Nanos delta = deadline - now();
  uint64_t ticks = 1;
  if (delta > 0) {
    auto wide = static_cast<unsigned __int128>(static_cast<uint64_t>(delta)) * ticksPerNano >> 32;
    ticks = wide > 0xffff'fff0 ? 0xffff'fff0
                               : static_cast<uint64_t>(wide) + 1; // a far deadline is armed again when it fires
  }
  write(kTimerInitial, static_cast<uint32_t>(ticks));
}

void endOfInterrupt() { write(kEoi, 0); }

uint8_t apicId() { return static_cast<uint8_t>(read(kId) >> 24); }

namespace {
void sendCommand(uint8_t id, uint32_t low) {
  IrqGuard off; // two registers
  write(kIcrHigh, uint32_t{id} << 24);
  write(kIcrLow, low);
  while (read(kIcrLow) & (1u << 12)) // not yet accepted
    pause();
}
} // namespace

void sendIpi(uint8_t id, uint8_t vector) { sendCommand(id, 0x4000 | vector); }
void sendInit(uint8_t id) { sendCommand(id, 0x4500); }
void sendStartup(uint8_t id, uint8_t page) { sendCommand(id, 0x4600 | page); }

Result<void> requestIrq(unsigned line, void (*fn)(void *), void *arg) {
  if (line >= kMaxGsi)
    return Errno::Inval;
  IrqSpinGuard g(ioApicLock);
  if (handlers[line].fn)
    return Errno::Busy;
  handlers[line] = {fn, arg};
  // Edge, active high, fixed delivery to the boot CPU. ISA interrupts but IRQ 0 keep their number on every machine we
  // know.
  ioApicWrite(0x10 + 2 * line + 1, read(kId) & 0xff000000);
  ioApicWrite(0x10 + 2 * line, kVectorIrqBase + line);
  return {};
}

void dispatchIrq(unsigned gsi) {
  if (gsi < kMaxGsi && handlers[gsi].fn)
    handlers[gsi].fn(handlers[gsi].arg);
}

} // namespace osv::arch

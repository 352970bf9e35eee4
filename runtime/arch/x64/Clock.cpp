// SPDX-License-Identifier: BSD-3-Clause
//
// The clock: the time-stamp counter, scaled to nanoseconds, and where its frequency and the time of day come from.
//
// Frequency, in order of trust: QEMU's instruction counter (the TSC then shows virtual nanoseconds, so it is 1 GHz by
// definition), the hypervisor's page (kvmclock), the hypervisor's leaf 0x40000010, CPUID 0x15, and else a measurement
// against the PIT.
//
// The measurement. Channel 2 counts down from 65536 at 1.193182 MHz, for ever, and is latched and read again and again
// for 1 ms. A read says "the count changed to c at some time around this TSC value" with an error of one count (838 ns)
// and the time of the port access. A line fitted through some hundred reads averages that away (< 100 ppm); reads that
// took long are dropped, so a descheduled host does no harm. Because the counter is never reprogrammed, the frequency
// is measured again later over the whole time since boot (refineClock): after 4 s the error is below 1 ppm. The
// correction changes the rate from that moment on and never steps the clock.
//
// The clock's state lives in the vDSO's data page, and the kernel reads the same words as the program does.
#include "arch/x64/Clock.h"
#include "arch/x64/ClockMath.h"
#include "arch/x64/Cpu.h"
#include "kernel/arch/Cpu.h"
#include "kernel/arch/Mmu.h"
#include "kernel/lib/Log.h"
#include "kernel/lib/SpinLock.h"
#include <linux/time.h>

namespace osv::arch {

alignas(4096) constinit VdsoDataPage osv_vdso_data{};
extern "C" const char osv_vdso_start[], osv_vdso_end[]; // vdso-image.S

namespace {

SpinLock clockLock; ///< serialises writers of osv_vdso_data; interrupts off
uint64_t frequency;
Nanos realtimeAtBoot;
bool exact; ///< the frequency is known, not measured

/// A read of the PIT that the later refinement starts from.
struct PitSample {
  uint64_t tsc;
  uint64_t cost; ///< TSC ticks that the read took: the uncertainty of `tsc`
  uint16_t count;
};
PitSample firstSample;
unsigned refinements;

uint64_t orderedTsc() {
  asm volatile("lfence" ::: "memory"); // not before earlier loads: another CPU's time stamp may be among them
  return readTsc();
}

uint32_t beginUpdate(VdsoData &d) {
  uint32_t s = __atomic_load_n(&d.sequence, __ATOMIC_RELAXED);
  __atomic_store_n(&d.sequence, s + 1, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return s;
}
void endUpdate(VdsoData &d, uint32_t s) { __atomic_store_n(&d.sequence, s + 2, __ATOMIC_RELEASE); }

void setRealtimeOffset(VdsoData &d, Nanos offset) {
  for (int clock : {CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_REALTIME_ALARM, CLOCK_TAI})
    __atomic_store_n(&d.offsets[clock], offset, __ATOMIC_RELAXED);
}

// ---- PIT, channel 2: its gate is in port 0x61, its output goes nowhere

constexpr uint16_t kPitChannel2 = 0x42, kPitCommand = 0x43, kPortB = 0x61;

void startPit() {
  out8(kPortB, static_cast<uint8_t>((in8(kPortB) & ~2) | 1)); // gate on, speaker off
  out8(kPitCommand, 0xb4);                                    // channel 2, low then high byte, rate generator
  out8(kPitChannel2, 0);
  out8(kPitChannel2, 0); // 65536
}

PitSample readPit() {
  uint64_t before = readTsc();
  out8(kPitCommand, 0x80); // latch: this is the moment that is sampled
  uint64_t after = readTsc();
  uint8_t lo = in8(kPitChannel2);
  uint8_t hi = in8(kPitChannel2);
  return {before + (after - before) / 2, after - before, static_cast<uint16_t>(hi << 8 | lo)};
}

PitSample bestPitSample() {
  PitSample best = readPit();
  for (int i = 0; i < 7; i++)
    if (PitSample s = readPit(); s.cost < best.cost)
      best = s;
  return best;
}

/// One try over about a millisecond. 0 when the counter does not count, or when the processor was taken away for so
/// long (a busy host) that the counter may have come round, or for so often that too few reads are good.
uint64_t tryMeasureFrequency() {
  constexpr unsigned kMaxSamples = 512, kFewSamples = 16;
  constexpr uint64_t kWindow = kPitHz / 1000;
  constexpr uint64_t kTooLong =
      1 << 26; // LineFit's limit; 55 ms, when the counter comes round, are more at 1.2 GHz and above
  firstSample = bestPitSample();
  LineFit fit;
  uint64_t best = firstSample.cost;
  for (unsigned i = 0; i < 4 * kMaxSamples && fit.count() < kMaxSamples; i++) {
    PitSample s = readPit();
    if (s.tsc - firstSample.tsc >= kTooLong)
      return 0;
    uint64_t elapsed = static_cast<uint16_t>(firstSample.count - s.count);
    best = s.cost < best ? s.cost : best;
    if (s.cost <= 4 * best)
      fit.add(s.tsc - firstSample.tsc, elapsed);
    if (elapsed >= kWindow && elapsed < 0xff00)
      break;
  }
  return fit.count() >= kFewSamples ? fit.slope(kPitHz) : 0;
}

/// 0 when the counter does not count.
uint64_t measureFrequency() {
  startPit();
  for (unsigned i = 0; i < 500; i++)
    if (uint64_t f = tryMeasureFrequency(); f >= 10'000'000)
      return f;
  return 0;
}

// ---- Sources that know the frequency

struct Hypervisor {
  uint32_t maxLeaf = 0;
  bool kvm = false, tcg = false;
};

Hypervisor findHypervisor() {
  Hypervisor h;
  if (!(cpuid(1).ecx >> 31))
    return h;
  CpuidResult r = cpuid(0x40000000);
  h.maxLeaf = r.eax;
  h.kvm = r.ebx == 0x4b4d564b && r.ecx == 0x564b4d56 && r.edx == 0x4d;       // "KVMKVMKVM\0\0\0"
  h.tcg = r.ebx == 0x54474354 && r.ecx == 0x43544743 && r.edx == 0x47435447; // "TCGTCGTCGTCG"
  return h;
}

/// Ticks of the TSC across a straight line of N + 2 instructions; one block, so that the compiler puts nothing between.
template <unsigned N> uint32_t ticksAcross() {
  uint32_t ticks;
  asm volatile("rdtsc\n\tmovl %%eax, %%ecx\n\t.rept %c1\n\tnop\n\t.endr\n\trdtsc\n\tsubl %%ecx, %%eax"
               : "=a"(ticks)
               : "i"(N)
               : "ecx", "edx", "cc");
  return ticks;
}

/// Under `-icount` the TSC advances by exactly 2^shift for each instruction. No other machine makes three straight
/// lines of different length cost exactly their number of instructions.
bool countsInstructions() {
  uint32_t a = ticksAcross<16>(), b = ticksAcross<48>(), c = ticksAcross<144>();
  uint32_t perNop = (b - a) / 32;
  return perNop != 0 && b - a == perNop * 32 && c - b == perNop * 96 && (perNop & (perNop - 1)) == 0 &&
         a == perNop * 18;
}

constexpr uint32_t kKvmFeatures = 0x40000001, kKvmWallClock = 0x4b564d00, kKvmSystemTime = 0x4b564d01;
alignas(64) PvclockPage pvclock;
alignas(64) PvclockWall pvclockWall;

PAddr physicalOf(const void *p) {
  Mapping m;
  VAddr v(reinterpret_cast<uint64_t>(p));
  VERIFY(PageTable::boot().query(v, m));
  return m.phys.pageDown() + v.pageOffset();
}

/// Asks KVM for its time page once, takes frequency and time of day from it, and turns it off again: with a stable TSC
/// nothing more is needed, and with an unstable one (no flag) the page is not used at all.
bool readKvmClock() {
  constexpr uint32_t kNewClock = 1u << 3, kStable = 1u << 24;
  CpuidResult features = cpuid(kKvmFeatures);
  if (!(features.eax & kNewClock) || !(features.eax & kStable))
    return false;
  writeMsr(kKvmSystemTime, physicalOf(&pvclock).value | 1);
  writeMsr(kKvmWallClock, physicalOf(&pvclockWall).value);
  writeMsr(kKvmSystemTime, 0);
  if ((pvclock.version & 1) || !(pvclock.flags & kPvclockTscStable))
    return false;
  frequency = pvclockHz(pvclock);
  if (frequency == 0)
    return false;
  realtimeAtBoot =
      static_cast<Nanos>(pvclockWall.sec * 1'000'000'000ull + pvclockWall.nsec + pvclockNanos(pvclock, readTsc()));
  return true;
}

uint64_t frequencyFromCpuid(const Hypervisor &h) {
  if (h.maxLeaf >= 0x40000010)
    if (uint64_t khz = cpuid(0x40000010).eax)
      return khz * 1000;
  if (cpuid(0).eax < 0x15)
    return 0;
  CpuidResult ratio = cpuid(0x15); // TSC = crystal (ecx) * ebx / eax
  if (ratio.eax == 0 || ratio.ebx == 0 || ratio.ecx == 0)
    return 0;
  return uint64_t{ratio.ecx} * ratio.ebx / ratio.eax;
}

// ---- Time of day

uint8_t readCmos(uint8_t index) {
  out8(0x70, static_cast<uint8_t>(0x80 | index)); // bit 7: NMI off, as the firmware leaves it
  return in8(0x71);
}

RtcRegisters readRtcRegisters() {
  return {readCmos(0), readCmos(2), readCmos(4), readCmos(7), readCmos(8), readCmos(9), readCmos(0x32), readCmos(0x0b)};
}

/// Waits only when an update is under way or about to begin (< 2.3 ms, one boot in four hundred), never for the next
/// second.
Nanos readRtc() {
  constexpr uint8_t kUpdateInProgress = 0x80;
  for (unsigned attempt = 0; attempt < 100'000; attempt++) {
    if (readCmos(0x0a) & kUpdateInProgress)
      continue;
    RtcRegisters r = readRtcRegisters();
    if (r != readRtcRegisters())
      continue;
    if (auto seconds = decodeRtc(r))
      return *seconds * 1'000'000'000;
    break;
  }
  log(LogLevel::Warn, "clock: no usable RTC; the time of day starts at 1970");
  return 0;
}

} // namespace

[[gnu::cold]] void initClock() {
  Hypervisor hypervisor = findHypervisor();
  const char *source = "kvmclock";
  exact = true;
  if (hypervisor.tcg && countsInstructions()) {
    frequency = 1'000'000'000;
    source = "instruction counter";
  } else if (!(hypervisor.kvm && readKvmClock())) {
    frequency = frequencyFromCpuid(hypervisor);
    source = "CPUID";
    if (frequency == 0) {
      frequency = measureFrequency();
      source = "PIT";
      exact = false;
    }
  }
  if (frequency < 10'000'000)
    panic("clock: no source of time: neither CPUID nor a PIT tells the frequency of the TSC");

  VdsoData &d = osv_vdso_data.data;
  uint64_t tsc = orderedTsc();
  d.factor = clockFactor(frequency);
  // Time 0 lies a little before now, so that no program ever reads 0, which some take for "not set".
  d.baseTsc = tsc - frequency / 1000;
  d.baseNanos = 0;
  if (realtimeAtBoot == 0)
    realtimeAtBoot = readRtc();
  realtimeAtBoot -= 1'000'000;
  setRealtimeOffset(d, realtimeAtBoot);
  log(LogLevel::Debug, "clock: TSC {} kHz ({})", frequency / 1000, source);
}

Nanos now() {
  const VdsoData &d = osv_vdso_data.data;
  for (;;) {
    uint32_t s = __atomic_load_n(&d.sequence, __ATOMIC_ACQUIRE);
    uint64_t delta = orderedTsc() - d.baseTsc;
    if (static_cast<int64_t>(delta) < 0) [[unlikely]]
      delta = 0; // another CPU moved the base after our TSC read
    Nanos t = d.baseNanos + static_cast<Nanos>(scaleTicks(delta, d.factor));
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (!(s & 1) && __atomic_load_n(&d.sequence, __ATOMIC_RELAXED) == s) [[likely]]
      return t;
    pause();
  }
}

Ticks nanosToTicks(Nanos span) { return static_cast<Ticks>(nanosToTicks(static_cast<uint64_t>(span), frequency)); }

Nanos timeOfTicks(Ticks t) {
  const VdsoData &d = osv_vdso_data.data;
  for (;;) {
    uint32_t s = __atomic_load_n(&d.sequence, __ATOMIC_ACQUIRE);
    Ticks span = t - static_cast<Ticks>(d.baseTsc);
    Nanos time = d.baseNanos + (span > 0 ? ticksToNanos(span) : -ticksToNanos(-span));
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (!(s & 1) && __atomic_load_n(&d.sequence, __ATOMIC_RELAXED) == s) [[likely]]
      return time;
    pause();
  }
}

[[gnu::cold]] Nanos refineClock() {
  if (exact)
    return kForever;
  PitSample s = bestPitSample();
  uint64_t ticks = s.tsc - firstSample.tsc;
  uint64_t expected = mulDiv(ticks, kPitHz, frequency);
  uint64_t counted = unwrapPit(firstSample.count, s.count, expected);
  uint64_t measured = counted > ticks / 4096 / 4096 ? mulDiv(ticks, kPitHz, counted) : 0;
  // A virtual machine that was stopped for a while may have lost one clock and not the other: believe small corrections
  // only.
  uint64_t off = measured > frequency ? measured - frequency : frequency - measured;
  if (s.cost < frequency / 10'000 && off < frequency / 1000) {
    IrqSpinGuard guard(clockLock);
    VdsoData &d = osv_vdso_data.data;
    uint32_t sequence = beginUpdate(d);
    uint64_t tsc = orderedTsc();
    d.baseNanos += static_cast<Nanos>(scaleTicks(tsc - d.baseTsc, d.factor));
    d.baseTsc = tsc;
    d.factor = clockFactor(measured);
    endUpdate(d, sequence);
    frequency = measured;
  }
  constexpr Nanos kSecond = 1'000'000'000;
  constexpr Nanos kNext[] = {4 * kSecond, 60 * kSecond};
  return refinements < 2 ? now() + kNext[refinements++] : kForever;
}

void publishVdsoClock(Nanos realtimeOffset) {
  IrqSpinGuard guard(clockLock);
  VdsoData &d = osv_vdso_data.data;
  uint32_t sequence = beginUpdate(d);
  setRealtimeOffset(d, realtimeOffset);
  endUpdate(d, sequence);
}

void publishVdsoCpu() {
  VdsoData &d = osv_vdso_data.data;
  bool rdpid = cpuid(0).eax >= 7 && (cpuid(7).ecx >> 22 & 1);
  d.cpuSource = features.rdtscp ? rdpid ? kCpuRdpid : kCpuRdtscp : cpuCount() == 1 ? kCpuZero : kCpuSyscall;
}

VdsoImage vdsoImage() { return {&osv_vdso_data, osv_vdso_start, static_cast<size_t>(osv_vdso_end - osv_vdso_start)}; }

Nanos bootRealtime() { return realtimeAtBoot; }
uint64_t tscHz() { return frequency; }

uint64_t tscAt(Nanos t) {
  const VdsoData &d = osv_vdso_data.data;
  if (t == kForever)
    return ~0ull;
  for (;;) {
    uint32_t s = __atomic_load_n(&d.sequence, __ATOMIC_ACQUIRE);
    uint64_t tsc =
        d.baseTsc + (t > d.baseNanos ? nanosToTicks(static_cast<uint64_t>(t - d.baseNanos), frequency) + 1 : 0);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (!(s & 1) && __atomic_load_n(&d.sequence, __ATOMIC_RELAXED) == s) [[likely]]
      return tsc;
  }
}

} // namespace osv::arch

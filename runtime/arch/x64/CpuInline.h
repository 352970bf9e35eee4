// SPDX-License-Identifier: BSD-3-Clause
//
// The inline half of kernel/arch/Cpu.h for x86-64, and the privileged instructions that arch/x64 itself uses.
#pragma once
#include <cstddef>
#include <cstdint>

namespace osv::arch {

inline constexpr uint64_t kFlagIf = 1u << 9;

inline IrqFlags readFlags() {
  IrqFlags f;
  asm volatile("pushfq; popq %0" : "=r"(f)::"memory");
  return f;
}
inline bool interruptsEnabled() { return readFlags() & kFlagIf; }
inline void disableInterrupts() { asm volatile("cli" ::: "memory"); }
inline void enableInterrupts() { asm volatile("sti" ::: "memory"); }
inline IrqFlags saveAndDisableInterrupts() {
  IrqFlags f = readFlags();
  disableInterrupts();
  return f;
}
inline bool restoreInterrupts(IrqFlags f) {
  if (!(f & kFlagIf))
    return false;
  enableInterrupts();
  return true;
}
inline void pause() { asm volatile("pause"); }

inline void out8(uint16_t port, uint8_t v) { asm volatile("outb %0, %1" ::"a"(v), "Nd"(port)); }
/// `n` bytes to or from one port, with one instruction.
inline void outBytes(uint16_t port, const void *p, size_t n) {
  asm volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(port) : "memory");
}
inline void inBytes(uint16_t port, void *p, size_t n) {
  asm volatile("rep insb" : "+D"(p), "+c"(n) : "d"(port) : "memory");
}
inline void out16(uint16_t port, uint16_t v) { asm volatile("outw %0, %1" ::"a"(v), "Nd"(port)); }
inline void out32(uint16_t port, uint32_t v) { asm volatile("outl %0, %1" ::"a"(v), "Nd"(port)); }
inline uint8_t in8(uint16_t port) {
  uint8_t v;
  asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
  return v;
}
inline uint16_t in16(uint16_t port) {
  uint16_t v;
  asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
  return v;
}
inline uint32_t in32(uint16_t port) {
  uint32_t v;
  asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
  return v;
}
inline uint64_t readMsr(uint32_t msr) {
  uint32_t lo, hi;
  asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
  return (uint64_t{hi} << 32) | lo;
}
inline void writeMsr(uint32_t msr, uint64_t v) {
  asm volatile("wrmsr" ::"c"(msr), "a"(static_cast<uint32_t>(v)), "d"(static_cast<uint32_t>(v >> 32)) : "memory");
}
inline uint64_t readTsc() {
  uint32_t lo, hi;
  asm volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
  return (uint64_t{hi} << 32) | lo;
}
struct CpuidResult {
  uint32_t eax, ebx, ecx, edx;
};
inline CpuidResult cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  CpuidResult r;
  asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
  return r;
}
inline uint64_t readCr2() {
  uint64_t v;
  asm volatile("movq %%cr2, %0" : "=r"(v));
  return v;
}
inline uint64_t readCr3() {
  uint64_t v;
  asm volatile("movq %%cr3, %0" : "=r"(v)::"memory");
  return v;
}
inline void writeCr3(uint64_t v) { asm volatile("movq %0, %%cr3" ::"r"(v) : "memory"); }
inline void flushPage(uint64_t v) { asm volatile("invlpg (%0)" ::"r"(v) : "memory"); }

} // namespace osv::arch

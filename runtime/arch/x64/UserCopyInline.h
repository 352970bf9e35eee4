// SPDX-License-Identifier: BSD-3-Clause
//
// The inline half of kernel/arch/UserCopy.h for x86-64: single accesses, each with a row in `.fixups` (usercopy.S) that
// goes on at the other label when the fault cannot be resolved.
//
// The empty statement after that label keeps it a place of its own. Without it the compiler would have the result set
// to false *before* each access, because a fault's edge has no room for instructions.
#pragma once

namespace osv::arch {

#define OSV_FIXUP ".pushsection .fixups, \"a\", @progbits\n\t.quad 770f, %l[fault]\n\t.popsection\n770:\t"

template <typename T> [[gnu::always_inline]] inline bool userLoad(const T *src, T &out) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8); // the register's name says which
  T value;
  asm goto(OSV_FIXUP "mov %1, %0" : "=r"(value) : "m"(*src) : "memory" : fault);
  out = value;
  return true;
fault:
  asm volatile("");
  return false;
}

template <typename T> [[gnu::always_inline]] inline bool userStore(T *dst, std::type_identity_t<T> value) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  if constexpr (sizeof(T) == 4)
    asm goto(OSV_FIXUP "movl %1, %0" : : "m"(*dst), "ri"(value) : "memory" : fault);
  else
    asm goto(OSV_FIXUP "movq %1, %0" : : "m"(*dst), "re"(value) : "memory" : fault);
  return true;
fault:
  asm volatile("");
  return false;
}

inline bool userCompareExchange32(uint32_t *dst, uint32_t expected, uint32_t desired, uint32_t &seen) {
  uint32_t old = expected;
  asm goto(OSV_FIXUP "lock cmpxchgl %2, %1" : "+a"(old), "+m"(*dst) : "r"(desired) : "memory", "cc" : fault);
  seen = old;
  return true;
fault:
  asm volatile("");
  return false;
}

// FP state straight to and from a signal frame (SignalFrame.cpp), 64-byte aligned. False when the memory or what is to
// be loaded is bad; a load that fails may have loaded a part. `components` are the low half of XCR0, or some of it.

/// XSAVE writes the components that are in use, and of the image's header only the bits that say which.
[[gnu::always_inline]] inline bool userXsave(void *dst, uint32_t components) {
  asm goto(OSV_FIXUP "xsave64 (%0)" : : "r"(dst), "a"(components), "d"(0) : "memory" : fault);
  return true;
fault:
  asm volatile("");
  return false;
}

[[gnu::always_inline]] inline bool userXrstor(const void *src, uint32_t components) {
  asm goto(OSV_FIXUP "xrstor64 (%0)" : : "r"(src), "a"(components), "d"(0) : "memory" : fault);
  return true;
fault:
  asm volatile("");
  return false;
}

inline bool userFxsave(void *dst) {
  asm goto(OSV_FIXUP "fxsave64 (%0)" : : "r"(dst) : "memory" : fault);
  return true;
fault:
  asm volatile("");
  return false;
}

inline bool userFxrstor(const void *src) {
  asm goto(OSV_FIXUP "fxrstor64 (%0)" : : "r"(src) : "memory" : fault);
  return true;
fault:
  asm volatile("");
  return false;
}

#undef OSV_FIXUP

} // namespace osv::arch

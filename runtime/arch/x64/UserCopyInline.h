// SPDX-License-Identifier: BSD-3-Clause
//
// The inline half of kernel/arch/UserCopy.h for x86-64: single accesses, each with a row in `.fixups` (usercopy.S) that
// goes on at the other label when the fault cannot be resolved.
#pragma once

namespace osv::arch {

#define OSV_FIXUP ".pushsection .fixups, \"a\", @progbits\n\t.quad 770f, %l[fault]\n\t.popsection\n770:\t"

inline bool userLoad32(const uint32_t *src, uint32_t &out) {
  uint32_t value;
  asm goto(OSV_FIXUP "movl %1, %0" : "=r"(value) : "m"(*src) : "memory" : fault);
  out = value;
  return true;
fault:
  return false;
}

inline bool userCompareExchange32(uint32_t *dst, uint32_t expected, uint32_t desired, uint32_t &seen) {
  uint32_t old = expected;
  asm goto(OSV_FIXUP "lock cmpxchgl %2, %1" : "+a"(old), "+m"(*dst) : "r"(desired) : "memory", "cc" : fault);
  seen = old;
  return true;
fault:
  return false;
}

#undef OSV_FIXUP

} // namespace osv::arch

// SPDX-License-Identifier: BSD-3-Clause
//
// Contract: copying from and to program memory with fault fix-up (usercopy.S). The range check is UserPtr.h's; these
// only survive faults. A fault first goes to handlePageFault (which may sleep); only when that refuses does the copy
// stop. With preemption off or interrupts off, handlePageFault is not tried and the copy stops at once ("NoFault").
#pragma once
#include <cstddef>
#include <cstdint>

namespace osv::arch {
/// Copies `n` bytes; returns the number of bytes NOT copied (0: all).
extern "C" size_t osv_user_copy(void *dst, const void *src, size_t n);
/// As strnlen: length without NUL, `max` when there is none within it, or -1 on a fault.
extern "C" long osv_user_strnlen(const char *s, size_t max);
/// Zero-fills; returns the number of bytes not written.
extern "C" size_t osv_user_zero(void *dst, size_t n);
/// 32-bit atomic accesses for futexes, inline; false on a fault.
bool userLoad32(const uint32_t *src, uint32_t &out);
/// Compare-and-exchange: `seen` is what was there.
bool userCompareExchange32(uint32_t *dst, uint32_t expected, uint32_t desired, uint32_t &seen);
} // namespace osv::arch

#if !defined(OSV_HOST_TEST)
#include "arch/x64/UserCopyInline.h" // the build selects the architecture by its include path
#endif

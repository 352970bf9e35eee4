// SPDX-License-Identifier: BSD-3-Clause
//
// Contract: copying from and to program memory with fault fix-up (usercopy.S). The range check is UserPtr.h's; these
// only survive faults. A fault first goes to handlePageFault (which may sleep); only when that refuses does the copy
// stop. With preemption off or interrupts off, handlePageFault is not tried and the copy stops at once ("NoFault").
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace osv::arch {
/// Copies `n` bytes; returns the number of bytes NOT copied (0: all).
extern "C" size_t osv_user_copy(void *dst, const void *src, size_t n);
/// As strnlen: length without NUL, `max` when there is none within it, or -1 on a fault.
extern "C" long osv_user_strnlen(const char *s, size_t max);
/// Zero-fills; returns the number of bytes not written.
extern "C" size_t osv_user_zero(void *dst, size_t n);
/// One access of 4 or 8 bytes, by one instruction, inline; false on a fault. A chain of them with && has no other
/// instructions: the fault itself goes to the chain's end.
template <typename T> bool userLoad(const T *src, T &out);
template <typename T> bool userStore(T *dst, std::type_identity_t<T> value);
/// Compare-and-exchange: `seen` is what was there.
bool userCompareExchange32(uint32_t *dst, uint32_t expected, uint32_t desired, uint32_t &seen);
} // namespace osv::arch

#if !defined(OSV_HOST_TEST)
#include "arch/x64/UserCopyInline.h" // the build selects the architecture by its include path
#endif

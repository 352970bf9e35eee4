// SPDX-License-Identifier: BSD-3-Clause
//
// Pointers that came from the program. They cannot be dereferenced, only copied through: range check first (canonical,
// below kUserMax, not in the kernel's image, no wrap-around), then a copy that survives faults. EFAULT, never a panic.
//
// All calls may sleep (demand paging) unless made with preemption or interrupts off, when a page that is not resident
// gives EFAULT.
#pragma once
#include "kernel/arch/Mmu.h"
#include "kernel/arch/UserCopy.h"
#include "kernel/lib/Result.h"
#include "kernel/lib/Types.h"
#include <span>
#include <type_traits>

namespace osv {

/// Is [addr, addr+len) entirely program address space? An empty range is. Below and above the kernel's image there is
/// one end each that it may not cross.
inline bool isUserRange(uint64_t addr, size_t len) {
  auto endsBefore = [addr, len](uint64_t end) { return len <= end && addr <= end - len; }; // no sum that overflows
  if (len == 0)
    return true;
  if (addr >= arch::kernelImageEnd().value) [[likely]]
    return endsBefore(arch::kUserMax.value);
  return endsBefore(arch::kernelImageStart().value);
}

inline Result<void> copyFromUser(void *dst, VAddr src, size_t n) {
  if (!isUserRange(src.value, n) || arch::osv_user_copy(dst, reinterpret_cast<const void *>(src.value), n) != 0)
    return Errno::Fault;
  return {};
}
inline Result<void> copyToUser(VAddr dst, const void *src, size_t n) {
  if (!isUserRange(dst.value, n) || arch::osv_user_copy(reinterpret_cast<void *>(dst.value), src, n) != 0)
    return Errno::Fault;
  return {};
}
/// The number of bytes that could be copied, for calls that tell of a partial transfer.
inline size_t copyToUserPartly(VAddr dst, const void *src, size_t n) {
  return isUserRange(dst.value, n) ? n - arch::osv_user_copy(reinterpret_cast<void *>(dst.value), src, n) : 0;
}
/// Copies a NUL-terminated string of at most out.size()-1 bytes; returns its length. ENAMETOOLONG, EFAULT.
Result<size_t> copyStringFromUser(std::span<char> out, VAddr src);

/// One register-sized value: what a system-call handler declares for a pointer argument.
template <typename T> class UserPtr {
public:
  UserPtr() = default;
  explicit UserPtr(uint64_t a) : a(a) {}
  VAddr addr() const { return VAddr(a); }
  explicit operator bool() const { return a != 0; }
  UserPtr operator+(size_t n) const { return UserPtr(a + n * sizeof(T)); }
  template <typename U> UserPtr<U> as() const { return UserPtr<U>(a); }

  Result<std::remove_const_t<T>> read() const
    requires(!std::is_void_v<T>)
  {
    std::remove_const_t<T> v;
    TRY(copyFromUser(&v, addr(), sizeof v));
    return v;
  }
  template <typename U = T> Result<void> write(const U &v) const {
    static_assert(std::is_same_v<U, T>);
    return copyToUser(addr(), &v, sizeof v);
  }
  Result<void> read(std::span<T> out) const { return copyFromUser(out.data(), addr(), out.size_bytes()); }
  Result<void> write(std::span<const T> in) const { return copyToUser(addr(), in.data(), in.size_bytes()); }

private:
  uint64_t a = 0;
};
template <typename T>
  requires std::is_void_v<T>
class UserPtr<T> {
public:
  UserPtr() = default;
  explicit UserPtr(uint64_t a) : a(a) {}
  VAddr addr() const { return VAddr(a); }
  explicit operator bool() const { return a != 0; }
  template <typename U> UserPtr<U> as() const { return UserPtr<U>(a); }

private:
  uint64_t a = 0;
};

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Addresses as types: a virtual and a physical address cannot be mixed up, and neither is a plain integer across a
// function boundary. Page geometry of x86-64 and every 64-bit port that has 4 KiB pages.
#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>

namespace osv {

inline constexpr size_t kPageShift = 12;
inline constexpr size_t kPageSize = size_t{1} << kPageShift;
inline constexpr size_t kLargePageShift = 21;
inline constexpr size_t kLargePageSize = size_t{1} << kLargePageShift;

template <typename Tag> struct Address {
  uint64_t value = 0;
  constexpr Address() = default;
  explicit constexpr Address(uint64_t v) : value(v) {}
  auto operator<=>(const Address &) const = default;
  constexpr Address operator+(uint64_t n) const { return Address(value + n); }
  constexpr Address operator-(uint64_t n) const { return Address(value - n); }
  constexpr uint64_t operator-(Address o) const { return value - o.value; }
  constexpr Address &operator+=(uint64_t n) {
    value += n;
    return *this;
  }
  constexpr Address pageDown() const { return Address(value & ~(kPageSize - 1)); }
  constexpr Address pageUp() const { return Address((value + kPageSize - 1) & ~(kPageSize - 1)); }
  constexpr uint64_t pageOffset() const { return value & (kPageSize - 1); }
  constexpr bool isPageAligned() const { return pageOffset() == 0; }
};
struct VirtualTag {};
struct PhysicalTag {};
using VAddr = Address<VirtualTag>;
using PAddr = Address<PhysicalTag>;

constexpr uint64_t roundUp(uint64_t n, uint64_t a) { return (n + a - 1) & ~(a - 1); }
constexpr uint64_t roundDown(uint64_t n, uint64_t a) { return n & ~(a - 1); }

/// Nanoseconds: a point on the monotonic clock since boot, or a duration.
using Nanos = int64_t;
inline constexpr Nanos kForever = INT64_MAX;

} // namespace osv

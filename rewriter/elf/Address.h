// SPDX-License-Identifier: BSD-3-Clause
//
// The three kinds of number that a rewriter of binaries mixes up, as types that do not mix:
//
//   VAddr    an address as the input file states it (what `objdump` and `nm` of the input show). Everything that
//            inspects the program, and every diagnostic, speaks of these.
//   RunAddr  the address at which the byte will be in the running image: VAddr + Image::bias(). The same number for
//            ET_EXEC; different for PIE, which is given its place at rewrite time. Patching and linking use these.
//   FileOff  an offset in the input file.
//
// Differences and sizes are plain integers. `raw()` is the way out, for printing and for writing tables.
#pragma once
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include <compare>
#include <cstdint>

namespace osv {

template <typename Tag> class StrongOffset {
public:
  constexpr StrongOffset() = default;
  constexpr explicit StrongOffset(uint64_t value) : value(value) {}
  constexpr uint64_t raw() const { return value; }
  constexpr auto operator<=>(const StrongOffset &) const = default;
  constexpr StrongOffset operator+(uint64_t delta) const { return StrongOffset(value + delta); }
  constexpr StrongOffset operator-(uint64_t delta) const { return StrongOffset(value - delta); }
  constexpr uint64_t operator-(StrongOffset other) const { return value - other.value; }
  constexpr StrongOffset &operator+=(uint64_t delta) {
    value += delta;
    return *this;
  }
  constexpr StrongOffset alignDown(uint64_t align) const { return StrongOffset(value & ~(align - 1)); }
  constexpr StrongOffset alignUp(uint64_t align) const { return StrongOffset((value + align - 1) & ~(align - 1)); }

private:
  uint64_t value = 0;
};

using VAddr = StrongOffset<struct VAddrTag>;
using RunAddr = StrongOffset<struct RunAddrTag>;
using FileOff = StrongOffset<struct FileOffTag>;

/// Prints as 0x401a28.
template <typename Tag> llvm::raw_ostream &operator<<(llvm::raw_ostream &os, StrongOffset<Tag> value) {
  return os << llvm::format_hex(value.raw(), 0);
}

/// "0x401a28", the form that addresses and sizes have in every message.
inline std::string hex(uint64_t value) { return "0x" + llvm::utohexstr(value, /*LowerCase=*/true); }
template <typename Tag> std::string hex(StrongOffset<Tag> value) { return hex(value.raw()); }

/// A half-open range [begin, end) of one kind of address.
template <typename Addr> struct RangeOf {
  Addr begin, end;
  uint64_t size() const { return end - begin; }
  bool empty() const { return begin == end; }
  bool contains(Addr addr) const { return begin <= addr && addr < end; }
  bool overlaps(RangeOf other) const { return begin < other.end && other.begin < end; }
  auto operator<=>(const RangeOf &) const = default;
};
using AddrRange = RangeOf<VAddr>;
using RunRange = RangeOf<RunAddr>;

} // namespace osv

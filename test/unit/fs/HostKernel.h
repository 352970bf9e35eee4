// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel that the file-system tests run in: one thread. Where a thread would sleep, `onBlock` is called instead and
// plays the rest of the world: it makes the condition true (returns true), or lets a signal end the wait (returns
// false, the default).
#pragma once
#include "kernel/fs/File.h"
#include <functional>
#include <string>

namespace osv::test {

extern std::function<bool()> onBlock;
/// How often a thread slept, and how many SIGPIPEs were raised.
extern unsigned blocked, brokenPipes;
/// An address in program space where every copy faults.
inline constexpr uint64_t kBadAddress = 0x10000;
void bringUp();

struct BlockHook {
  explicit BlockHook(std::function<bool()> fn) { onBlock = std::move(fn); }
  ~BlockHook() { onBlock = nullptr; }
};

inline Result<size_t> writeText(File &f, std::string_view s) {
  IoBuffer io = IoBuffer::user(VAddr(reinterpret_cast<uint64_t>(s.data())), s.size());
  return f.write(io);
}
inline std::string readText(File &f, size_t n, Errno *error = nullptr) {
  std::string out(n, '\0');
  IoBuffer io = IoBuffer::user(VAddr(reinterpret_cast<uint64_t>(out.data())), n);
  auto r = f.read(io);
  if (error)
    *error = r.ok() ? Errno{} : r.error();
  out.resize(r.ok() ? *r : 0);
  return out;
}

} // namespace osv::test

// SPDX-License-Identifier: BSD-3-Clause
//
// Names of what the analyses tell apart, and the view of runtime/abi/Syscalls.def that the reports need.
#include "rewriter/Analysis.h"
#include <string_view>

namespace osv {

namespace {
constexpr Provided Full = Provided::Full, Partial = Provided::Partial;

constexpr bool isAlways(std::string_view name) {
#define OSV_ALWAYS(always)                                                                                             \
  if (name == #always)                                                                                                 \
    return true;
#include "abi/Syscalls.def"
  return false;
}

constexpr SyscallRow kRows[] = {
#define OSV_NONE(nr, name) {nr, #name, Provided::No, false, false},
#define OSV_CALL(nr, name, status, parameters) {nr, #name, status, false, isAlways(#name)},
#define OSV_FRAME(nr, name, status, parameters) {nr, #name, status, true, isAlways(#name)},
#include "abi/Syscalls.def"
};

const SyscallRow *rowOf(int64_t number) {
  for (const SyscallRow &row : kRows)
    if (row.number == number)
      return &row;
  return nullptr;
}
} // namespace

std::span<const SyscallRow> syscallRows() { return kRows; }

const char *syscallName(int64_t number) {
  const SyscallRow *row = rowOf(number);
  return row ? row->name : nullptr;
}

Provided syscallProvided(int64_t number) {
  const SyscallRow *row = rowOf(number);
  return row ? row->provided : Provided::No;
}

const char *name(ThreadPointerKind kind) {
  static const char *const names[] = {"arch_prctl(ARCH_SET_FS)",
                                      "arch_prctl(ARCH_GET_FS)",
                                      "arch_prctl(ARCH_SET_GS)",
                                      "arch_prctl(ARCH_GET_GS)",
                                      "arch_prctl(CET)",
                                      "arch_prctl(other)",
                                      "arch_prctl(unknown)",
                                      "clone(CLONE_SETTLS)",
                                      "clone(flags unknown)",
                                      "clone3",
                                      "set_thread_area",
                                      "wrfsbase",
                                      "rdfsbase"};
  return names[int(kind)];
}

const char *name(FsClass kind) {
  static const char *const names[] = {"self",         "canary",   "pointer_guard", "thread_field",   "local_exec",
                                      "initial_exec", "register", "go_slot",       "undefined_weak", "outside"};
  return names[int(kind)];
}

} // namespace osv

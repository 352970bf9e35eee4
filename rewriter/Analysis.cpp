// SPDX-License-Identifier: BSD-3-Clause
//
// Names of what the analyses tell apart, and the view of runtime/abi/Syscalls.def that the reports need.
#include "rewriter/Analysis.h"

namespace osv {

namespace {
[[maybe_unused]] constexpr int Full = int(Provided::Full), Partial = int(Provided::Partial);
struct Row {
  int64_t number;
  const char *name;
  int provided;
};
constexpr Row kRows[] = {
#define OSV_NONE(nr, name) {nr, #name, int(Provided::No)},
#define OSV_CALL(nr, name, status, parameters) {nr, #name, status},
#define OSV_FRAME(nr, name, status, parameters) {nr, #name, status},
#include "abi/Syscalls.def"
};

const Row *rowOf(int64_t number) {
  for (const Row &row : kRows)
    if (row.number == number)
      return &row;
  return nullptr;
}
} // namespace

const char *syscallName(int64_t number) {
  const Row *row = rowOf(number);
  return row ? row->name : nullptr;
}

Provided syscallProvided(int64_t number) {
  const Row *row = rowOf(number);
  return row ? Provided(row->provided) : Provided::No;
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

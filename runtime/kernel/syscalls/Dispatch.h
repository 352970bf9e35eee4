// SPDX-License-Identifier: BSD-3-Clause
//
// From a number to a handler. The table itself is abi/Syscalls.def.
#pragma once
#include <string_view>

namespace osv {

/// Linux's name of system call `nr`, or "?" when it has none.
std::string_view syscallName(unsigned nr);
/// Logs "unimplemented: name(nr) xN" for every call that was made and is not provided. At the end.
void reportUnimplemented();
/// osv.trace=1: every call goes the long way and is logged with its arguments and result. Before the program runs.
void traceSyscalls();

} // namespace osv

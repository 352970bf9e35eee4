// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's beginning and end.
#pragma once
#include "kernel/arch/Trap.h"
#include <span>
#include <string_view>

namespace osv {

/// Called by the architecture on the boot CPU when memory, clock and interrupt controllers work; interrupts off.
/// Becomes the idle thread.
[[noreturn]] void kernelMain(std::string_view commandLine);

/// Panics with the registers of `frame` and the backtrace from there.
[[noreturn]] void panicAt(const Frame &frame, std::string_view what);

} // namespace osv

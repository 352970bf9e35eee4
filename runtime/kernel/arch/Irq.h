// SPDX-License-Identifier: BSD-3-Clause
//
// Contract: device interrupts. Handlers run with interrupts off on the interrupted thread's kernel stack and may wake
// threads; they may not sleep.
#pragma once
#include "kernel/lib/Result.h"

namespace osv::arch {
/// Routes ISA interrupt / GSI `line` to `fn(arg)` on the boot CPU and unmasks it. EBUSY, EINVAL.
Result<void> requestIrq(unsigned line, void (*fn)(void *), void *arg);

/// Non-maskable interrupts since boot. They are counted and ignored.
uint64_t nonMaskableInterrupts();
} // namespace osv::arch

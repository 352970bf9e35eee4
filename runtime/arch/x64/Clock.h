// SPDX-License-Identifier: BSD-3-Clause
//
// What arch/x64 shares of the TSC clock beyond kernel/arch/Clock.h: Apic.cpp programs its timer with it.
#pragma once
#include "kernel/arch/Clock.h"
#include "kernel/vdso/VdsoData.h"

namespace osv::arch {

/// Ticks of the TSC in a second. After initClock().
uint64_t tscHz();
/// The TSC value at monotonic time `t` (for TSC-deadline mode), never before it; kForever gives ~0.
uint64_t tscAt(Nanos t);

} // namespace osv::arch

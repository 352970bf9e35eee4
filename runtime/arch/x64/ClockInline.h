// SPDX-License-Identifier: BSD-3-Clause
//
// The inline half of kernel/arch/Clock.h: the TSC, and its scale.
#pragma once
#include "kernel/arch/Cpu.h"
#include "kernel/vdso/VdsoData.h"

namespace osv::arch {

union VdsoDataPage {
  VdsoData data;
  uint8_t page[4096];
};
/// The page that the vDSO reads; page aligned, alone in its page.
extern "C" union VdsoDataPage osv_vdso_data;

inline Ticks ticks() { return static_cast<Ticks>(readTsc()); }
inline Nanos ticksToNanos(Ticks span) {
  // scaleTicks of ClockMath.h, whose headers not everybody can include
  return static_cast<Nanos>((unsigned __int128)span * osv_vdso_data.data.factor >> kVdsoShift);
}

} // namespace osv::arch

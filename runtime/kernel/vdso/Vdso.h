// SPDX-License-Identifier: BSD-3-Clause
//
// Gives the program its vDSO.
#pragma once
#include "kernel/lib/Result.h"
#include "kernel/lib/Types.h"

namespace osv {
class AddressSpace;

/// Maps the data page ([vvar]) and, right behind it, the vDSO's image ([vdso]); returns the address of the image for
/// AT_SYSINFO_EHDR. Once all CPUs are up. ENOMEM.
Result<VAddr> mapVdso(AddressSpace &space);

} // namespace osv

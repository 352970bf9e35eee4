// SPDX-License-Identifier: BSD-3-Clause
// The kernel's gates, for the none model of this benchmark.
#include "arch/x64/gates.S"

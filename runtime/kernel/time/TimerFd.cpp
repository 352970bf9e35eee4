// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/time/TimeInternal.h"
namespace osv {
void realtimeWasSet() {}
} // namespace osv

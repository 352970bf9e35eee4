// SPDX-License-Identifier: BSD-3-Clause
//
// More than one processor: how many run, and inter-processor calls.
// FIXME: start the application processors (INIT-SIPI-SIPI); until then the image runs on the boot processor whatever --smp says.
#include "arch/x64/Cpu.h"

namespace osv::arch {

unsigned cpuCount() { return 1; }
void sendRescheduleIpi(unsigned) {}
void callOnOtherCpus(void (*)(void *), void *) {}
void callInterrupt() {}

} // namespace osv::arch

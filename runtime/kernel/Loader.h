// SPDX-License-Identifier: BSD-3-Clause
//
// Makes the process that the image describes: address space, stack, arguments, auxiliary vector.
#pragma once
#include "kernel/Process.h"
#include "kernel/arch/Trap.h"

namespace osv {

/// Fills `process.addressSpace` from osv_image and builds the initial stack; `frame` gets the registers the program
/// starts with. Runs on the thread that will enter the program (its address space must be current()'s). ENOMEM, E2BIG.
Result<void> loadProgram(Process &process, Frame &frame);

} // namespace osv

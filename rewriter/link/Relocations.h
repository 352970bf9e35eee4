// SPDX-License-Identifier: BSD-3-Clause
//
// Relocations that nobody would apply at run time.
#pragma once
#include "rewriter/Context.h"

namespace osv::link {

/// Records the RELATIVE relocations of a PIE that relies on an interpreter for them (elf::Kind::GoPie) as edits, for
/// the address that it was given. A static-PIE's own start-up code applies its relocations: nothing is done. Call
/// before anything else records edits of data; leaves `ctx.edits` sorted.
void applyRelocations(Context &ctx);

} // namespace osv::link

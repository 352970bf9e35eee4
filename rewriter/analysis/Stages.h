// SPDX-License-Identifier: BSD-3-Clause
//
// The stages of the inspection, in the order in which main calls them. Each reads the image and what the earlier ones
// left in Context, and writes its own member; none reports findings but judge().
#pragma once
#include "rewriter/Context.h"

namespace osv::analysis {

/// context.code: which bytes are code, by recursive descent.
llvm::Error findCode(Context &context);

} // namespace osv::analysis

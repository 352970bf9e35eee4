// SPDX-License-Identifier: BSD-3-Clause
//
// Packs the directory given with --root into a `newc` cpio archive, which the runtime unpacks into its root file
// system.
#pragma once
#include "rewriter/Context.h"

namespace osv::link {

/// Fills `ctx.rootfs`; nothing without --root. Fails with [root-fs]; reports [root-fs-skipped].
llvm::Error packRootFs(Context &ctx);

} // namespace osv::link

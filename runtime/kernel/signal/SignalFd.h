// SPDX-License-Identifier: BSD-3-Clause
//
// signalfd: pending signals, read as records.
#pragma once
#include "kernel/fs/File.h"
#include "kernel/signal/SignalState.h"

namespace osv {

Result<Ref<File>> createSignalFd(SigSet mask, bool nonBlocking);
/// Gives an existing one a new mask. EINVAL when `file` is none.
Result<void> setSignalFdMask(File &file, SigSet mask);

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Names: the in-memory root file system (from the image's cpio archive), /proc, /dev, /sys bits that programs read, path lookup.
#pragma once
#include "abi/Image.h"
#include "kernel/fs/File.h"

namespace osv {

class FsContext; ///< root, cwd, umask of a process

/// Builds the root: the archive's tree, /dev (null zero full random urandom tty console stdin..., shm), /proc, /sys, /tmp, /etc defaults when missing. ENOMEM, EINVAL (bad archive).
Result<void> initVfs(const abi::ImageHeader &image);
Result<FsContext *> createFsContext();
/// The console as an open file: descriptor 0, 1 or 2 (stdin/stdout/stderr).
Result<Ref<File>> openConsole(int which);

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Weak stand-ins, so that images link while the subsystems land. FIXME: delete this file when fs/ is there.
#include "kernel/fs/FileTable.h"
#include "kernel/fs/Vfs.h"
#include "kernel/lib/Log.h"
#include "kernel/dev/Console.h"
#include "kernel/syscalls/Handlers.h"
namespace osv {
[[gnu::weak]] Result<void> initVfs(const abi::ImageHeader &) { return {}; }
[[gnu::weak]] Result<FsContext *> createFsContext() { return static_cast<FsContext *>(nullptr); }
[[gnu::weak]] Result<Ref<File>> openConsole(int) { return Ref<File>(); }
[[gnu::weak]] Result<FileTable *> FileTable::create() { return static_cast<FileTable *>(nullptr); }
[[gnu::weak]] Result<int> FileTable::install(Ref<File>, bool, int) { return 0; }
[[gnu::weak]] Result<size_t> IoBuffer::copyOut(const void *, size_t) { return Errno::Fault; }
[[gnu::weak]] Result<Ref<File>> FileTable::get(int) { return Errno::BadF; }
} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Which system calls the kernel of this image has. The dispatch tables are made here for each image, from
// runtime/abi/Syscalls.def; what they do not name, the linker drops. runtime/kernel/syscalls/Dispatch.cpp tells what
// the entries mean.
#pragma once
#include "rewriter/Context.h"
#include "rewriter/link/ObjectWriter.h"

namespace osv::link {

/// Fills `ctx.kernelCalls`: with --syscalls=reachable what the analysis proves that the program does not call is left
/// out. Reports [syscalls-incomplete] when nothing can be proven.
void chooseCalls(Context &ctx);

/// The tables, as sections of the object that is linked with the runtime.
class SyscallTables {
public:
  explicit SyscallTables(llvm::ArrayRef<int64_t> leftOut);
  /// `this` must live until the object is written.
  void addTo(ObjectWriter &object) const;

private:
  struct Entry {
    uint64_t offset;
    std::string symbol;
  };
  std::vector<uint8_t> direct; ///< osv_syscall_table
  std::vector<uint8_t> frames; ///< osv_frame_handlers
  std::vector<Entry> directEntries, frameEntries;
};

} // namespace osv::link

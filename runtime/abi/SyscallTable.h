// SPDX-License-Identifier: BSD-3-Clause
//
// The dispatch tables that the rewriter makes for each image: which handlers are in it. kernel/syscalls/Dispatch.cpp
// tells what the entries mean.
#pragma once
#include <cstdint>

namespace osv::abi {

/// A row of `osv_frame_handlers`; `handler` 0 ends the table.
struct FrameHandler {
  uint64_t number;
  uint64_t handler; ///< long (*)(Frame &), the symbol osv_syscall_<name>
};

} // namespace osv::abi

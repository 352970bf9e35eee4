// SPDX-License-Identifier: BSD-3-Clause
//
// Handlers so small that a call and the saving of registers around it would be most of their cost: inline, so that the
// gate's adapter (Dispatch.cpp) is the handler. They touch a few words of the running thread's process and call
// nothing.
#pragma once
#include "kernel/Process.h"
#include "kernel/syscalls/Handlers.h"

namespace osv {

inline Result<long> sys_getpid() { return long{currentProcess().pid}; }
inline Result<long> sys_getppid() { return 0L; }
inline Result<long> sys_gettid() { return long{current().tid}; }
inline Result<long> sys_getuid() { return long{currentProcess().credentials.uid}; }
inline Result<long> sys_geteuid() { return long{currentProcess().credentials.effectiveUid}; }
inline Result<long> sys_getgid() { return long{currentProcess().credentials.gid}; }
inline Result<long> sys_getegid() { return long{currentProcess().credentials.effectiveGid}; }

} // namespace osv

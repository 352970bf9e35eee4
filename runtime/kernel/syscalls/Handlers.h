// SPDX-License-Identifier: BSD-3-Clause
//
// Declarations of every system-call handler, made from abi/Syscalls.def, and the types that its rows use.
#pragma once
#include "abi/Image.h"
#include "kernel/arch/Trap.h"
#include "kernel/lib/Result.h"
#include "kernel/lib/UserPtr.h"
#include "kernel/signal/SignalState.h"
#include <asm/signal.h>
#include <asm/stat.h>
#include <linux/futex.h>
#include <linux/resource.h>
#include <linux/time_types.h>
#include <linux/uio.h>

struct clone_args;
struct open_how;
struct tms;
struct futex_waitv;
struct __user_cap_header_struct;
struct __user_cap_data_struct;
struct statx;
struct statfs;
struct epoll_event;
struct pollfd;
struct rusage;
struct sysinfo;
struct new_utsname;
struct linux_dirent64;
struct open_how;

namespace osv {
#define OSV_CALL(nr, name, status, parameters) Result<long> sys_##name parameters;
#define OSV_FRAME(nr, name, status, parameters) Result<long> sys_##name parameters;
#include "abi/Syscalls.def"
} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// What the passes that the runtime is compiled with (passes/, docs/passes) look for, and how seldom a function is
// called. All go on the declaration in a header, so that callers in other modules know.
#pragma once

/// Runs, or may run, before this CPU or thread has the kernel's thread-local storage: the build fails when the function
/// or anything that it calls touches FS, a `thread_local`, GS outside the gate block, FP registers or the stack
/// protector.
#define OSV_PRE_SWITCH __attribute__((annotate("osv.pre_switch")))

/// Called by the program, with its FS loaded: in the `fs` model the function switches FS, unless it needs not.
#define OSV_APP_ENTRY __attribute__((annotate("osv.app_entry")))

/// What a hot function hardly ever calls: it saves all the registers that it uses, so that the callers need not save
/// any at their beginning for a call that they do not make.
#define OSV_COLD __attribute__((preserve_most, noinline, cold))

// SPDX-License-Identifier: BSD-3-Clause
//
// A process: address space, files, signal actions, threads, and how it ends. An object, not a set of globals, so that more than one stays possible.
#pragma once
#include "kernel/lib/Ref.h"
#include "kernel/sched/Thread.h"
#include "kernel/signal/SignalState.h"
#include <linux/resource.h>

namespace osv {

class AddressSpace;
class FileTable;
class FsContext;

class Process {
public:
  int32_t pid = 1;
  AddressSpace *addressSpace = nullptr;
  FileTable *files = nullptr;
  FsContext *fs = nullptr; ///< root, cwd, umask
  ProcessSignals signals;
  struct rlimit64 limits[16] = {};
  Nanos startTime = 0;

  // Threads (sched/): under `threadsLock`.
  SpinLock threadsLock;
  boost::intrusive::list<Thread, boost::intrusive::member_hook<Thread, boost::intrusive::list_member_hook<>, &Thread::processHook>,
                         boost::intrusive::constant_time_size<false>>
      threads;
  uint32_t threadCount = 0;
  std::atomic<int32_t> nextTid{1};
  Nanos exitedThreadsCpuTime = 0;

  // How it ends.
  std::atomic<bool> exiting{false};
  int exitStatus = 0; ///< as for exit_group
  int exitSignal = 0; ///< non-zero: killed by it

  /// Starts the end of the process (first call wins); every thread leaves at its next way out.
  void beginExit(int status, int signal);
};

/// The process of the running thread.
inline Process &currentProcess() { return *current().process; }

/// Carries out exit_group / a fatal signal for the running thread's process: never returns to the program.
[[noreturn]] void exitProcess(int status, int signal);

} // namespace osv

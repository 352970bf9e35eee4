// SPDX-License-Identifier: BSD-3-Clause
//
// A process: address space, files, signal actions, threads, and how it ends. An object, not a set of globals, so that
// more than one stays possible.
#pragma once
#include "kernel/Credentials.h"
#include "kernel/lib/Ref.h"
#include "kernel/sched/Thread.h"
#include "kernel/signal/SignalState.h"
#include <linux/resource.h>

namespace osv {

class AddressSpace;
class FileTable;
class FsContext;
struct ProcessTimers;

class Process {
public:
  Process();
  int32_t pid = 1;
  AddressSpace *addressSpace = nullptr;
  FileTable *files = nullptr;
  FsContext *fs = nullptr; ///< root, cwd, umask
  ProcessSignals signals;
  ProcessTimers *timers = nullptr; ///< time/PosixTimer.h; null until one is set; under signals.lock
  struct rlimit64 limits[16];      ///< by RLIMIT_*; the constructor sets Linux's defaults for a login of root
  Nanos startTime = 0;

  // Threads, ordered by tid: under `threadsLock`, taken with interrupts off.
  struct TidOf {
    using type = int32_t;
    int32_t operator()(const Thread &t) const { return t.tid; }
  };
  SpinLock threadsLock;
  boost::intrusive::set<
      Thread, boost::intrusive::member_hook<Thread, boost::intrusive::set_member_hook<>, &Thread::processHook>,
      boost::intrusive::key_of_value<TidOf>, boost::intrusive::constant_time_size<false>>
      threads;
  uint32_t threadCount = 0;
  std::atomic<int32_t> nextTid{1};
  Nanos exitedThreadsCpuTime = 0;
  uint64_t exitedSwitches = 0, exitedPreemptions = 0;

  // How it ends.
  std::atomic<bool> exiting{false};
  int exitStatus = 0;                   ///< as for exit_group
  int exitSignal = 0;                   ///< non-zero: killed by it
  std::atomic<bool> outOfMemory{false}; ///< a page that it touched could not be had

  /// Starts the end of the process (first call wins); every thread leaves at its next way out.
  void beginExit(int status, int signal);
  /// The thread with this id, unless it has ended.
  Ref<Thread> findThread(int32_t tid);
  /// CPU time of all its threads, ended ones too.
  Nanos cpuTime();

  // Where its strings and auxiliary vector are, for /proc/self/cmdline, environ and auxv (kernel/Loader.cpp).
  uint64_t argStart = 0, argEnd = 0, envStart = 0, envEnd = 0, auxStart = 0, auxEnd = 0;

  // Small per-process state of system calls.
  Credentials credentials;
  int32_t sessionId = 1, groupId = 1;
  bool childSubreaper = false;
  uint32_t personality = 0;
  bool noNewPrivs = false;
  uint8_t dumpable = 1;
  int32_t parentDeathSignal = 0;
  std::atomic<uint32_t> membarrierRegistered{0}; ///< MEMBARRIER_CMD_REGISTER_* bits
};

/// The process of the running thread.
inline Process &currentProcess() { return *current().process; }

/// Carries out exit_group / a fatal signal for the running thread's process: never returns to the program.
[[noreturn]] void exitProcess(int status, int signal);
/// In main.cpp: the process has ended; flushes the console, reports the status and leaves the machine.
[[noreturn]] void machineExit(const Process &p);
/// Ends the running thread of a process (exit): robust futexes, clear_child_tid, then the thread; the last one ends the
/// process.
[[noreturn]] void exitCurrentThread(int status);
/// Must the running thread leave instead of going on in the program? True once its process is ending.
inline bool mustExit() { return current().exiting.load(std::memory_order_relaxed); }

} // namespace osv

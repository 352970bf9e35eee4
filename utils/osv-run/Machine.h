// SPDX-License-Identifier: BSD-3-Clause
//
// The virtual machine: which QEMU command runs an image, and the process that runs it.
//
// Knows QEMU; does not know the console protocol (Frames) nor the terminal (Terminal).
#pragma once
#include "llvm/Support/Error.h"
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace osv::run {

struct MachineOptions {
  std::string image;
  std::string memory = "64M";
  std::string machine = "microvm";
  std::string cpu = "max";
  std::string accel = "tcg"; ///< tcg or kvm: `auto` is resolved before
  unsigned processors = 1;
  bool icount = false;
  bool gdb = false;
  std::string commandLine;                ///< the kernel's
  std::vector<std::string> qemuArguments; ///< added at the end
};

/// The command that boots `options.image` with COM1 on QEMU's standard input and output.
std::vector<std::string> qemuCommand(const MachineOptions &options);

/// A running QEMU. The destructor kills it: no machine outlives osv-run.
class Machine {
public:
  static llvm::Expected<Machine> start(const std::vector<std::string> &command);
  Machine(Machine &&other);
  ~Machine();

  void kill();
  void signal(int number);
  /// Waits for the end of QEMU; its wait status.
  int wait();

  int toGuest = -1;   ///< write end of COM1's input, non-blocking
  int fromGuest = -1; ///< read end of COM1's output, non-blocking
  int messages = -1;  ///< read end of QEMU's standard error, non-blocking

private:
  Machine() = default;
  pid_t pid = -1;
  int status = 0;
};

/// Whether KVM runs a guest here: see Accel.cpp.
bool kvmWorks();

} // namespace osv::run

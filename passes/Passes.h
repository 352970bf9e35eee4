// SPDX-License-Identifier: BSD-3-Clause
//
// The passes of the plugin `OsvPasses`, one class for each file here. What a pass does, and why, stands at the top of
// its .cpp; when it runs, and in which TLS model, is decided in Plugin.cpp and nowhere else.
#pragma once
#include "llvm/IR/PassManager.h"

namespace osv {

/// KernelTls.cpp: lowers every `thread_local` to `%gs:` addressing (model `gs`).
class KernelTlsPass : public llvm::PassInfoMixin<KernelTlsPass> {
public:
  llvm::PreservedAnalyses run(llvm::Module &module, llvm::ModuleAnalysisManager &analyses);
  static bool isRequired() { return true; }
};

/// GateCheck.cpp: rejects code that may run before the TLS switch and touches what is not in place yet (both models).
class GateCheckPass : public llvm::PassInfoMixin<GateCheckPass> {
public:
  llvm::PreservedAnalyses run(llvm::Module &module, llvm::ModuleAnalysisManager &analyses);
  static bool isRequired() { return true; }
};

/// TlsSwitch.cpp: gives functions that the program calls the switch to the kernel's FS, where they need it (model
/// `fs`).
class TlsSwitchPass : public llvm::PassInfoMixin<TlsSwitchPass> {
public:
  llvm::PreservedAnalyses run(llvm::Module &module, llvm::ModuleAnalysisManager &analyses);
  static bool isRequired() { return true; }
};

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// LLD can do link-time optimisation, and so refers to every code generator that LLVM was built with. The runtime
// archive holds machine code and the program is machine code: nothing here is ever compiled. These definitions of the
// registration functions keep the generators out of the executable: it has 50 MB instead of 120 MB and starts in 3 ms
// (17 ms against the shared library).
#include "llvm/Passes/PassPlugin.h"

#define LLVM_TARGET(Name)                                                                                              \
  extern "C" void LLVMInitialize##Name##Target() {}                                                                    \
  extern "C" void LLVMInitialize##Name##TargetInfo() {}                                                                \
  extern "C" void LLVMInitialize##Name##TargetMC() {}
#include "llvm/Config/Targets.def"
#define LLVM_ASM_PRINTER(Name)                                                                                         \
  extern "C" void LLVMInitialize##Name##AsmPrinter() {}
#include "llvm/Config/AsmPrinters.def"
#define LLVM_ASM_PARSER(Name)                                                                                          \
  extern "C" void LLVMInitialize##Name##AsmParser() {}
#include "llvm/Config/AsmParsers.def"

/// Debian's LLVM registers Polly from its LTO library.
llvm::PassPluginLibraryInfo getPollyPluginInfo() { return {LLVM_PLUGIN_API_VERSION, "none", "", nullptr}; }

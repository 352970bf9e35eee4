// SPDX-License-Identifier: BSD-3-Clause
//
// Registers the passes: their names for `opt -passes=`, and their places in clang's pipeline for the TLS model that
// `-mllvm=-osv-tls=gs|fs` names. clang loads pass plugins after it has read -mllvm, so the file must be loaded as a
// clang plugin too: the whole command line is in CMakeLists.txt, `osv_runtime_passes`.
//
// KernelTls runs at the end of function simplification, once inlining and SROA have turned references and `this`
// pointers into direct uses, and before the passes that tidy up; EarlyCSE then merges the loads of `GateBlock::self`.
// At -O0 the same place exists and nothing has been done before: every use is one expression, so accesses are direct
// there as well. GateCheck runs just before it, so that it still sees what is a thread_local. TlsSwitch runs last: its
// wrapper must stay as it is made.
#include "Passes.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Passes/PassPlugin.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"

using namespace llvm;

namespace {

enum class Model { None, Gs, Fs };

cl::opt<Model> tlsModel("osv-tls", cl::desc("TLS model of the runtime: which passes run"), cl::init(Model::None),
                        cl::values(clEnumValN(Model::None, "none", "no pass runs unless named"),
                                   clEnumValN(Model::Gs, "gs", "thread_local at GS"),
                                   clEnumValN(Model::Fs, "fs", "thread_local at FS, switched by the gates")));

void addOptimizerEarly(ModulePassManager &passes, OptimizationLevel level) {
  if (tlsModel == Model::None)
    return;
  passes.addPass(osv::GateCheckPass()); // before KernelTls: thread_local variables are still to be seen
  if (tlsModel != Model::Gs)
    return;
  passes.addPass(osv::KernelTlsPass());
  if (level != OptimizationLevel::O0)
    passes.addPass(createModuleToFunctionPassAdaptor(EarlyCSEPass()));
}

void addOptimizerLast(ModulePassManager &passes, OptimizationLevel) {
  if (tlsModel == Model::Fs)
    passes.addPass(osv::TlsSwitchPass());
}

bool parseModulePass(StringRef name, ModulePassManager &passes, ArrayRef<PassBuilder::PipelineElement>) {
  if (name == "kernel-tls")
    passes.addPass(osv::KernelTlsPass());
  else if (name == "gate-check")
    passes.addPass(osv::GateCheckPass());
  else if (name == "tls-switch")
    passes.addPass(osv::TlsSwitchPass());
  else
    return false;
  return true;
}

} // namespace

extern "C" LLVM_ATTRIBUTE_VISIBILITY_DEFAULT PassPluginLibraryInfo llvmGetPassPluginInfo() {
  return {LLVM_PLUGIN_API_VERSION, "OsvPasses", "1", [](PassBuilder &builder) {
            builder.registerPipelineParsingCallback(parseModulePass);
            builder.registerOptimizerEarlyEPCallback(addOptimizerEarly);
            builder.registerOptimizerLastEPCallback(addOptimizerLast);
          }};
}

// SPDX-License-Identifier: BSD-3-Clause
//
// GateCheck: nothing that runs before the TLS switch touches what the switch has not put in place yet.
//
// A gate's first C++ functions run with the program's FS, the program's FP registers and, at boot, no GS base. A
// `thread_local` there reads the program's memory, a copy through xmm0 destroys the program's registers; both work in
// most tests. So such functions are annotated `__attribute__((annotate("osv.pre_switch")))`, and this pass fails the
// build, with the chain of calls, when one of them or anything that they call may touch FS or a `thread_local`, GS
// outside the gate block, FP registers, or the stack protector.
//
// It runs where inlining and dead-code elimination are done and KernelTls is not, in both TLS models. What it cannot
// see it rejects (Reach.h): a callee of another module must be declared with the same annotation, so the annotation
// belongs into the header. memcpy and its like, which the compiler calls by itself, are held to the rule where they are
// defined.
//
// Not here: assembly. The gates' own .S files are read by people, and utils/check-objects reads the objects.
#include "Diag.h"
#include "Passes.h"
#include "Reach.h"
#include "llvm/ADT/Statistic.h"

#define DEBUG_TYPE "gate-check"

using namespace llvm;

STATISTIC(numRoots, "functions held to osv.pre_switch");

PreservedAnalyses osv::GateCheckPass::run(Module &module, ModuleAnalysisManager &) {
  DenseSet<const GlobalValue *> roots = annotated(module, kPreSwitch);
  for (StringRef name : kCompilerCallees)
    if (const Function *function = module.getFunction(name))
      roots.insert(function);
  const Reach reach(module, kTouchFs | kTouchGs | kTouchFp);
  for (const Function &function : module) { // module order: two builds report the same
    if (function.isDeclaration() || !roots.contains(&function))
      continue;
    ++numRoots;
    reach.visit(function, [&](const Touch &touch) {
      module.getContext().diagnose(
          PassError("gate-check: " + touch.place + touch.what + " before the TLS switch, in " + touch.chain));
      return true;
    });
  }
  return PreservedAnalyses::all();
}

// SPDX-License-Identifier: BSD-3-Clause
//
// The stages of the rewriting, in the order in which main calls them: decide, record, apply last. Nothing changes the
// program's bytes here; that is done on the copy that link/ (or writeNativeElf) makes.
#pragma once
#include "rewriter/Context.h"

namespace osv::patch {

/// context.plan: a tactic for each `syscall` that the code map knows, and the halts.
void planSites(Context &context);
/// What the plan amounts to: context.stubs, context.edits (kept sorted) and context.traps. Every edit is checked
/// against the bytes that the plan expects, and against all others for overlap.
void makeStubs(Context &context);

/// An instruction in the middle of replaced bytes, and whether a jump to it that nobody knows of traps, so that the
/// kernel can mend it.
struct HiddenEntry {
  VAddr addr;
  bool traps;
};
/// Of one site; to be asked when its stub has its place in the output.
std::vector<HiddenEntry> hiddenEntries(const Context &context, const SitePlan &plan);

/// How to unwind out of one stub.
struct StubUnwind {
  uint32_t stub, size;         ///< in StubCode::bytes
  std::string ehCie, debugCie; ///< what follows the id, for .eh_frame and .debug_frame
  std::string program;
};
/// Of each stub whose function has an FDE, by stub.
std::vector<StubUnwind> unwindStubs(const Context &context);

/// .eh_frame or .debug_frame.
FrameSection makeFrameSection(llvm::ArrayRef<StubUnwind> stubs, bool isEh);

/// -v: one line for each tactic, and one for each site that is left alone.
void printPlan(const Context &context, llvm::raw_ostream &os);
/// --explain-site: each site before and after, and why tactics were refused. Fails with [no-site].
llvm::Error explainSites(const Context &context, llvm::raw_ostream &os);

/// --emit=elf: the patched program as a Linux executable whose stubs make a real system call. Fails with [output-io].
llvm::Error writeNativeElf(Context &context);

/// --verify: reads the output again and proves, without looking at the plan, that it is the program with its system
/// calls redirected and nothing else. Fails with [verify-failed].
llvm::Error verifyOutput(const Context &context);

} // namespace osv::patch

// SPDX-License-Identifier: BSD-3-Clause
//
// The stages of the inspection, in the order in which main calls them. Each reads the image and what the earlier ones
// left in Context, and writes its own members; only judge() reports findings.
#pragma once
#include "rewriter/Context.h"

namespace osv::analysis {

/// context.code: which bytes are code, by recursive descent.
llvm::Error findCode(Context &context);
/// context.analysis.toolchain and ifuncs.
llvm::Error identifyToolchain(Context &context);
/// context.analysis.sites and uses.
llvm::Error findSyscalls(Context &context);
/// context.analysis.threadPointer and fs.
llvm::Error findThreadPointer(Context &context);
/// context.analysis.hazards, halts and cpuids.
llvm::Error findHazards(Context &context);
/// Turns what was found into findings, so that the driver knows whether the program can run.
void judge(Context &context);

} // namespace osv::analysis

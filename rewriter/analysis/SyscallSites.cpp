// SPDX-License-Identifier: BSD-3-Clause
//
// The system calls that the program can make: each `syscall` instruction, the numbers that its function puts into rax,
// and, where the number is an argument (libc's `syscall`, Go's `Syscall6` and `RawSyscall6`), what the callers pass.
#include "rewriter/analysis/Slice.h"
#include "rewriter/analysis/Stages.h"
#include "llvm/ADT/STLExtras.h"

using namespace llvm;

namespace osv::analysis {

/// What the number means when all of rax is written by a 32-bit move of a negative constant, and the like: the kernel
/// looks at the low half only.
static int64_t asNumber(int64_t value) { return int64_t(int32_t(value)); }

static void addUse(std::map<int64_t, NumberUse> &uses, const NumberUse &use) {
  auto [it, isNew] = uses.try_emplace(use.number, use);
  // The shortest chain is the one that a reader understands; of equals the first in the file.
  if (!isNew && use.chain.size() < it->second.chain.size())
    it->second = use;
}

Error findSyscalls(Context &context) {
  const CodeMap &map = context.code;
  Analysis &analysis = context.analysis;
  Slicer slicer(map);
  std::map<int64_t, NumberUse> uses;
  analysis.usesComplete = true;
  for (const Remarkable &remarkable : map.remarkable) {
    if (!(remarkable.traits & x64::kSyscall))
      continue;
    SyscallSite site;
    site.addr = remarkable.addr;
    site.proven = remarkable.proven;
    Location rax = Location::inRegister(x64::Reg::Rax);
    LocalValues local = slicer.valuesAt(site.addr, rax);
    site.isWrapper = !local.arguments.empty();
    site.here.complete = !local.unknown && local.arguments.empty();
    site.here.values.assign(local.constants.begin(), local.constants.end());
    site.all = site.here;
    ChainedValues all{{}, site.here.complete};
    for (int64_t value : local.constants)
      all.constants.push_back({value, {}});
    if (site.isWrapper)
      all = slicer.valuesThroughCallers(site.addr, rax);
    site.all.values.clear();
    site.all.complete = all.complete;
    for (const ChainedConstant &constant : all.constants) {
      int64_t number = asNumber(constant.value);
      site.all.values.push_back(number);
      addUse(uses, {number, site.addr, constant.chain});
    }
    llvm::sort(site.all.values);
    site.all.values.erase(llvm::unique(site.all.values), site.all.values.end());
    analysis.usesComplete &= site.all.complete;
    analysis.sites.push_back(std::move(site));
  }
  for (auto &[number, use] : uses)
    analysis.uses.push_back(std::move(use));
  return Error::success();
}

} // namespace osv::analysis

// SPDX-License-Identifier: BSD-3-Clause
//
// The system calls that the program can make: each `syscall` instruction, the numbers that its function puts into rax,
// and, where the number is an argument (libc's `syscall`, Go's `Syscall6` and `RawSyscall6`), what the callers pass.
#include "rewriter/analysis/Slice.h"
#include "rewriter/analysis/Stages.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

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

/// The first `0f 05` in executable bytes that is not part of a known instruction: a program might have a way there.
static std::optional<VAddr> findStrayCall(const CodeMap &map) {
  for (const CodeMap::Region &region : map.regions) {
    const uint8_t *begin = region.bytes.begin(), *end = region.bytes.end(), *at = begin;
    while (at < end && (at = static_cast<const uint8_t *>(memchr(at, 0x05, end - at)))) {
      VAddr addr = region.range.begin + (at - begin) - 1;
      if (at > begin && at[-1] == 0x0f && !map.isInsideInstruction(addr))
        return addr;
      at++;
    }
  }
  return std::nullopt;
}

Error findSyscalls(Context &context) {
  const CodeMap &map = context.code;
  Analysis &analysis = context.analysis;
  Slicer slicer(map);
  std::map<int64_t, NumberUse> uses;
  auto giveUp = [&](VAddr site, UnknownCall unknown) {
    unknown.site = site;
    if (!analysis.unknownCall)
      analysis.unknownCall = std::move(unknown);
  };
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
    ChainedValues all = slicer.valuesThroughCallers(site.addr, rax);
    site.all.values.clear();
    site.all.complete = all.complete;
    for (const ChainedConstant &constant : all.constants) {
      int64_t number = asNumber(constant.value);
      site.all.values.push_back(number);
      addUse(uses, {number, site.addr, constant.chain});
    }
    llvm::sort(site.all.values);
    site.all.values.erase(llvm::unique(site.all.values), site.all.values.end());
    if (!all.complete)
      giveUp(site.addr, all.unknown);
    analysis.sites.push_back(std::move(site));
  }
  if (std::optional<VAddr> stray = findStrayCall(map))
    giveUp(*stray, {{}, {}, *stray, "its bytes are code that nothing is known to reach, or data"});
  for (auto &[number, use] : uses)
    analysis.uses.push_back(std::move(use));
  return Error::success();
}

} // namespace osv::analysis

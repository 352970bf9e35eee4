// SPDX-License-Identifier: BSD-3-Clause
//
// The choice of handlers, and the tables that name them. A table's section is dropped like any other when nothing
// refers to it, and an undefined symbol in it is no error then.
#include "rewriter/link/SyscallTable.h"
#include "abi/AsmOffsets.h"
#include "abi/SyscallTable.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/BinaryFormat/ELF.h"

using namespace llvm;
using namespace llvm::ELF;

namespace osv::link {

/// Says at which system call the proof failed, and along which calls.
static void reportIncomplete(Context &ctx, const UnknownCall &unknown) {
  auto place = [&](VAddr addr) {
    std::string text = ctx.code.describe(ctx.image, addr);
    return hex(addr) + (text.empty() ? "" : ", " + text);
  };
  std::string function = ctx.code.functionName(unknown.site);
  Finding finding(DiagId::SyscallsIncomplete, unknown.site,
                  "--syscalls=reachable keeps every system call, because of the one " +
                      (function.empty() ? "at " + hex(unknown.site) : "in '" + function + "'") + ": " + unknown.why);
  finding.function = function;
  finding.note("the system call is at " + place(unknown.site));
  for (VAddr call : unknown.chain)
    finding.note("called from " + place(call));
  if (unknown.at != (unknown.chain.empty() ? unknown.site : unknown.chain.back()))
    finding.note("where " + place(unknown.at) + " is as far as the number can be followed");
  ctx.diag.report(std::move(finding));
}

void chooseCalls(Context &ctx) {
  if (ctx.opts.syscalls == SyscallChoice::All)
    return;
  const Analysis &analysis = ctx.analysis;
  if (analysis.unknownCall) {
    reportIncomplete(ctx, *analysis.unknownCall);
    return;
  }
  for (const SyscallRow &row : syscallRows()) {
    bool isUsed = any_of(analysis.uses, [&](const NumberUse &use) { return use.number == row.number; });
    if (row.provided != Provided::No && !row.isAlways && !isUsed)
      ctx.kernelCalls.leftOut.push_back(row.number);
  }
}

SyscallTables::SyscallTables(ArrayRef<int64_t> leftOut) : direct(SYSCALL_COUNT * sizeof(uint64_t)) {
  std::vector<std::string> symbols(SYSCALL_COUNT, "osv_frame_call"); // what is not provided
  for (const SyscallRow &row : syscallRows()) {
    if (row.provided == Provided::No)
      continue;
    std::string handler = std::string("osv_syscall_") + row.name;
    if (is_contained(leftOut, row.number)) {
      symbols[row.number] = "osv_left_out_call";
    } else if (row.takesFrame) {
      frameEntries.push_back({frames.size() + offsetof(abi::FrameHandler, handler), handler});
      abi::FrameHandler entry = {uint64_t(row.number), 0};
      const auto *raw = reinterpret_cast<const uint8_t *>(&entry);
      frames.insert(frames.end(), raw, raw + sizeof entry);
    } else {
      symbols[row.number] = handler;
    }
  }
  frames.resize(frames.size() + sizeof(abi::FrameHandler));
  for (auto [number, symbol] : enumerate(symbols))
    directEntries.push_back({number * sizeof(uint64_t), symbol});
}

void SyscallTables::addTo(ObjectWriter &object) const {
  StringMap<unsigned> undefined;
  auto add = [&](StringRef name, StringRef symbol, uint64_t flags, ArrayRef<uint8_t> bytes, ArrayRef<Entry> entries) {
    unsigned section = object.addSection(name, SHF_ALLOC | flags, 8, {bytes});
    object.addSymbol(symbol, section, 0, bytes.size(), STB_GLOBAL << 4 | STT_OBJECT);
    for (const Entry &entry : entries) {
      auto [it, isNew] = undefined.try_emplace(entry.symbol, 0);
      if (isNew)
        it->second = object.addSymbol(entry.symbol, 0, 0, 0, STB_GLOBAL << 4);
      object.addReloc(section, entry.offset, it->second, R_X86_64_64, 0);
    }
  };
  add(".data.osv_syscall_table", "osv_syscall_table", SHF_WRITE, direct, directEntries);
  add(".rodata.osv_frame_handlers", "osv_frame_handlers", 0, frames, frameEntries);
}

} // namespace osv::link

// SPDX-License-Identifier: BSD-3-Clause
//
// The plan in words: -v and --explain-site.
#include "rewriter/patch/Stages.h"
#include "rewriter/x64/Decode.h"
#include "rewriter/x64/Encode.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include <map>

using namespace llvm;

namespace osv::patch {

static const char *describe(Tactic tactic) {
  switch (tactic) {
  case Tactic::None:
    return "stays as it is";
  case Tactic::S0:
    return "the instruction before it becomes the jump";
  case Tactic::S1:
    return "the instructions before it become the jump";
  case Tactic::B:
    return "it and what follows become the jump";
  case Tactic::Mixed:
    return "what surrounds it becomes the jump";
  }
  return "";
}

/// The stub's place: an address, or only what the linker will add to.
static std::string stubPlace(const Context &ctx, uint32_t offset) {
  return ctx.opts.outputKind == OutputKind::NativeElf ? hex(ctx.nativeStubs + offset) : "stubs+" + hex(offset);
}

/// One line: what stands there, what will.
static void printChange(const Context &ctx, const SitePlan &plan, raw_ostream &os) {
  auto text = [&](VAddr at) { return x64::format(ctx.code.bytesFrom(at), at); };
  os << ": " << name(plan.tactic) << ": ";
  for (VAddr at : plan.before)
    os << text(at) << "; ";
  os << text(plan.site);
  for (VAddr at : plan.after)
    os << "; " << text(at);
  os << " -> jmp " << stubPlace(ctx, plan.stub) << (plan.overwritesSyscall() ? "\n" : "; syscall\n");
}

void printPlan(const Context &ctx, raw_ostream &os) {
  StringRef name = ctx.diag.inputName();
  os << name << ": " << ctx.plan.sites.size() << " system-call sites:";
  for (Tactic tactic : {Tactic::S0, Tactic::S1, Tactic::B, Tactic::Mixed})
    os << ' ' << osv::name(tactic) << ' ' << ctx.plan.count(tactic) << ',';
  os << " left alone " << ctx.plan.count(Tactic::None) << "; " << ctx.stubs.bytes.size() << " bytes of stubs; "
     << ctx.plan.halts.size() << " hlt\n";
  size_t entries = 0;
  std::vector<VAddr> open;
  for (const SitePlan &site : ctx.plan.sites)
    for (const HiddenEntry &entry : hiddenEntries(ctx, site)) {
      entries++;
      if (!entry.traps)
        open.push_back(entry.addr);
    }
  os << name << ": " << entries << " instructions inside replaced bytes, " << entries - open.size()
     << " of them trap when something jumps there";
  for (VAddr addr : open)
    os << (addr == open.front() ? "; not " : ", ") << addr;
  os << '\n';
  for (const SitePlan &site : ctx.plan.sites) {
    os << name << ": " << site.site << ", " << ctx.code.describe(ctx.image, site.site);
    if (site.tactic != Tactic::None) {
      printChange(ctx, site, os);
      continue;
    }
    os << " is left alone:";
    for (const SitePlan::Refusal &refusal : site.refused)
      os << (&refusal == site.refused.begin() ? " " : "; ")
         << (refusal.tactic == Tactic::None ? "" : std::string(osv::name(refusal.tactic)) + ": ") << refusal.reason;
    os << '\n';
  }
}

static void printInstruction(raw_ostream &os, char mark, StringRef place, ArrayRef<uint8_t> bytes, StringRef text) {
  std::string hexBytes;
  for (uint8_t byte : bytes)
    hexBytes += formatv("{0:x-2} ", byte).str();
  os << formatv("    {0} {1,12}:  {2,-45} {3}\n", mark, place, hexBytes, text);
}

/// The program's own code around the site, replaced bytes marked.
static void printCode(const Context &ctx, const SitePlan &plan, raw_ostream &os) {
  AddrRange shown{plan.site, plan.site + ctx.code.shapeAt(plan.site).length};
  if (!plan.range.empty())
    shown = {std::min(plan.range.begin, shown.begin), std::max(plan.range.end, shown.end)};
  for (unsigned i = 0; i < 2; i++)
    if (std::optional<VAddr> previous = ctx.code.previousInstruction(shown.begin, /*wide=*/true))
      shown.begin = *previous;
  for (unsigned i = 0; i < 2; i++)
    shown.end += ctx.code.shapeAt(shown.end).length;
  for (VAddr at = shown.begin; at < shown.end;) {
    ArrayRef<uint8_t> bytes = ctx.code.bytesFrom(at);
    bytes = bytes.take_front(ctx.code.shapeAt(at).length);
    if (bytes.empty())
      break;
    char mark = plan.range.contains(at) ? '>' : ctx.code.isBranchTarget(at) ? '*' : ' ';
    printInstruction(os, mark, hex(at), bytes, x64::format(bytes, at));
    at += bytes.size();
  }
}

/// The stub, as if it stood at `base`: the real place is known to the linker only.
static void printStub(const Context &ctx, const SitePlan &plan, raw_ostream &os) {
  SmallVector<uint8_t, 0> bytes(ctx.stubs.bytes.begin() + plan.stub,
                                ctx.stubs.bytes.begin() + plan.stub + plan.stubSize);
  VAddr base = ctx.opts.outputKind == OutputKind::NativeElf ? ctx.nativeStubs : VAddr(0);
  std::map<uint32_t, std::string> symbols; // by the offset of the field
  for (const Fixup &f : ctx.stubs.fixups) {
    if (f.offset < plan.stub || f.offset >= plan.stub + plan.stubSize)
      continue;
    if (f.base == Fixup::Runtime)
      symbols[f.offset - plan.stub] = f.symbol;
    VAddr target = f.base == Fixup::Stubs     ? base + f.value
                   : f.base == Fixup::Program ? ctx.image.toFile(RunAddr(f.value))
                                              : base;
    auto value = uint32_t(target.raw() + f.addend - (base + f.offset).raw());
    std::memcpy(&bytes[f.offset - plan.stub], &value, sizeof value);
  }
  for (uint32_t at = 0; at < plan.stubSize;) {
    VAddr addr = base + plan.stub + at;
    ArrayRef<uint8_t> rest = ArrayRef<uint8_t>(bytes).drop_front(at);
    std::optional<x64::Instruction> in = x64::decode(rest, addr);
    VERIFY(in);
    rest = rest.take_front(in->length);
    auto symbol = symbols.find(at + in->length - 4);
    std::string text = symbol != symbols.end() ? "jmp " + symbol->second : x64::format(rest, addr);
    printInstruction(os, ' ', stubPlace(ctx, plan.stub + at), rest, text);
    at += in->length;
  }
}

static void explain(const Context &ctx, const SitePlan &plan, raw_ostream &os) {
  os << "site " << plan.site << ", " << ctx.code.describe(ctx.image, plan.site) << ": " << name(plan.tactic) << ", "
     << describe(plan.tactic) << '\n';
  for (const SitePlan::Refusal &refusal : plan.refused)
    os << "  " << (refusal.tactic == Tactic::None ? "it" : name(refusal.tactic))
       << (refusal.tactic == Tactic::None ? " " : " refused: ") << refusal.reason << '\n';
  os << "  the program (>: replaced, *: branch target)\n";
  printCode(ctx, plan, os);
  if (plan.tactic == Tactic::None)
    return;
  for (const HiddenEntry &entry : hiddenEntries(ctx, plan))
    os << "  an unknown jump to " << entry.addr
       << (entry.traps ? " would trap, and go on in the stub\n" : " could not be noticed\n");
  os << "  the stub\n";
  printStub(ctx, plan, os);
}

Error explainSites(const Context &ctx, raw_ostream &os) {
  for (StringRef wanted : ctx.opts.explain) {
    uint64_t number = 0;
    auto symbol = find_if(ctx.image.symbols, [&](const elf::Symbol &s) { return s.name == wanted; });
    if (symbol != ctx.image.symbols.end())
      number = symbol->addr.raw();
    else if (wanted != "all" && wanted.getAsInteger(0, number))
      return findingError(DiagId::NoSite, "'" + wanted + "' is neither an address nor a symbol");
    bool found = false;
    for (const SitePlan &plan : ctx.plan.sites)
      if (wanted == "all" || plan.site == VAddr(number)) {
        explain(ctx, plan, os);
        found = true;
      }
    if (!found && wanted != "all")
      return findingError(DiagId::NoSite, "there is no known `syscall` at " + hex(number));
  }
  return Error::success();
}

} // namespace osv::patch

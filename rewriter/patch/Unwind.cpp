// SPDX-License-Identifier: BSD-3-Clause
//
// Unwind information for stubs: how to find the caller's frame from an instruction of a stub is what the program's own
// .eh_frame says for the instruction that it stands for. A stub's FDE is made of the very bytes of the original's: all
// rules up to the first instruction, then, whenever the stub gets to where a rule of the original begins, that rule.
// Nothing is interpreted, so expressions and remembered states stay what they are.
//
// Three consumers. In an image nobody but a debugger sees a stub's address: .debug_frame, not loaded. In a Linux
// executable gdb reads .debug_frame too, and the program's own unwinder (C++ exceptions, backtrace()) asks
// PT_GNU_EH_FRAME: a new table there has the program's entries and those of the stubs.
//
// No LSDA: an exception that a signal handler throws out of a stub does not stop in the function that made the call,
// but in its callers. (In an image the signal frame shows the program's address, and it does.)
#include "rewriter/elf/EhFrame.h"
#include "rewriter/patch/Stages.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/BinaryFormat/Dwarf.h"
#include "llvm/Support/DataExtractor.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/LEB128.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <map>

using namespace llvm;
using namespace llvm::dwarf;

namespace osv::patch {
namespace {

using elf::Cie;
using elf::Fde;

/// A rule of a call-frame program, and from which address on it holds.
struct Rule {
  VAddr from;
  ArrayRef<uint8_t> bytes;
};

/// Signal frames among others are not.
bool isUnderstood(const Cie &cie) {
  return (cie.version == 1 || cie.version == 3) && !cie.isSignalFrame && cie.codeAlign == 1 && cie.returnRegister < 128;
}

/// The FDEs that say something about one of the sorted addresses.
std::vector<Fde> readFdes(const elf::Image &image, ArrayRef<VAddr> wanted) {
  std::vector<Fde> fdes;
  elf::forEachFde(image, [&](const Fde &fde) {
    auto first = lower_bound(wanted, fde.range.begin);
    bool isWanted = first != wanted.end() && *first < fde.range.end;
    if (isWanted && isUnderstood(fde.cie))
      fdes.push_back(fde);
  });
  llvm::sort(fdes, [](const Fde &a, const Fde &b) { return a.range.begin < b.range.begin; });
  return fdes;
}

/// The rules of a program in order, without the advances between them; nothing when it cannot be read.
std::optional<std::vector<Rule>> readRules(const Fde &fde) {
  std::vector<Rule> rules;
  DataExtractor data(fde.program, true, 8);
  DataExtractor::Cursor at(0);
  VAddr from = fde.range.begin;
  bool good = true;
  while (good && at && at.tell() < fde.program.size()) {
    size_t start = at.tell();
    uint8_t op = data.getU8(at);
    uint64_t advance = 0;
    switch (op & 0xc0) {
    case DW_CFA_advance_loc:
      advance = op & 0x3f;
      op = DW_CFA_advance_loc1;
      break;
    case DW_CFA_offset:
      data.getULEB128(at);
      op = DW_CFA_undefined;
      break;
    case DW_CFA_restore:
      op = DW_CFA_undefined;
      break;
    default:
      switch (op) {
      case DW_CFA_nop:
        continue;
      case DW_CFA_advance_loc1:
        advance = data.getU8(at);
        break;
      case DW_CFA_advance_loc2:
        advance = data.getU16(at);
        op = DW_CFA_advance_loc1;
        break;
      case DW_CFA_advance_loc4:
        advance = data.getU32(at);
        op = DW_CFA_advance_loc1;
        break;
      case DW_CFA_remember_state:
      case DW_CFA_restore_state:
        break;
      case DW_CFA_restore_extended:
      case DW_CFA_undefined:
      case DW_CFA_same_value:
      case DW_CFA_def_cfa_register:
      case DW_CFA_def_cfa_offset:
      case DW_CFA_def_cfa_offset_sf:
      case DW_CFA_GNU_args_size:
        data.getULEB128(at);
        break;
      case DW_CFA_offset_extended:
      case DW_CFA_register:
      case DW_CFA_def_cfa:
      case DW_CFA_offset_extended_sf:
      case DW_CFA_def_cfa_sf:
      case DW_CFA_val_offset:
      case DW_CFA_val_offset_sf:
        data.getULEB128(at);
        data.getULEB128(at);
        break;
      case DW_CFA_def_cfa_expression:
        data.skip(at, data.getULEB128(at));
        break;
      case DW_CFA_expression:
      case DW_CFA_val_expression:
        data.getULEB128(at);
        data.skip(at, data.getULEB128(at));
        break;
      default:
        good = false;
      }
    }
    if (op == DW_CFA_advance_loc1)
      from += advance;
    else if (good && at)
      rules.push_back({from, fde.program.slice(start, at.tell() - start)});
  }
  good &= bool(at);
  consumeError(at.takeError());
  return good ? std::optional(std::move(rules)) : std::nullopt;
}

/// Makes the program of one stub.
class ProgramMaker {
public:
  ProgramMaker(std::string &out, uint32_t stub) : at(stub), os(out) {}
  void rule(uint32_t place, ArrayRef<uint8_t> bytes) {
    if (place != at) {
      os << char(DW_CFA_advance_loc4);
      char delta[4];
      support::endian::write32le(delta, place - at);
      os.write(delta, 4);
      at = place;
    }
    os << toStringRef(bytes);
  }

private:
  uint32_t at;
  raw_string_ostream os;
};

std::string cieBody(const Cie &cie, bool isEh) {
  std::string body;
  raw_string_ostream os(body);
  os << char(1) << (isEh ? "zR" : "") << char(0);
  encodeULEB128(cie.codeAlign, os);
  encodeSLEB128(cie.dataAlign, os);
  os << char(cie.returnRegister);
  if (isEh)
    os << char(1) << char(DW_EH_PE_pcrel | DW_EH_PE_sdata4);
  os << toStringRef(cie.initial);
  return body;
}

} // namespace

std::vector<StubUnwind> unwindStubs(const Context &ctx) {
  std::vector<StubUnwind> result;
  std::vector<VAddr> wanted;
  for (const SitePlan &plan : ctx.plan.sites)
    if (plan.tactic != Tactic::None)
      wanted.push_back(plan.site);
  if (wanted.empty())
    return result;
  std::vector<Fde> fdes = readFdes(ctx.image, wanted);
  std::vector<abi::StubMap> map = ctx.stubs.map;
  llvm::sort(map, [](const abi::StubMap &a, const abi::StubMap &b) { return a.stub < b.stub; });
  for (const SitePlan &plan : ctx.plan.sites) {
    auto fde = partition_point(fdes, [&](const Fde &f) { return f.range.end <= plan.site; });
    if (plan.tactic == Tactic::None || fde == fdes.end() || !fde->range.contains(plan.site))
      continue;
    std::optional<std::vector<Rule>> rules = readRules(*fde);
    if (!rules)
      continue;
    StubUnwind unwind{plan.stub, plan.stubSize, cieBody(fde->cie, true), cieBody(fde->cie, false), {}};
    {
      ProgramMaker maker(unwind.program, plan.stub);
      auto rule = rules->begin();
      auto run = partition_point(map, [&](const abi::StubMap &r) { return r.stub < plan.stub; });
      for (; run != map.end() && run->stub < plan.stub + plan.stubSize; ++run) {
        VAddr original = ctx.image.toFile(RunAddr(run->original));
        uint64_t size = run->flags & abi::kStubCopy ? run->size : 1;
        for (; rule != rules->end() && rule->from < original + size; ++rule)
          maker.rule(run->stub + (rule->from > original ? rule->from - original : 0), rule->bytes);
      }
    }
    result.push_back(std::move(unwind));
  }
  llvm::sort(result, [](const StubUnwind &a, const StubUnwind &b) { return a.stub < b.stub; });
  return result;
}

FrameSection makeFrameSection(ArrayRef<StubUnwind> stubs, bool isEh) {
  FrameSection section;
  SmallVectorImpl<uint8_t> &out = section.bytes;
  auto word = [&](uint32_t value) {
    out.resize(out.size() + 4);
    support::endian::write32le(out.end() - 4, value);
  };
  auto close = [&](size_t start) {
    out.resize(alignTo(out.size(), 8), DW_CFA_nop);
    support::endian::write32le(&out[start], out.size() - start - 4);
  };
  std::map<StringRef, uint32_t> cies;
  for (const StubUnwind &stub : stubs) {
    StringRef cie = isEh ? stub.ehCie : stub.debugCie;
    auto [place, isNew] = cies.try_emplace(cie, out.size());
    if (isNew) {
      word(0);
      word(isEh ? 0 : 0xffffffff);
      out.append(cie.begin(), cie.end());
      close(place->second);
    }
    size_t start = out.size();
    word(0);
    section.fdes.push_back({uint32_t(start), stub.stub, stub.size});
    word(isEh ? start + 4 - place->second : place->second);
    out.resize(out.size() + (isEh ? 4 : 8)); // where the stub begins
    word(stub.size);
    isEh ? out.push_back(0) : word(0); // no augmentation; or the upper half of the size
    out.append(stub.program.begin(), stub.program.end());
    close(start);
  }
  if (isEh && !out.empty())
    word(0);
  return section;
}

} // namespace osv::patch

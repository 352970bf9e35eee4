// SPDX-License-Identifier: BSD-3-Clause
//
// The backward slice; see Slice.h. Graphs of functions are built on demand, since only functions with system calls and
// their callers are asked about.
#include "rewriter/analysis/Slice.h"
#include "rewriter/analysis/JumpTables.h"
#include "llvm/ADT/STLExtras.h"

using namespace llvm;

namespace osv::analysis {

using x64::Flow;
using x64::Instruction;
using x64::Op;
using x64::Operand;
using x64::Reg;

namespace {
// Real programs need a fraction of these: 90 states for the longest slice of biome's (97 MB), 3,200 for all of them.
constexpr unsigned kMostStates = 4096;   ///< of one slice
constexpr size_t kMostSpent = 1 << 18;   ///< states, of all slices; hostile code could make the time grow without end
constexpr unsigned kMostChain = 6;       ///< calls through wrappers
constexpr unsigned kMostConstants = 512; ///< of one site

constexpr uint32_t kCallClobbers = 0x0fc7; // rax rcx rdx rsi rdi r8-r11 in the System V ABI
} // namespace

const Slicer::Graph &Slicer::graphAt(VAddr addr) {
  AddrRange range{VAddr(addr.raw() > 0x800 ? addr.raw() - 0x800 : 0), addr + 0x400}; // nothing is known: a window
  if (const Function *function = map.functionAt(addr))
    range = function->range;
  auto [it, isNew] = graphs.try_emplace(range.begin);
  if (!isNew)
    return it->second;
  Graph &graph = it->second;
  graph.range = range;
  for (VAddr at : map.instructionsIn(range, /*wide=*/true)) {
    x64::Shape shape = map.shapeAt(at);
    bool isBranch = shape.flow == Flow::Jcc || shape.flow == Flow::Jmp;
    if (isBranch && range.contains(VAddr(shape.value)))
      graph.branchesTo[shape.value].push_back(at);
    if (shape.flow != Flow::IndirectJmp)
      continue;
    auto table = partition_point(map.jumpTables, [&](const JumpTable &t) { return t.jump < at; });
    for (; table != map.jumpTables.end() && table->jump == at; ++table)
      for (VAddr target : table->targets)
        graph.branchesTo[target.raw()].push_back(at);
  }
  return graph;
}

const std::vector<VAddr> &Slicer::callersOf(VAddr function) {
  auto [it, isNew] = callers.try_emplace(function.raw());
  if (isNew)
    it->second = map.callersOf(function);
  return it->second;
}

bool Slicer::isEntry(VAddr addr, const Graph &graph) {
  if (addr == graph.range.begin)
    return true;
  if (const Function *function = map.functionAt(addr); function && function->range.begin == addr)
    return true;
  // A jump from within is a branch of the graph.
  return any_of(callersOf(addr),
                [&](VAddr site) { return map.shapeAt(site).flow == Flow::Call || !graph.range.contains(site); });
}

/// Whether `before`, which ends where the entry `at` begins, belongs to a function that ends there, so that nothing
/// falls through. Where an inferred function begins is known from its callers alone: what falls through to there is
/// believed, but for a call at the end of a function whose end is known.
static bool endsAtEntry(const CodeMap &map, VAddr before, VAddr at) {
  const Function *last = map.functionAt(before), *next = map.functionAt(at);
  if (last == next)
    return false;
  if (next && next->source != FunctionSource::Reference)
    return true;
  Flow flow = map.shapeAt(before).flow;
  bool isCall = flow == Flow::Call || flow == Flow::IndirectCall;
  return isCall && last && last->source != FunctionSource::Reference;
}

/// Undoes one instruction: where `location`, as seen after `in`, was before it.
Slicer::Step Slicer::stepBack(const Instruction &in, Location &location, int64_t &constant,
                              std::optional<Location> &other) {
  auto from = [&](const Operand &source, int64_t rspAdjust) {
    if (source.isImm()) {
      constant = source.value;
      return Step::Constant;
    }
    if (source.kind == Operand::Register && source.reg < Reg::Rip && !source.isHighByte) {
      location = Location::inRegister(source.reg);
      return Step::Moved;
    }
    if (source.isMem() && source.index == Reg::None && (source.base == Reg::Rsp || source.base == Reg::Rbp)) {
      location = {source.base == Reg::Rsp ? Location::StackSlot : Location::FrameSlot, Reg::None,
                  source.value + rspAdjust};
      return Step::Moved;
    }
    return Step::Unknown;
  };
  StringRef name = in.mnemonic();
  if (location.kind == Location::Register) {
    if (in.op == Op::Call)
      return regBit(location.reg) & kCallClobbers ? Step::Unknown : Step::Same;
    if (!in.writes(location.reg))
      return Step::Same;
    if (in.operands.empty())
      return name == "cdqe" ? Step::Same : Step::Unknown;
    const Operand &to = in.operands[0];
    if (!to.isReg(location.reg))
      return Step::Unknown;
    switch (in.op) {
    case Op::Mov:
    case Op::Movsxd:
    case Op::Movzx:
    case Op::Movsx: {
      if (to.bits < 32) // the rest of the register stays
        return Step::Unknown;
      Step step = from(in.operands[1], 0);
      if (step == Step::Constant && to.bits == 32)
        constant = int64_t(uint32_t(constant));
      return step;
    }
    case Op::Xor:
    case Op::Sub:
      if (!in.operands[1].isReg(location.reg))
        return Step::Unknown;
      constant = 0;
      return Step::Constant;
    case Op::Or:
      if (!in.operands[1].isImm() || in.operands[1].value != -1)
        return Step::Unknown;
      constant = -1;
      return Step::Constant;
    case Op::Pop:
      location = {Location::StackSlot, Reg::None, 0};
      return Step::Moved;
    default:
      if (name.starts_with("cmov") && in.operands[1].kind == Operand::Register && in.operands[1].reg < Reg::Rip) {
        other = Location::inRegister(in.operands[1].reg);
        return Step::Same;
      }
      return Step::Unknown;
    }
  }
  bool isStack = location.kind == Location::StackSlot;
  switch (in.op) {
  case Op::Push:
    if (!isStack)
      return Step::Same;
    if (location.offset == 0)
      return from(in.operands[0], 0);
    location.offset -= 8;
    return Step::Same;
  case Op::Pushf:
    if (isStack && location.offset == 0)
      return Step::Unknown;
    location.offset -= isStack ? 8 : 0;
    return Step::Same;
  case Op::Pop:
  case Op::Popf:
    if (isStack)
      location.offset += 8;
    else if (in.writes(Reg::Rbp))
      return Step::Unknown;
    return Step::Same;
  case Op::Call:
    return Step::Same; // the callee has popped its return address; it does not write its caller's frame
  case Op::Mov:
    if (in.operands[0].isMem()) {
      const Operand &to = in.operands[0];
      bool isHere = to.base == (isStack ? Reg::Rsp : Reg::Rbp) && to.index == Reg::None && to.value == location.offset;
      return isHere ? from(in.operands[1], 0) : Step::Same;
    }
    if (!isStack && in.operands[0].isReg(Reg::Rbp)) {
      if (!in.operands[1].isReg(Reg::Rsp))
        return Step::Unknown;
      location.kind = Location::StackSlot;
      return Step::Moved;
    }
    return isStack && in.operands[0].isReg(Reg::Rsp) ? Step::Unknown : Step::Same;
  case Op::Sub:
  case Op::Add:
    if (!in.operands[0].isReg(isStack ? Reg::Rsp : Reg::Rbp))
      return Step::Same;
    if (!in.operands[1].isImm())
      return Step::Unknown;
    location.offset += in.op == Op::Sub ? -in.operands[1].value : in.operands[1].value;
    return Step::Same;
  case Op::Lea: { // lea -0x80(%rsp), %rsp, as hand-written code adjusts the stack
    if (!in.operands[0].isReg(isStack ? Reg::Rsp : Reg::Rbp))
      return Step::Same;
    const Operand &source = in.operands[1];
    if (source.index != Reg::None || (source.base != Reg::Rsp && source.base != in.operands[0].reg))
      return Step::Unknown;
    location.offset += source.value;
    location.kind = source.base == Reg::Rsp ? Location::StackSlot : Location::FrameSlot;
    return Step::Moved;
  }
  default:
    return in.writes(isStack ? Reg::Rsp : Reg::Rbp) ? Step::Unknown : Step::Same;
  }
}

LocalValues Slicer::valuesAt(VAddr addr, Location start) {
  LocalValues result;
  const Graph &graph = graphAt(addr);
  auto giveUp = [&](VAddr at) {
    if (!result.unknown)
      result.unknownAt = at;
    result.unknown = true;
  };
  std::set<std::pair<VAddr, Location>> seen;
  std::vector<std::pair<VAddr, Location>> work{{addr, start}};
  auto push = [&](VAddr at, Location location) {
    if (seen.insert({at, location}).second)
      work.push_back({at, location});
  };
  auto goThrough = [&](VAddr from, Location location) {
    std::optional<Instruction> in = x64::decode(map.bytesFrom(from), from);
    if (!in)
      return giveUp(from);
    int64_t constant = 0;
    std::optional<Location> other;
    switch (stepBack(*in, location, constant, other)) {
    case Step::Constant:
      result.constants.insert(constant);
      return;
    case Step::Unknown:
      return giveUp(from);
    case Step::Moved:
    case Step::Same:
      push(from, location);
      if (other)
        push(from, *other);
    }
  };
  while (!work.empty()) {
    auto [at, location] = work.back();
    work.pop_back();
    if (seen.size() > kMostStates || spent + seen.size() > kMostSpent) {
      giveUp(at);
      break;
    }
    unsigned predecessors = 0;
    bool entry = isEntry(at, graph);
    // The instruction before falls through to here, unless it never does.
    std::optional<VAddr> before = map.previousInstruction(at, /*wide=*/true);
    if (before && !(entry && endsAtEntry(map, *before, at))) {
      Flow flow = map.shapeAt(*before).flow;
      if (flow == Flow::Next || flow == Flow::Jcc || flow == Flow::Call || flow == Flow::IndirectCall) {
        predecessors++;
        goThrough(*before, location);
      }
    }
    if (auto branches = graph.branchesTo.find(at.raw()); branches != graph.branchesTo.end())
      for (VAddr from : branches->second) {
        predecessors++;
        push(from, location); // a branch changes no register
      }
    else if (!entry && map.isBranchTarget(at)) // from another function, by a landing pad, or through a pointer
      giveUp(at);
    if (entry) {
      bool isArgument =
          location.kind == Location::Register || (location.kind == Location::StackSlot && location.offset >= 8);
      if (isArgument) {
        result.arguments.insert({at, location});
      } else {
        giveUp(at);
      }
    } else if (predecessors == 0) {
      giveUp(at);
    }
  }
  if (const Function *function = map.functionAt(addr); function && function->hasHiddenJump)
    giveUp(function->range.begin);
  spent += seen.size();
  return result;
}

void Slicer::gather(VAddr addr, Location location, std::vector<VAddr> &chain, ChainedValues &result,
                    std::set<std::pair<VAddr, Location>> &active) {
  LocalValues local = valuesAt(addr, location);
  auto giveUp = [&](VAddr at, const char *why) {
    if (result.complete)
      result.unknown = {{}, chain, at, why};
    result.complete = false;
  };
  if (local.unknown)
    giveUp(local.unknownAt, "its number is computed in a way that is not followed");
  for (int64_t constant : local.constants)
    result.constants.push_back({constant, chain});
  for (const auto &[entry, argument] : local.arguments) {
    // Whoever takes the function's address may call it with anything.
    if (std::binary_search(map.taken.begin(), map.taken.end(), entry))
      giveUp(entry, "its number is an argument, and the address of the function is taken");
    const std::vector<VAddr> sites = callersOf(entry); // a copy: more callers are looked up meanwhile
    if (sites.empty()) {
      giveUp(entry, "its number is an argument, and nothing is known to call the function");
      continue;
    }
    if (chain.size() >= kMostChain || result.constants.size() > kMostConstants) {
      giveUp(entry, "its number is an argument, passed along too many calls");
      continue;
    }
    for (VAddr site : sites) {
      Location atCall = argument;
      if (argument.kind == Location::StackSlot && map.shapeAt(site).flow == Flow::Call)
        atCall.offset -= 8; // the return address
      if (!active.insert({site, atCall}).second)
        continue;
      chain.push_back(site);
      gather(site, atCall, chain, result, active);
      chain.pop_back();
    }
  }
}

ChainedValues Slicer::valuesThroughCallers(VAddr addr, Location location) {
  ChainedValues result;
  std::vector<VAddr> chain;
  std::set<std::pair<VAddr, Location>> active;
  gather(addr, location, chain, result, active);
  return result;
}

} // namespace osv::analysis

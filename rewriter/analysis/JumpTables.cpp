// SPDX-License-Identifier: BSD-3-Clause
//
// A `switch` becomes an indirect jump through a table of read-only data. The forms, as compilers write them:
//
//   gcc, clang without PIC, Go 1.19+     jmp *T(,%rax,8)             or  lea T, %rcx; jmp *(%rcx,%rax,8)
//   gcc, clang with PIC, rustc           lea T(%rip), %rcx; movslq (%rcx,%rax,4), %rax; add %rcx, %rax; jmp *%rax
//   gcc -O0                              the same through lea 0(,%rax,4), %rdx; mov (%rdx,%rcx), %eax; cltq
//   glibc's printf                       the same, but the entries are offsets from a label in the code, not from T
//
// The expression of the jump's operand is evaluated backwards over the instructions that lie before it. The address of
// the table is often computed once before a loop, out of reach of a straight line; then each `lea` into the register
// within the function is a candidate, and the table's contents must say which one is right: every entry has to be a
// plausible target.
#include "rewriter/analysis/JumpTables.h"
#include "rewriter/x64/Decode.h"
#include "llvm/Support/Endian.h"
#include <deque>

using namespace llvm;
using namespace llvm::support::endian;

namespace osv::analysis {

using x64::Instruction;
using x64::Op;
using x64::Operand;
using x64::Reg;

namespace {

constexpr unsigned kReach = 48; ///< instructions looked at before the jump

/// The value of a register, as far as it matters: constant, or what is loaded from a table, or by itself, or a sum.
struct Value {
  enum Kind { Unknown, Constant, Load, Pointer, Sum } kind = Unknown;
  Reg reg = Reg::None;      ///< Unknown: the register whose definition was not found
  uint64_t constant = 0;    ///< Constant; Load: the table
  Reg tableReg = Reg::None; ///< Load: the register that holds the table when it is not known
  uint8_t size = 0;         ///< Load: entry size
  VAddr at;                 ///< Load: the loading instruction
  Reg index = Reg::None;    ///< Load: index register at that place
  std::vector<Value> parts; ///< Sum
};

class Evaluator {
public:
  Evaluator(const CodeMap &map, VAddr jump) : map(map), function(functionRange(map, jump)), at(jump) {}

  /// The instruction `i` places before the jump on a straight line; null when there is none. Decodes on demand, since
  /// most jumps are understood, or given up, after a few.
  const Instruction *before(size_t i) {
    while (decoded.size() <= i && !ended) {
      ended = true;
      std::optional<VAddr> previous = decoded.size() < kReach ? map.previousInstruction(at) : std::nullopt;
      if (!previous || *previous < function.begin)
        break;
      x64::Shape shape = map.shapeAt(*previous);
      if (shape.flow == x64::Flow::Jmp || shape.flow == x64::Flow::Return || shape.flow == x64::Flow::IndirectJmp)
        break;
      std::optional<Instruction> in = x64::decode(map.bytesFrom(*previous), *previous);
      if (!in)
        break;
      ended = false;
      at = *previous;
      decoded.push_back(std::move(*in));
    }
    return i < decoded.size() ? &decoded[i] : nullptr;
  }

  /// Memory operand as a load.
  Value load(const Operand &mem, const Instruction &in, size_t from) {
    Value value;
    if (mem.seg != x64::Seg::Default)
      return value;
    value.kind = Value::Pointer; // jmp *slot, jmp *8(%rdi): not a table
    if (std::optional<VAddr> fixed = in.staticAddress(mem))
      return value;
    value.kind = Value::Load;
    value.size = mem.bits / 8;
    value.at = in.addr;
    value.index = mem.index;
    if (mem.base == Reg::None) {
      value.constant = mem.value;
      return value;
    }
    Value base = evaluate(mem.base, from, 4);
    if (base.kind == Value::Constant) {
      value.constant = base.constant + mem.value;
      return value;
    }
    if (mem.index != Reg::None && mem.scale == 1) { // base and index may be swapped
      Value other = evaluate(mem.index, from, 4);
      if (other.kind == Value::Constant) {
        value.constant = other.constant + mem.value;
        value.index = mem.base;
        return value;
      }
    }
    if (mem.index == Reg::None) {
      value = Value();
      value.kind = Value::Pointer;
      return value;
    }
    value.tableReg = base.kind == Value::Unknown && base.reg != Reg::None ? base.reg : mem.base;
    return value;
  }

  Value unknown(Reg reg) {
    Value value;
    value.reg = reg;
    return value;
  }
  Value constant(uint64_t number) {
    Value value;
    value.kind = Value::Constant;
    value.constant = number;
    return value;
  }

  /// The register's value right after instruction `from - 1` steps before the jump, i.e. looking from before(from) on.
  Value evaluate(Reg reg, size_t from, unsigned depth) {
    if (depth == 0)
      return unknown(Reg::None);
    for (size_t i = from; const Instruction *found = before(i); i++) {
      const Instruction &in = *found;
      if (in.op == Op::Call && regBit(reg) & kCallerSaved)
        return unknown(Reg::None);
      if (!in.writes(reg))
        continue;
      if (in.mnemonic() == "cdqe" || in.operands.empty())
        return in.mnemonic() == "cdqe" ? evaluate(reg, i + 1, depth) : unknown(Reg::None);
      const Operand &to = in.operands[0];
      if (!to.isReg(reg) || in.operands.size() < 2)
        return unknown(Reg::None);
      const Operand &source = in.operands[1];
      switch (in.op) {
      case Op::Mov:
      case Op::Movsxd:
        if (source.isImm())
          return constant(to.bits == 32 ? uint32_t(source.value) : source.value);
        if (source.kind == Operand::Register)
          return source.reg < Reg::Rip ? evaluate(source.reg, i + 1, depth) : unknown(Reg::None);
        return load(source, in, i + 1);
      case Op::Lea:
        if (std::optional<VAddr> address = in.staticAddress(source))
          return constant(address->raw());
        if (source.scale <= 1 && source.base < Reg::Rip && source.index < Reg::Rip && source.value == 0)
          return sum(evaluate(source.base, i + 1, depth - 1), evaluate(source.index, i + 1, depth - 1));
        return unknown(Reg::None);
      case Op::Add:
        if (source.kind == Operand::Register && source.reg < Reg::Rip)
          return sum(evaluate(reg, i + 1, depth - 1), evaluate(source.reg, i + 1, depth - 1));
        if (source.isMem())
          return sum(evaluate(reg, i + 1, depth - 1), load(source, in, i + 1));
        return unknown(Reg::None);
      default:
        return unknown(Reg::None);
      }
    }
    return unknown(reg);
  }

  Value sum(Value a, Value b) {
    Value value;
    value.kind = Value::Sum;
    value.parts.push_back(std::move(a));
    value.parts.push_back(std::move(b));
    return value;
  }

  /// The number of values that the index can have, from the comparison or mask that guards the jump; 0 when not seen.
  unsigned boundOf(VAddr load, Reg index) {
    uint32_t names = regBit(index);
    bool passed = false;
    for (size_t i = 0; const Instruction *found = before(i); i++) {
      const Instruction &in = *found;
      passed |= in.addr < load;
      if (!passed)
        continue;
      if (in.op == Op::Cmp && in.operands[1].isImm() && in.operands[0].kind == Operand::Register &&
          (regBit(in.operands[0].reg) & names) && i > 0) {
        int64_t limit = in.operands[1].value;
        return limit >= 0 && limit < int64_t(kMostEntries) ? unsigned(limit) + 1 : 0;
      }
      if (in.op == Op::And && in.operands[1].isImm() && in.operands[0].kind == Operand::Register &&
          (regBit(in.operands[0].reg) & names)) {
        int64_t mask = in.operands[1].value;
        return mask >= 0 && mask < int64_t(kMostEntries) ? unsigned(mask) + 1 : 0;
      }
      bool isMove = (in.op == Op::Mov || in.op == Op::Movzx || in.op == Op::Movsxd) &&
                    in.operands[0].kind == Operand::Register && (regBit(in.operands[0].reg) & names) &&
                    in.operands[1].kind == Operand::Register;
      if (isMove)
        names |= regBit(in.operands[1].reg);
    }
    return 0;
  }

  /// Every constant that a lea or mov of the function puts into `reg`.
  std::vector<uint64_t> constantsOf(Reg reg) const {
    std::vector<uint64_t> found;
    for (VAddr at : map.instructionsIn(function)) {
      x64::Shape shape = map.shapeAt(at);
      if (!(shape.traits & (x64::kRef | x64::kImmRef)))
        continue;
      std::optional<Instruction> in = x64::decode(map.bytesFrom(at), at);
      if (in && in->operands.size() == 2 && in->operands[0].isReg(reg) && !is_contained(found, shape.value))
        found.push_back(shape.value);
      if (found.size() >= 64)
        break;
    }
    return found;
  }

private:
  static constexpr uint32_t kCallerSaved = 0x0fc7; // rax rcx rdx rsi rdi r8-r11
  const CodeMap &map;
  AddrRange function;
  VAddr at; ///< of the last decoded
  bool ended = false;
  std::deque<Instruction> decoded; ///< [0] is the one right before the jump; a deque, because callers hold on to them
};

} // namespace

IndirectJump analyseIndirectJump(const elf::Image &image, const CodeMap &map, VAddr jump) {
  IndirectJump result;
  std::optional<Instruction> in = x64::decode(map.bytesFrom(jump), jump);
  if (!in || in->op != Op::Jmp || in->operands.empty())
    return result;
  Evaluator evaluator(map, jump);
  const Operand &operand = in->operands[0];
  Value value = operand.isMem()          ? evaluator.load(operand, *in, 0)
                : operand.reg < Reg::Rip ? evaluator.evaluate(operand.reg, 0, 6)
                                         : Value();

  auto addTables = [&](const Value &load, std::optional<uint64_t> base, Reg baseReg) {
    result.isTable = true;
    unsigned bound = evaluator.boundOf(load.at, load.index);
    std::vector<uint64_t> tables{load.constant};
    if (load.tableReg != Reg::None)
      tables = evaluator.constantsOf(load.tableReg);
    for (uint64_t table : tables) {
      std::vector<uint64_t> bases{base.value_or(0)};
      if (load.size == 4 && !base)
        bases = baseReg == load.tableReg || baseReg == Reg::None ? std::vector<uint64_t>{table}
                                                                 : evaluator.constantsOf(baseReg);
      for (uint64_t b : bases)
        result.candidates.push_back(
            {jump, VAddr(table), VAddr(b), load.size, bound, load.tableReg == Reg::None && bases.size() == 1});
    }
  };
  result.isPointer = value.kind == Value::Pointer || (value.kind == Value::Load && value.index == Reg::None);
  if (value.kind == Value::Load && value.size == 8) {
    bool isIndexed = value.index != Reg::None;
    if (isIndexed)
      addTables(value, 0, Reg::None);
  } else if (value.kind == Value::Sum) {
    const Value *load = nullptr, *base = nullptr;
    for (const Value &part : value.parts)
      (part.kind == Value::Load && !load ? load : base) = &part;
    if (load && base && load->size == 4) {
      if (base->kind == Value::Constant)
        addTables(*load, base->constant, Reg::None);
      else if (base->kind == Value::Unknown && base->reg != Reg::None)
        addTables(*load, std::nullopt, base->reg);
      else
        result.isTable = true;
    } else {
      result.isTable = true;
    }
  }
  return result;
}

AddrRange functionRange(const CodeMap &map, VAddr addr) {
  if (const Function *function = map.functionAt(addr); function && function->source != FunctionSource::Reference)
    return function->range;
  return {VAddr(addr.raw() > 0x10000 ? addr.raw() - 0x10000 : 0), addr + 0x10000};
}

std::optional<VAddr> tableEntry(const elf::Image &image, const CodeMap &map, const TableCandidate &candidate,
                                unsigned index) {
  VAddr place = candidate.table + uint64_t(index) * candidate.entrySize;
  ArrayRef<uint8_t> bytes = image.bytesAt(place, candidate.entrySize);
  if (bytes.empty())
    return std::nullopt;
  VAddr target = candidate.entrySize == 4 ? VAddr(candidate.base.raw() + int64_t(int32_t(read32le(bytes.data()))))
                                          : VAddr(read64le(bytes.data()));
  if (!map.regionAt(target) || (!candidate.bound && !functionRange(map, candidate.jump).contains(target)))
    return std::nullopt;
  return target;
}

} // namespace osv::analysis

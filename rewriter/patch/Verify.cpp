// SPDX-License-Identifier: BSD-3-Clause
//
// --verify. Knows neither plan nor code map: it reads the output from the disk, compares it byte for byte with the
// input, and wherever they differ demands that the difference is one of
//
//   - a RELATIVE relocation that the rewriter applies (link/Relocations);
//   - `hlt` that became `int3`, and is in the manifest's table of traps;
//   - `jmp` to code outside the program that does what the program's instructions did from there on: the same
//     instructions by their disassembly at their own addresses, the system call in one of the forms of patch/Stubs, the
//     same instructions again; and 3f, an invalid opcode, in the rest of the bytes that those instructions had.
//
// At each instruction of such code, the manifest must translate its address into that of the program's instruction.
#include "rewriter/patch/Stages.h"
#include "rewriter/x64/Decode.h"
#include "rewriter/x64/Encode.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Object/ELF.h"
#include "llvm/Support/FileSystem.h"
#include <map>

using namespace llvm;
using namespace llvm::object;

namespace osv::patch {

using x64::kJumpSize;
using x64::kSyscallSize;

namespace {

class Verifier {
public:
  explicit Verifier(const Context &ctx) : ctx(ctx) {}

  Error run() {
    if (Error error = readOutput())
      return error;
    for (const elf::Segment &segment : ctx.image.segments)
      if (Error error = compare(segment))
        return error;
    if (sites != ctx.plan.sites.size() - ctx.plan.count(Tactic::None))
      return fail("it has " + Twine(sites) + " patched sites, but " +
                  Twine(ctx.plan.sites.size() - ctx.plan.count(Tactic::None)) + " were planned");
    return Error::success();
  }

private:
  struct Load {
    RunAddr begin;
    ArrayRef<uint8_t> bytes;
    bool isExec;
  };

  Error fail(const Twine &why) const {
    return findingError(DiagId::VerifyFailed, "'" + ctx.opts.output + "' is wrong: " + why);
  }

  Error readOutput() {
    auto opened = MemoryBuffer::getFile(ctx.opts.output, /*IsText=*/false, /*RequiresNullTerminator=*/false);
    if (!opened)
      return fail(opened.getError().message());
    buffer = std::move(*opened);
    Expected<ELFFile<ELF64LE>> file = ELFFile<ELF64LE>::create(buffer->getBuffer());
    if (!file)
      return fail(toString(file.takeError()));
    auto headers = file->program_headers();
    if (!headers)
      return fail(toString(headers.takeError()));
    // A Linux executable keeps the input's addresses, also as PIE.
    isImage = ctx.opts.outputKind == OutputKind::Image;
    bias = isImage ? ctx.image.bias : 0;
    for (const auto &h : *headers) {
      if (h.p_type != ELF::PT_LOAD)
        continue;
      if (h.p_offset > buffer->getBufferSize() || h.p_filesz > buffer->getBufferSize() - h.p_offset)
        return fail("a segment is not in the file");
      const auto *bytes = reinterpret_cast<const uint8_t *>(buffer->getBufferStart()) + h.p_offset;
      loads.push_back({RunAddr(h.p_vaddr), {bytes, size_t(h.p_filesz)}, (h.p_flags & ELF::PF_X) != 0});
    }
    return isImage ? readManifest(*file) : Error::success();
  }

  /// Finds the gate and the manifest through the image's own symbols.
  Error readManifest(const ELFFile<ELF64LE> &file) {
    auto sections = file.sections();
    if (!sections)
      return fail(toString(sections.takeError()));
    RunAddr manifest;
    for (const auto &section : *sections) {
      if (section.sh_type != ELF::SHT_SYMTAB)
        continue;
      auto symbols = file.symbols(&section);
      auto strings = file.getStringTableForSymtab(section);
      if (!symbols || !strings)
        return joinErrors(symbols.takeError(), strings.takeError());
      for (const auto &symbol : *symbols) {
        Expected<StringRef> name = symbol.getName(*strings);
        if (!name)
          return fail(toString(name.takeError()));
        if (*name == "osv_gate_direct")
          gate = RunAddr(symbol.st_value);
        else if (*name == "osv_image")
          manifest = RunAddr(symbol.st_value);
      }
    }
    abi::ImageHeader header;
    ArrayRef<uint8_t> bytes = bytesFrom(manifest);
    if (bytes.size() < sizeof header)
      return fail("it has no manifest");
    std::memcpy(&header, bytes.data(), sizeof header);
    return joinErrors(readTable(header.stubs, stubs), readTable(header.traps, traps));
  }

  template <typename T> Error readTable(const abi::Table<T> &table, std::vector<T> &entries) {
    ArrayRef<uint8_t> bytes = table.count ? bytesFrom(RunAddr(table.addr)) : ArrayRef<uint8_t>();
    if (bytes.size() / sizeof(T) < table.count)
      return fail("a table of the manifest is not in a segment");
    entries.resize(table.count);
    if (table.count)
      std::memcpy(entries.data(), bytes.data(), table.count * sizeof(T));
    return Error::success();
  }

  ArrayRef<uint8_t> bytesFrom(RunAddr addr) const {
    for (const Load &load : loads)
      if (addr >= load.begin && addr - load.begin < load.bytes.size())
        return load.bytes.drop_front(addr - load.begin);
    return {};
  }
  RunAddr toRun(VAddr addr) const { return RunAddr(addr.raw() + bias); }

  Error compare(const elf::Segment &segment) {
    std::vector<VAddr> relocated;
    if (isImage && ctx.image.kind == elf::Kind::GoPie && ctx.image.dynamic)
      for (const elf::RelativeReloc &r : ctx.image.dynamic->relatives)
        if (r.place + 8 > segment.vaddr && r.place < segment.end())
          relocated.push_back(r.place);
    llvm::sort(relocated);
    // A page that two segments share belongs to the later one (link/Layout), so bytes may be out of their own load.
    ArrayRef<uint8_t> before = segment.bytes, after;
    for (uint64_t i = 0; i < before.size(); after = after.drop_front(), i++) {
      VAddr addr = segment.vaddr + i;
      if (after.empty() && (after = bytesFrom(toRun(addr))).empty())
        return fail("the program's byte at " + hex(addr) + " is missing");
      if (before[i] == after[0])
        continue;
      if (!isImage && isHeader(segment.offset + i))
        continue;
      auto next = llvm::upper_bound(relocated, addr);
      if (next != relocated.begin() && addr < next[-1] + 8)
        continue;
      if (before[i] == 0xf4 && after[0] == 0xcc) {
        if (none_of(traps,
                    [&](const abi::TrapMap &t) { return t.addr == toRun(addr).raw() && t.kind == abi::kTrapHlt; }))
          return fail("the trap at " + hex(addr) + " is not in the manifest");
        continue;
      }
      Expected<VAddr> end = checkSite(addr);
      if (!end)
        return end.takeError();
      uint64_t size = *end - addr;
      i += size - 1;
      after = after.drop_front(std::min<uint64_t>(size - 1, after.size() - 1));
    }
    return Error::success();
  }

  /// The ELF header's fields that --emit=elf changes.
  static bool isHeader(FileOff offset) {
    return (offset.raw() >= 32 && offset.raw() < 48) || (offset.raw() >= 56 && offset.raw() < 58) ||
           (offset.raw() >= 60 && offset.raw() < 62); // e_phoff, e_shoff, e_phnum, e_shnum
  }

  /// One instruction of the output's code outside the program.
  struct Step {
    x64::Instruction in;
    std::string text;
  };
  std::optional<Step> stepAt(RunAddr addr) const {
    // Decoded at the address that makes targets comparable with the input's.
    VAddr at(addr.raw() - bias);
    ArrayRef<uint8_t> bytes = bytesFrom(addr);
    std::optional<x64::Instruction> in = x64::decode(bytes, at);
    if (!in)
      return std::nullopt;
    return Step{*in, x64::format(bytes.take_front(in->length), at)};
  }
  bool isSyscall(RunAddr addr) const {
    ArrayRef<uint8_t> bytes = bytesFrom(addr);
    return bytes.size() >= 2 && bytes[0] == 0x0f && bytes[1] == 0x05;
  }
  /// `lea target(%rip), %rcx` and `jmp target`.
  std::optional<RunAddr> rcxAt(RunAddr addr) const {
    std::optional<Step> step = stepAt(addr);
    if (!step || step->in.op != x64::Op::Lea || !step->in.operands.size() || step->in.length != 7)
      return std::nullopt;
    for (const x64::Operand &operand : step->in.operands)
      if (operand.isMem() && step->in.writes(x64::Reg::Rcx) && operand.base == x64::Reg::Rip)
        return toRun(step->in.end() + operand.value);
    return std::nullopt;
  }
  std::optional<RunAddr> jumpAt(RunAddr addr) const {
    std::optional<Step> step = stepAt(addr);
    if (!step || step->in.op != x64::Op::Jmp || step->in.length != kJumpSize || !step->in.operands[0].isImm())
      return std::nullopt;
    return toRun(VAddr(step->in.operands[0].value));
  }

  /// The manifest must say that `stub` stands for `original`.
  Error checkMap(RunAddr stub, VAddr original, VAddr site) const {
    if (!isImage)
      return Error::success();
    auto run = find_if(stubs, [&](const abi::StubMap &s) { return stub.raw() - s.stub < s.size; });
    if (run == stubs.end() || run->site != toRun(site).raw() ||
        run->original + (run->flags & abi::kStubCopy ? stub.raw() - run->stub : 0) != toRun(original).raw())
      return fail("the manifest does not say that " + hex(stub) + " stands for " + hex(original));
    return Error::success();
  }

  /// The input and the output differ first at `start`. Returns the end of the bytes that may differ.
  Expected<VAddr> checkSite(VAddr start) {
    auto wrong = [&](const Twine &why) { return fail("at " + hex(start) + ": " + why); };
    std::optional<RunAddr> stub = jumpAt(toRun(start));
    if (!stub)
      return wrong("the bytes differ, and there is no jump");
    if (ctx.image.segmentAt(VAddr(stub->raw() - bias)))
      return wrong("the jump stays in the program");
    std::vector<std::pair<RunAddr, VAddr>> places;
    VAddr addr = start;
    RunAddr at = *stub;

    // What the program does up to the call.
    auto copies = [&]() -> std::optional<x64::Instruction> {
      ArrayRef<uint8_t> bytes = ctx.image.bytesFrom(addr);
      std::optional<x64::Instruction> in = x64::decode(bytes, addr);
      std::optional<Step> step = stepAt(at);
      if (!in || !step || step->text != x64::format(bytes.take_front(in->length), addr))
        return std::nullopt;
      places.push_back({at, addr});
      at += step->in.length;
      addr += in->length;
      return in;
    };
    for (unsigned n = 0; ctx.image.bytesAt(addr, 2) != ArrayRef<uint8_t>({0x0f, 0x05}); n++)
      if (n == 10 || !copies())
        return wrong("the stub " + hex(*stub) + " does something else at " + hex(at) + " than the program at " +
                     hex(addr));
    VAddr site = addr, next = addr + kSyscallSize;
    bool keepsSyscall = addr - start >= kJumpSize && isSyscall(toRun(addr));

    // The call, which comes back to the program or to the stub.
    places.push_back({at, site});
    RunAddr back = at;
    if (isImage) {
      std::optional<RunAddr> rcx = rcxAt(at), target = jumpAt(at + 7);
      if (!rcx || !target || *target != gate)
        return wrong("the stub does not enter the gate at " + hex(at));
      back = *rcx;
      places.push_back({at + 7, site});
      at = at + 7 + kJumpSize;
    } else {
      back = at + kSyscallSize;
    }
    VAddr end = site;
    if (!isImage || back != toRun(next)) {
      if (!isSyscall(at) || back != at + kSyscallSize)
        return wrong("there is no `syscall` before the return address " + hex(back));
      places.push_back({at, site});
      at = back;
      if (rcxAt(at) != toRun(next))
        return wrong("rcx is wrong after the call");
      places.push_back({at, next});
      at += 7;
      addr = next;
      // What the program does after it.
      bool goesOn = true;
      while (goesOn && jumpAt(at) != toRun(addr)) {
        std::optional<x64::Instruction> in = copies();
        if (!in || addr - start > 32)
          return wrong("the stub " + hex(*stub) + " does something else at " + hex(at) + " than the program at " +
                       hex(addr));
        goesOn = in->op != x64::Op::Jmp && in->op != x64::Op::Ret && in->mnemonic() != "ud2";
      }
      if (!keepsSyscall)
        end = std::max(addr, start + kJumpSize);
      else if (addr != next)
        return wrong("instructions were moved from behind a `syscall` that stays");
    } else if (!keepsSyscall) {
      return wrong("the call returns to the program but its `syscall` is gone");
    }

    for (auto [stubPlace, original] : places)
      if (Error error = checkMap(stubPlace, original, site))
        return std::move(error);
    for (VAddr rest = start + kJumpSize; rest < end; rest += 1)
      if (bytesFrom(toRun(rest))[0] != 0x3f)
        return wrong("what the jump leaves over is no trap at " + hex(rest));
    sites++;
    return end;
  }

  const Context &ctx;
  std::unique_ptr<MemoryBuffer> buffer;
  std::vector<Load> loads;
  std::vector<abi::StubMap> stubs;
  std::vector<abi::TrapMap> traps;
  RunAddr gate;
  uint64_t bias = 0;
  bool isImage = false;
  size_t sites = 0;
};

} // namespace

Error verifyOutput(const Context &ctx) {
  Error error = Verifier(ctx).run();
  if (error && !ctx.opts.verifyOnly)
    sys::fs::remove(ctx.opts.output);
  return error;
}

} // namespace osv::patch

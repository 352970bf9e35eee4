// SPDX-License-Identifier: BSD-3-Clause
//
// --emit=elf: the input file with the edits applied, and one more PT_LOAD at its end that holds the stubs. The program
// runs on Linux as before, but each of its system calls takes the way that it takes in an image; so whatever a tactic
// breaks shows in an ordinary process, at full speed, under strace and gdb.
//
// The table of program headers needs one entry more and there is seldom room behind it, so a new one stands at the
// beginning of the new segment; Linux (from 5.18 on) finds AT_PHDR through the segment that holds e_phoff. Everything
// else keeps its offset, section headers included. The heap begins behind the stubs.
#include "rewriter/patch/Stages.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileOutputBuffer.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
using namespace llvm::ELF;
using support::endian::read32le;
using support::endian::write32le;
using support::endian::write64le;

namespace osv::patch {

static constexpr uint64_t kPage = 4096;
static constexpr uint64_t kStubsAlign = 0x10000; ///< of their address: patch/Stubs

/// Writes the fields of `bytes`, which are at `addr`. All addresses are the file's own.
static void resolve(const Context &ctx, MutableArrayRef<uint8_t> bytes, ArrayRef<Fixup> fixups, VAddr addr,
                    VAddr stubs) {
  for (const Fixup &f : fixups) {
    VERIFY(f.kind == Fixup::Pc32 && f.base != Fixup::Runtime);
    VAddr target = f.base == Fixup::Stubs ? stubs + f.value : ctx.image.toFile(RunAddr(f.value));
    int64_t value = int64_t(target.raw() + f.addend - (addr + f.offset).raw());
    VERIFY(isInt<32>(value));
    auto field = int32_t(value);
    std::memcpy(&bytes[f.offset], &field, sizeof field);
  }
}

/// What the output has behind the stubs for those who unwind: .eh_frame for the stubs, and before it the table of
/// PT_GNU_EH_FRAME, which names the program's FDEs and the stubs' in one order.
static SmallVector<uint8_t, 0> makeEhFrame(const Context &ctx, VAddr addr) {
  FrameSection frames = makeFrameSection(unwindStubs(ctx), /*isEh=*/true);
  SmallVector<uint8_t, 0> out;
  if (frames.fdes.empty())
    return out;
  struct Entry {
    VAddr begin, fde;
  };
  std::vector<Entry> entries;
  constexpr uint8_t kPcRel4 = 0x1b, kUnsigned4 = 0x03, kDataRel4 = 0x3b; // DW_EH_PE_*
  ArrayRef<uint8_t> old = ctx.image.ehFrameHdr ? ctx.image.bytesFrom(ctx.image.ehFrameHdr->begin) : ArrayRef<uint8_t>();
  if (old.size() >= 12 && old[1] == kPcRel4 && old[2] == kUnsigned4 && old[3] == kDataRel4)
    for (uint32_t i = 0, count = read32le(&old[8]); i < count && 20 + 8 * uint64_t(i) <= old.size(); i++)
      entries.push_back({ctx.image.ehFrameHdr->begin + int64_t(int32_t(read32le(&old[12 + 8 * i]))),
                         ctx.image.ehFrameHdr->begin + int64_t(int32_t(read32le(&old[16 + 8 * i])))});
  uint64_t tableSize = alignTo(12 + 8 * (entries.size() + frames.fdes.size()), 8);
  VAddr frameAddr = addr + tableSize;
  for (const FrameSection::Fde &fde : frames.fdes) {
    VAddr stub = ctx.nativeStubs + fde.stub;
    entries.push_back({stub, frameAddr + fde.offset});
    write32le(&frames.bytes[fde.offset + 8], stub.raw() - (frameAddr + fde.offset + 8).raw());
  }
  llvm::sort(entries, [](const Entry &a, const Entry &b) { return a.begin < b.begin; });
  out = {1, kPcRel4, kUnsigned4, kDataRel4};
  auto word = [&](uint32_t value) {
    out.resize(out.size() + 4);
    write32le(out.end() - 4, value);
  };
  word(frameAddr.raw() - (addr + 4).raw());
  word(entries.size());
  for (const Entry &entry : entries) {
    word(entry.begin.raw() - addr.raw());
    word(entry.fde.raw() - addr.raw());
  }
  out.resize(tableSize);
  append_range(out, frames.bytes);
  return out;
}

/// Each stub's symbol, the name of its function with ".stub", behind the input's own. Nothing without a symbol table.
struct Symbols {
  SmallVector<uint8_t, 0> entries, names;
};
static Symbols makeSymbols(const Context &ctx, ArrayRef<uint8_t> entries, ArrayRef<uint8_t> names, uint16_t section) {
  Symbols all;
  append_range(all.entries, entries);
  append_range(all.names, names);
  for (const SitePlan &plan : ctx.plan.sites) {
    const Function *function = ctx.code.functionAt(plan.site);
    if (plan.tactic == Tactic::None || !function || function->name.empty())
      continue;
    Elf64_Sym symbol = {};
    symbol.st_name = all.names.size();
    symbol.setBindingAndType(STB_WEAK, STT_FUNC); // locals would have to precede the input's
    symbol.st_shndx = section;
    symbol.st_value = (ctx.nativeStubs + plan.stub).raw();
    symbol.st_size = plan.stubSize;
    const auto *raw = reinterpret_cast<const uint8_t *>(&symbol);
    all.entries.append(raw, raw + sizeof symbol);
    append_range(all.names, function->name);
    append_range(all.names, StringRef(".stub\0", 6));
  }
  return all;
}

static constexpr unsigned kMoreSections = 2; ///< that makeDebugSections adds

/// What stands behind the segments: .debug_frame for the stubs, symbols, and section headers that name these and the
/// stubs, for debuggers and disassemblers. Empty when the input has no section headers, or a .debug_frame of its own.
/// Begins at `offset` of the file; the stubs are at `stubsOffset`.
static SmallVector<uint8_t, 0> makeDebugSections(const Context &ctx, uint64_t offset, uint64_t stubsOffset) {
  SmallVector<uint8_t, 0> out;
  ArrayRef<uint8_t> input = ctx.image.fileBytes();
  auto header = reinterpret_cast<const Elf64_Ehdr *>(input.data());
  FrameSection frames = ctx.stubs.debugFrame;
  if (frames.fdes.empty() || ctx.image.sections.empty() || ctx.image.sectionNamed(".debug_frame") ||
      header->e_shstrndx >= header->e_shnum || header->e_shnum + kMoreSections >= SHN_LORESERVE)
    return out;
  auto first = reinterpret_cast<const Elf64_Shdr *>(input.data() + header->e_shoff);
  std::vector<Elf64_Shdr> headers(first, first + header->e_shnum);
  for (const FrameSection::Fde &fde : frames.fdes)
    write64le(&frames.bytes[fde.offset + 8], (ctx.nativeStubs + fde.stub).raw());
  auto place = [&](Elf64_Shdr &section, ArrayRef<uint8_t> bytes) {
    out.resize(alignTo(out.size(), 8));
    section.sh_offset = offset + out.size();
    section.sh_size = bytes.size();
    append_range(out, bytes);
  };
  auto bytesOf = [&](const Elf64_Shdr &section) { return input.slice(section.sh_offset, section.sh_size); };
  Elf64_Shdr frame = {}, stubs = {};
  frame.sh_type = SHT_PROGBITS;
  frame.sh_addralign = 8;
  place(frame, frames.bytes);
  stubs.sh_type = SHT_PROGBITS;
  stubs.sh_flags = SHF_ALLOC | SHF_EXECINSTR;
  stubs.sh_addralign = 16;
  stubs.sh_addr = ctx.nativeStubs.raw();
  stubs.sh_offset = stubsOffset;
  stubs.sh_size = ctx.stubs.bytes.size();
  auto table = find_if(headers, [](const Elf64_Shdr &h) { return h.sh_type == SHT_SYMTAB; });
  auto isInFile = [&](const Elf64_Shdr &h) {
    return h.sh_offset <= input.size() && h.sh_size <= input.size() - h.sh_offset;
  };
  bool hasSymbols = table != headers.end() && isInFile(*table) && table->sh_size % sizeof(Elf64_Sym) == 0 &&
                    table->sh_link < headers.size() && table->sh_link != header->e_shstrndx &&
                    headers[table->sh_link].sh_type == SHT_STRTAB && isInFile(headers[table->sh_link]);
  if (hasSymbols) {
    Elf64_Shdr &strings = headers[table->sh_link];
    Symbols symbols = makeSymbols(ctx, bytesOf(*table), bytesOf(strings), headers.size() + 1);
    place(*table, symbols.entries);
    place(strings, symbols.names);
  }
  Elf64_Shdr &names = headers[header->e_shstrndx];
  SmallVector<uint8_t, 0> allNames(bytesOf(names));
  frame.sh_name = allNames.size();
  append_range(allNames, StringRef(".debug_frame\0", 13));
  stubs.sh_name = allNames.size();
  append_range(allNames, StringRef(".text.stubs\0", 12));
  place(names, allNames);
  headers.insert(headers.end(), {frame, stubs});
  static_assert(kMoreSections == 2);
  out.resize(alignTo(out.size(), 8));
  const auto *raw = reinterpret_cast<const uint8_t *>(headers.data());
  out.append(raw, raw + headers.size() * sizeof(Elf64_Shdr));
  return out;
}

/// The program headers of the output: the input's, `load` behind the last PT_LOAD, and the table for unwinders.
static std::vector<Elf64_Phdr> makeHeaders(const elf::Image &image, const Elf64_Phdr &load, const Elf64_Phdr &frame) {
  std::vector<Elf64_Phdr> headers;
  size_t place = 0;
  for (const elf::ProgramHeader &h : image.headers) {
    headers.push_back({h.type, h.flags, h.offset.raw(), h.vaddr.raw(), h.vaddr.raw(), h.filesz, h.memsz, h.align});
    if (h.type == PT_LOAD)
      place = headers.size();
  }
  headers.insert(headers.begin() + place, load);
  if (frame.p_filesz) {
    auto old = find_if(headers, [](const Elf64_Phdr &h) { return h.p_type == PT_GNU_EH_FRAME; });
    if (old == headers.end())
      headers.push_back(frame);
    else
      *old = frame;
  }
  for (Elf64_Phdr &h : headers)
    if (h.p_type == PT_PHDR) {
      h.p_offset = load.p_offset;
      h.p_vaddr = h.p_paddr = load.p_vaddr;
      h.p_filesz = h.p_memsz = headers.size() * sizeof(Elf64_Phdr);
    }
  return headers;
}

Error writeNativeElf(Context &ctx) {
  makeStubs(ctx);
  const elf::Image &image = ctx.image;
  ArrayRef<uint8_t> input = image.fileBytes();

  uint64_t tableSize = alignTo((image.headers.size() + 2) * sizeof(Elf64_Phdr), kPage);
  Elf64_Phdr load = {};
  load.p_type = PT_LOAD;
  load.p_flags = PF_R | PF_X;
  load.p_align = kPage;
  load.p_offset = alignTo(input.size(), kPage);
  load.p_vaddr = load.p_paddr = alignTo(image.extent().end.raw() + kPage + tableSize, kStubsAlign) - tableSize;
  ctx.nativeStubs = VAddr(load.p_vaddr + tableSize);
  uint64_t frameAt = tableSize + alignTo(ctx.stubs.bytes.size(), 8);
  SmallVector<uint8_t, 0> ehFrame = makeEhFrame(ctx, VAddr(load.p_vaddr + frameAt));
  load.p_filesz = load.p_memsz = frameAt + ehFrame.size();
  Elf64_Phdr frame = load;
  frame.p_type = PT_GNU_EH_FRAME;
  frame.p_flags = PF_R;
  frame.p_align = 4;
  frame.p_offset += frameAt;
  frame.p_vaddr = frame.p_paddr = load.p_vaddr + frameAt;
  frame.p_filesz = frame.p_memsz = ehFrame.size();
  uint64_t debugAt = alignTo(load.p_offset + load.p_filesz, 8);
  SmallVector<uint8_t, 0> debug = makeDebugSections(ctx, debugAt, load.p_offset + tableSize);
  if (!isInt<32>(int64_t(load.p_vaddr + load.p_memsz - image.extent().begin.raw())))
    return findingError(DiagId::NoRoom, "no room for stubs in reach of the program's text");

  auto failed = [&](const Twine &why) {
    return findingError(DiagId::OutputIO, "cannot write '" + ctx.opts.output + "': " + why);
  };
  Expected<std::unique_ptr<FileOutputBuffer>> file =
      FileOutputBuffer::create(ctx.opts.output, debugAt + debug.size(), FileOutputBuffer::F_executable);
  if (!file)
    return failed(toString(file.takeError()));
  MutableArrayRef<uint8_t> out((*file)->getBufferStart(), (*file)->getBufferSize());
  std::copy(input.begin(), input.end(), out.begin());

  // The program.
  for (const Edit &edit : ctx.edits) {
    const elf::Segment *segment = image.segmentAt(edit.addr);
    VERIFY(segment && segment->fileEnd() - edit.addr >= edit.bytes.size());
    auto place = out.slice((segment->offset + (edit.addr - segment->vaddr)).raw(), edit.bytes.size());
    std::copy(edit.bytes.begin(), edit.bytes.end(), place.begin());
    resolve(ctx, place, edit.fixups, edit.addr, ctx.nativeStubs);
  }
  // The new segment.
  std::vector<Elf64_Phdr> headers = makeHeaders(image, load, frame);
  auto table = out.slice(load.p_offset);
  std::memcpy(table.data(), headers.data(), headers.size() * sizeof(Elf64_Phdr));
  auto stubs = table.slice(tableSize);
  std::copy(ctx.stubs.bytes.begin(), ctx.stubs.bytes.end(), stubs.begin());
  resolve(ctx, stubs, ctx.stubs.fixups, ctx.nativeStubs, ctx.nativeStubs);

  std::copy(ehFrame.begin(), ehFrame.end(), table.drop_front(frameAt).data());
  std::copy(debug.begin(), debug.end(), out.drop_front(debugAt).data());

  auto *header = reinterpret_cast<Elf64_Ehdr *>(out.data());
  if (!debug.empty()) {
    header->e_shoff = debugAt + debug.size() - (header->e_shnum + kMoreSections) * sizeof(Elf64_Shdr);
    header->e_shnum += kMoreSections;
  }
  header->e_phoff = load.p_offset;
  header->e_phnum = headers.size();
  if (Error error = (*file)->commit())
    return failed(toString(std::move(error)));
  return Error::success();
}

} // namespace osv::patch

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
#include "llvm/Support/FileOutputBuffer.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
using namespace llvm::ELF;

namespace osv::patch {

static constexpr uint64_t kPage = 4096;

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

/// The program headers of the output: the input's, and `load` behind the last PT_LOAD.
static std::vector<Elf64_Phdr> makeHeaders(const elf::Image &image, const Elf64_Phdr &load) {
  std::vector<Elf64_Phdr> headers;
  size_t place = 0;
  for (const elf::ProgramHeader &h : image.headers) {
    headers.push_back({h.type, h.flags, h.offset.raw(), h.vaddr.raw(), h.vaddr.raw(), h.filesz, h.memsz, h.align});
    if (h.type == PT_LOAD)
      place = headers.size();
  }
  headers.insert(headers.begin() + place, load);
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

  uint64_t tableSize = alignTo((image.headers.size() + 1) * sizeof(Elf64_Phdr), 64);
  Elf64_Phdr load = {};
  load.p_type = PT_LOAD;
  load.p_flags = PF_R | PF_X;
  load.p_align = kPage;
  load.p_offset = alignTo(input.size(), kPage);
  load.p_vaddr = load.p_paddr = alignTo(image.extent().end.raw(), kPage) + kPage;
  load.p_filesz = load.p_memsz = tableSize + ctx.stubs.bytes.size();
  ctx.nativeStubs = VAddr(load.p_vaddr + tableSize);
  if (!isInt<32>(int64_t(load.p_vaddr + load.p_memsz - image.extent().begin.raw())))
    return findingError(DiagId::NoRoom, "no room for stubs in reach of the program's text");

  auto failed = [&](const Twine &why) {
    return findingError(DiagId::OutputIO, "cannot write '" + ctx.opts.output + "': " + why);
  };
  Expected<std::unique_ptr<FileOutputBuffer>> file =
      FileOutputBuffer::create(ctx.opts.output, load.p_offset + load.p_filesz, FileOutputBuffer::F_executable);
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
  std::vector<Elf64_Phdr> headers = makeHeaders(image, load);
  auto table = out.slice(load.p_offset);
  std::memcpy(table.data(), headers.data(), headers.size() * sizeof(Elf64_Phdr));
  auto stubs = table.slice(tableSize);
  std::copy(ctx.stubs.bytes.begin(), ctx.stubs.bytes.end(), stubs.begin());
  resolve(ctx, stubs, ctx.stubs.fixups, ctx.nativeStubs, ctx.nativeStubs);

  auto *header = reinterpret_cast<Elf64_Ehdr *>(out.data());
  header->e_phoff = load.p_offset;
  header->e_phnum = headers.size();
  if (Error error = (*file)->commit())
    return failed(toString(std::move(error)));
  return Error::success();
}

} // namespace osv::patch

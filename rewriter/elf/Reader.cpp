// SPDX-License-Identifier: BSD-3-Clause
//
// Parses what the Linux loader would look at (ELF header, program headers) strictly and what it would not (sections,
// symbols, notes) leniently; the latter is in Tables.cpp. Every number is checked before it is used, with comparisons
// that cannot overflow, because the file is whatever somebody found on the Internet.
//
// The rules are the kernel's (fs/binfmt_elf.c), made stricter where Linux would map something else than the headers
// say: segments that overlap, or that the end of the file cuts off.
#include "rewriter/elf/Reader.h"
#include "rewriter/elf/Tables.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Object/ELFTypes.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
using namespace llvm::ELF;
using object::ELF64LE;

namespace osv::elf {

static constexpr uint64_t kPage = 4096;
static constexpr uint64_t kTaskSize = 0x7ffffffff000; ///< Linux's TASK_SIZE with 4-level paging
static constexpr uint64_t kPieBase = 0x400000;        ///< where a PIE is put, as if it were linked without -pie

using Ehdr = ELF64LE::Ehdr;
using Phdr = ELF64LE::Phdr;

static std::string lowerFirst(std::string text) {
  if (!text.empty())
    text[0] = toLower(text[0]);
  return text;
}

static bool inFile(const Image &image, uint64_t offset, uint64_t size) {
  uint64_t fileSize = image.buffer->getBufferSize();
  return offset <= fileSize && size <= fileSize - offset;
}

/// The magic number, class, machine and type, in the order that gives the most telling message.
static Error checkIdent(const Image &image) {
  ArrayRef<uint8_t> file = image.fileBytes();
  if (file.empty())
    return findingError(DiagId::NotElf, "the file is empty");
  StringRef start(image.buffer->getBufferStart(), std::min<size_t>(file.size(), 4));
  if (start != StringRef(ElfMagic).take_front(start.size()))
    return findingError(start.starts_with("#!") ? Finding(DiagId::NotElf, "is a script, not an ELF program")
                                                : Finding(DiagId::NotElf, "is not an ELF file"));
  if (file.size() <= EI_OSABI)
    return findingError(DiagId::Truncated, "the file ends inside the ELF header, after " + Twine(file.size()) + " of " +
                                               Twine(sizeof(Ehdr)) + " bytes");
  if (file[EI_CLASS] == ELFCLASS32)
    return findingError(DiagId::WrongClass, "is a 32-bit program; only x86-64 is supported");
  if (file[EI_CLASS] != ELFCLASS64)
    return findingError(DiagId::BadElfHeader, "unknown ELF class " + Twine(unsigned(file[EI_CLASS])));
  if (file[EI_DATA] == ELFDATA2MSB)
    return findingError(DiagId::WrongMachine, "is a big-endian program; only x86-64 is supported");
  if (file[EI_DATA] != ELFDATA2LSB)
    return findingError(DiagId::BadElfHeader, "unknown byte order " + Twine(unsigned(file[EI_DATA])));
  if (file[EI_VERSION] != EV_CURRENT)
    return findingError(DiagId::BadElfHeader, "unknown ELF version " + Twine(unsigned(file[EI_VERSION])));
  if (file.size() < sizeof(Ehdr))
    return findingError(DiagId::Truncated, "the file ends inside the ELF header, after " + Twine(file.size()) + " of " +
                                               Twine(sizeof(Ehdr)) + " bytes");
  if (file[EI_OSABI] != ELFOSABI_NONE && file[EI_OSABI] != ELFOSABI_LINUX)
    return findingError(DiagId::WrongOs, "is for another operating system than Linux (EI_OSABI is " +
                                             Twine(unsigned(file[EI_OSABI])) + ")");
  return Error::success();
}

static Error checkHeader(const Image &image, const Ehdr &header) {
  if (header.e_machine != EM_X86_64)
    return findingError(DiagId::WrongMachine, "is a program for '" + convertEMachineToArchName(header.e_machine) +
                                                  "' (e_machine " + Twine(unsigned(header.e_machine)) +
                                                  "); only x86-64 is supported");
  switch (header.e_type) {
  case ET_EXEC:
  case ET_DYN:
    break;
  case ET_REL:
    return findingError(DiagId::NotExecutable, "is a relocatable object; link it into a static program first");
  case ET_CORE:
    return findingError(DiagId::NotExecutable, "is a core dump, not a program");
  default:
    return findingError(DiagId::NotExecutable, "has the unknown ELF type " + Twine(unsigned(header.e_type)));
  }
  if (header.e_version != EV_CURRENT)
    return findingError(DiagId::BadElfHeader, "unknown ELF version " + Twine(uint32_t(header.e_version)));
  if (header.e_phnum == 0)
    return findingError(DiagId::NotExecutable, "has no program headers, so there is nothing to load");
  if (header.e_phentsize != sizeof(Phdr))
    return findingError(DiagId::BadElfHeader,
                        "e_phentsize is " + Twine(unsigned(header.e_phentsize)) + " instead of " + Twine(sizeof(Phdr)));
  // Linux's limit: the table fits into 64 KiB. That also excludes PN_XNUM.
  if (header.e_phnum > 65536 / sizeof(Phdr))
    return findingError(DiagId::BadElfHeader,
                        "e_phnum is " + Twine(unsigned(header.e_phnum)) + ", more than Linux loads");
  if (!inFile(image, header.e_phoff, uint64_t(header.e_phnum) * sizeof(Phdr)))
    return findingError(DiagId::Truncated, "the file ends before its " + Twine(unsigned(header.e_phnum)) +
                                               " program headers at offset " + hex(header.e_phoff));
  if (header.e_shoff != 0 && header.e_shnum != 0 &&
      !inFile(image, header.e_shoff, uint64_t(header.e_shnum) * sizeof(ELF64LE::Shdr)))
    return findingError(DiagId::Truncated, "the file ends before its " + Twine(unsigned(header.e_shnum)) +
                                               " section headers at offset " + hex(header.e_shoff));
  return Error::success();
}

/// A PT_LOAD by the loader's rules. `index` names the header in messages as readelf does.
static Error addSegment(Image &image, unsigned index, const ProgramHeader &ph) {
  auto bad = [&](DiagId id, const Twine &what) {
    return findingError(id, "program header " + Twine(index) + " (PT_LOAD at " + hex(ph.vaddr) + "): " + what);
  };
  if (ph.filesz > ph.memsz)
    return bad(DiagId::BadProgramHeader, "p_filesz " + hex(ph.filesz) + " is greater than p_memsz " + hex(ph.memsz));
  if (ph.memsz == 0)
    return Error::success();
  if (ph.vaddr.raw() >= kTaskSize || ph.memsz > kTaskSize - ph.vaddr.raw())
    return bad(DiagId::BadProgramHeader, "its " + hex(ph.memsz) + " bytes go beyond the address space");
  if (!inFile(image, ph.offset.raw(), ph.filesz))
    return bad(DiagId::Truncated, "the file ends before offset " + hex(ph.offset) + " + " + hex(ph.filesz));
  if (ph.align > 1 && !isPowerOf2_64(ph.align))
    return bad(DiagId::BadProgramHeader, "p_align " + hex(ph.align) + " is no power of two");
  if (ph.filesz && (ph.vaddr.raw() - ph.offset.raw()) % kPage)
    return bad(DiagId::BadProgramHeader, "p_offset " + hex(ph.offset) + " is not congruent to the address modulo 4096");
  if (!image.segments.empty()) {
    const Segment &last = image.segments.back();
    if (ph.vaddr < last.vaddr)
      return bad(DiagId::SegmentOverlap,
                 "comes after the segment at " + hex(last.vaddr) + "; segments must be in ascending order");
    if (ph.vaddr < last.end())
      return bad(DiagId::SegmentOverlap, "overlaps the segment at [" + hex(last.vaddr) + ", " + hex(last.end()) + ")");
  }
  image.segments.push_back({ph.vaddr, ph.offset, ph.filesz, ph.memsz, std::max<uint64_t>(ph.align, 1), ph.flags,
                            image.fileBytes().slice(ph.offset.raw(), ph.filesz)});
  return Error::success();
}

static Error addTls(Image &image, unsigned index, const ProgramHeader &ph) {
  auto bad = [&](const Twine &what) {
    return findingError(DiagId::BadProgramHeader, "program header " + Twine(index) + " (PT_TLS): " + what);
  };
  if (image.tls)
    return bad("there is a second one");
  if (ph.filesz > ph.memsz)
    return bad("p_filesz " + hex(ph.filesz) + " is greater than p_memsz " + hex(ph.memsz));
  if (ph.memsz > kTaskSize)
    return bad("p_memsz " + hex(ph.memsz) + " is larger than the address space");
  if (ph.align > 1 && !isPowerOf2_64(ph.align))
    return bad("p_align " + hex(ph.align) + " is no power of two");
  if (ph.filesz && image.bytesAt(ph.vaddr, ph.filesz).empty())
    return bad("its initial contents at " + hex(ph.vaddr) + " are in no segment");
  image.tls = TlsTemplate{ph.vaddr, ph.filesz, ph.memsz, std::max<uint64_t>(ph.align, 1)};
  return Error::success();
}

static Expected<StringRef> readInterpreter(const Image &image, unsigned index, const ProgramHeader &ph) {
  auto bad = [&](DiagId id, const Twine &what) {
    return findingError(id, "program header " + Twine(index) + " (PT_INTERP): " + what);
  };
  if (!inFile(image, ph.offset.raw(), ph.filesz))
    return bad(DiagId::Truncated, "the file ends before offset " + hex(ph.offset) + " + " + hex(ph.filesz));
  if (ph.filesz < 2 || ph.filesz > 4096)
    return bad(DiagId::BadProgramHeader, "its size " + hex(ph.filesz) + " is that of no path");
  StringRef path = image.buffer->getBuffer().substr(ph.offset.raw(), ph.filesz);
  if (path.find('\0') != path.size() - 1)
    return bad(DiagId::BadProgramHeader, "the path is not terminated");
  return path.drop_back();
}

/// Which kind of program this is, and whether it can do without a dynamic loader.
static Error classify(Image &image, bool isDyn, std::optional<StringRef> interpreter) {
  bool hasNeeded = image.dynamic && !image.dynamic->needed.empty();
  if (isDyn && !interpreter && image.dynamic && image.dynamic->isLibrary)
    return findingError(DiagId::NotExecutable, "is a shared library, not a program");
  if (hasNeeded) {
    std::string text = "is dynamically linked: needs '" + image.dynamic->needed.front().str() + "'";
    if (size_t more = image.dynamic->needed.size() - 1)
      text += " and " + std::to_string(more) + " more librar" + (more == 1 ? "y" : "ies");
    text += interpreter ? ", loaded by '" + interpreter->str() + "'" : ", and names no interpreter to load it";
    return findingError(Finding(DiagId::DynamicallyLinked, text)
                            .note("link it statically: gcc -static or -static-pie; CGO_ENABLED=0 go build; "
                                  "rustc -C target-feature=+crt-static"));
  }
  if (interpreter && !image.dynamic)
    return findingError(DiagId::DynamicallyLinked,
                        "asks for the interpreter '" + *interpreter + "' but has no dynamic section");
  image.kind = !isDyn ? Kind::Static : interpreter ? Kind::GoPie : Kind::StaticPie;
  if (!interpreter)
    return Error::success();

  // Nobody will be there to apply relocations at run time, so all of them must be ones that we can apply.
  if (image.dynamic->foreignType)
    return findingError(DiagId::UnsupportedRelocation, "relocation of type " + Twine(*image.dynamic->foreignType) +
                                                           " needs the interpreter '" + *interpreter +
                                                           "'; only R_X86_64_RELATIVE can be applied");
  for (const RelativeReloc &reloc : image.dynamic->relatives)
    if (image.bytesAt(reloc.place, 8).empty())
      return findingError(
          Finding(DiagId::UnsupportedRelocation, reloc.place,
                  "relocation of the 8 bytes at " + hex(reloc.place) + ", which are not all in the file"));
  return Error::success();
}

/// A PIE is put at 4 MiB, where a program that is no PIE would be: in the low 2 GiB, with a hole of 2 MiB for the
/// kernel below.
static uint64_t chooseBias(const Image &image) {
  uint64_t align = kPage;
  for (const Segment &segment : image.segments)
    align = std::max(align, segment.align);
  uint64_t base = alignTo(std::max(kPieBase, align), align);
  return base - alignDown(image.segments.front().vaddr.raw(), align);
}

Expected<Image> parseImage(std::unique_ptr<MemoryBuffer> buffer, StringRef name, Diag &diag) {
  Image image;
  image.name = name.str();
  image.buffer = std::move(buffer);
  if (Error error = checkIdent(image))
    return error;
  // The wrappers of llvm::object read byte-wise in little-endian order, so alignment does not matter.
  const char *base = image.buffer->getBufferStart();
  const auto &header = *reinterpret_cast<const Ehdr *>(base);
  if (Error error = checkHeader(image, header))
    return error;

  const auto *phdrs = reinterpret_cast<const Phdr *>(base + header.e_phoff);
  for (const Phdr &ph : ArrayRef(phdrs, header.e_phnum))
    image.headers.push_back(
        {ph.p_type, ph.p_flags, FileOff(ph.p_offset), VAddr(ph.p_vaddr), ph.p_filesz, ph.p_memsz, ph.p_align});
  for (auto [index, ph] : enumerate(image.headers))
    if (ph.type == PT_LOAD)
      if (Error error = addSegment(image, index, ph))
        return error;
  if (image.segments.empty())
    return findingError(DiagId::NotExecutable, "has no PT_LOAD segment, so there is nothing to load");

  // Segments are final here: what follows looks up addresses in them.
  std::optional<StringRef> interpreter;
  for (auto [index, ph] : enumerate(image.headers)) {
    switch (ph.type) {
    case PT_TLS:
      if (Error error = addTls(image, index, ph))
        return error;
      break;
    case PT_INTERP: {
      Expected<StringRef> path = readInterpreter(image, index, ph);
      if (!path)
        return path.takeError();
      interpreter = *path;
      break;
    }
    case PT_DYNAMIC:
      if (Error error = readDynamic(image, ph))
        return error;
      break;
    case PT_GNU_STACK:
      image.execStack = ph.flags & PF_X;
      break;
    case PT_GNU_RELRO:
    case PT_GNU_EH_FRAME:
      if (!image.segmentAt(ph.vaddr) || ph.memsz > kTaskSize)
        diag.report(Finding(DiagId::MalformedTable, "program header " + Twine(index) + " is in no segment; ignored"));
      else
        (ph.type == PT_GNU_RELRO ? image.relro : image.ehFrameHdr) = AddrRange{ph.vaddr, ph.vaddr + ph.memsz};
      break;
    case PT_NOTE:
      readNotes(image, ph, diag);
      break;
    }
  }
  if (Error error = classify(image, header.e_type == ET_DYN, interpreter))
    return error;
  if (!image.isPie() && image.segments.front().vaddr < VAddr(kPage))
    return findingError(DiagId::BadProgramHeader,
                        "a segment at " + hex(image.segments.front().vaddr) + " would make address 0 valid");
  image.entry = VAddr(header.e_entry);
  if (const Segment *segment = image.segmentAt(image.entry);
      !segment || !segment->isExec() || image.entry >= segment->fileEnd())
    return findingError(DiagId::BadEntry, "entry point " + hex(image.entry) + " is not in the code of any segment");
  if (image.isPie())
    image.bias = chooseBias(image);

  uint64_t tableSize = uint64_t(header.e_phnum) * sizeof(Phdr);
  for (const Segment &segment : image.segments)
    if (FileOff offset(header.e_phoff); segment.offset <= offset && offset - segment.offset < segment.filesz &&
                                        tableSize <= segment.filesz - (offset - segment.offset))
      image.headersAddr = segment.vaddr + (offset - segment.offset);

  if (image.execStack)
    diag.report(Finding(DiagId::ExecStack, "asks for an executable stack, which is not granted"));
  for (const Segment &segment : image.segments)
    if (segment.isExec() && segment.isWrite())
      diag.report(Finding(DiagId::WritableCode, segment.vaddr,
                          "the segment at " + hex(segment.vaddr) + " is both writable and executable"));
  readSections(image, header.e_shoff, header.e_shnum, header.e_shentsize, header.e_shstrndx, diag);
  readSymbols(image, diag);
  return image;
}

Expected<Image> readImage(StringRef path, Diag &diag) {
  sys::fs::file_status status;
  if (std::error_code ec = sys::fs::status(path, status))
    return findingError(DiagId::InputIO, "cannot open: " + lowerFirst(ec.message()));
  if (status.type() == sys::fs::file_type::directory_file)
    return findingError(DiagId::InputIO, "is a directory");
  if (status.type() != sys::fs::file_type::regular_file)
    return findingError(DiagId::InputIO, "is not a regular file");
  ErrorOr<std::unique_ptr<MemoryBuffer>> buffer =
      MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return findingError(DiagId::InputIO, "cannot read: " + lowerFirst(buffer.getError().message()));
  return parseImage(std::move(*buffer), path, diag);
}

} // namespace osv::elf

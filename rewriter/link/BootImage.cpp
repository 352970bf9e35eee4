// SPDX-License-Identifier: BSD-3-Clause
//
// The object file's sections:
//   .app.N       the pages of piece N of the layout, edits applied, exactly as they shall be in memory
//   .osv.image   `osv_image` (runtime/abi/Image.h) and the tables and strings that it names
//   .osv.rootfs  the cpio archive
//   .osv.stubs   code added by the rewriter, before the kernel's text, and .debug_frame for it
//   and tables that name what the kernel of this image has: handlers (SyscallTable.h), the unpacker of the archive
// The program's symbols become local ones, so that a debugger and the panic backtrace of the runtime know its
// functions, and none can clash with the runtime's.
#include "rewriter/link/BootImage.h"
#include "abi/AsmOffsets.h"
#include "abi/SyscallTable.h"
#include "rewriter/link/Layout.h"
#include "rewriter/link/ObjectWriter.h"
#include "rewriter/link/SyscallTable.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace llvm::ELF;

namespace osv::link {

using Piece = ImageLayout::Piece;

static constexpr uint64_t kStackSize = 8 << 20; ///< Linux's default RLIMIT_STACK
static const uint8_t kZeroPage[kPage] = {};

namespace {

/// Grows the bytes of `.osv.image` and remembers which fields are addresses.
class Manifest {
public:
  struct Pointer {
    uint64_t field; ///< offset of the u64
    enum Target { Self, Rootfs, Stubs } target;
    int64_t addend;
  };

  template <typename T> uint64_t append(ArrayRef<T> values) {
    data.resize(alignTo(data.size(), 8));
    uint64_t at = data.size();
    const auto *raw = reinterpret_cast<const uint8_t *>(values.data());
    data.insert(data.end(), raw, raw + values.size() * sizeof(T));
    return at;
  }
  uint64_t appendString(StringRef text) {
    uint64_t at = data.size();
    data.insert(data.end(), text.begin(), text.end());
    data.push_back(0);
    return at;
  }
  /// A table of pointers to strings.
  uint64_t appendStrings(ArrayRef<std::string> strings) {
    std::vector<uint64_t> places(strings.size());
    uint64_t table = append(ArrayRef(places));
    for (auto [index, text] : enumerate(strings))
      pointers.push_back({table + index * 8, Pointer::Self, int64_t(appendString(text))});
    return table;
  }
  void point(uint64_t field, uint64_t offset) { pointers.push_back({field, Pointer::Self, int64_t(offset)}); }

  std::vector<uint8_t> data;
  std::vector<Pointer> pointers;
};

} // namespace

static Manifest makeManifest(const Context &ctx) {
  const elf::Image &image = ctx.image;
  const ImageLayout &layout = ctx.layout;
  abi::ImageHeader header = {};
  header.magic = abi::kImageMagic;
  header.version = abi::kImageVersion;
  header.size = sizeof header;
  header.entry = image.toRun(image.entry).raw();
  header.phdr = image.headersAddr ? image.toRun(*image.headersAddr).raw() : 0;
  header.phentsize = sizeof(Elf64_Phdr);
  header.phnum = image.headers.size();
  header.loadBias = image.bias;
  header.brkStart = layout.brkStart.raw();
  header.brkLimit = layout.brkLimit.raw();
  header.stackSize = kStackSize;
  header.stackExec = image.execStack;
  header.tlsModel = ctx.opts.tlsModel;
  if (image.tls) {
    header.tlsImage = image.toRun(image.tls->vaddr).raw();
    header.tlsFilesz = image.tls->filesz;
    header.tlsMemsz = image.tls->memsz;
    header.tlsAlign = image.tls->align;
  }
  header.imageStart = layout.imageStart;
  header.imageEnd = layout.imageEnd;

  std::vector<abi::Segment> segments;
  for (const Piece &p : layout.pieces)
    segments.push_back({p.dataStart.raw(), p.size ? p.paddr + (p.dataStart - p.start) : 0, p.dataEnd - p.dataStart,
                        p.end - p.dataStart, p.flags, 0});
  std::string programName = sys::path::filename(image.name).str();
  std::vector<std::string> argv = {programName};
  append_range(argv, ctx.opts.args);

  Manifest m;
  m.append(ArrayRef(header));
#define FIELD(name) offsetof(abi::ImageHeader, name)
  auto table = [&](uint64_t field, uint64_t at, uint64_t count) {
    if (count)
      m.point(field, at);
    std::memcpy(&m.data[field + 8], &count, 8);
  };
  table(FIELD(segments), m.append(ArrayRef(segments)), segments.size());
  table(FIELD(argv), m.appendStrings(argv), argv.size());
  table(FIELD(envp), m.appendStrings(ctx.opts.env), ctx.opts.env.size());
  table(FIELD(traps), m.append(ArrayRef(ctx.traps)), ctx.traps.size());
  uint64_t stubs = m.append(ArrayRef(ctx.stubs.map));
  table(FIELD(stubs), stubs, ctx.stubs.map.size());
  for (auto [index, stub] : enumerate(ctx.stubs.map))
    m.pointers.push_back({stubs + index * sizeof stub, Manifest::Pointer::Stubs, int64_t(stub.stub)});
  m.point(FIELD(execName), m.appendString("/" + programName));
  if (uint64_t size = ctx.rootfs.size()) {
    m.pointers.push_back({FIELD(rootfs), Manifest::Pointer::Rootfs, 0});
    std::memcpy(&m.data[FIELD(rootfs) + 8], &size, 8);
  }
#undef FIELD
  return m;
}

/// The bytes of a piece's pages: the file's from the start of the first page on; after the end of the segment's file
/// part zeros if bss follows, else what the file has there, as mmap would show it.
static ObjectWriter::Chunks pieceBytes(const Context &ctx, const Piece &piece) {
  const elf::Segment &segment = ctx.image.segments[piece.segment];
  ArrayRef<uint8_t> file = ctx.image.fileBytes();
  uint64_t from = segment.offset.raw() - (piece.dataStart - piece.start);
  uint64_t size = piece.dataEnd - piece.start;
  if (segment.memsz == segment.filesz)
    size = std::min(piece.size, file.size() - from);
  ArrayRef<uint8_t> bytes = file.slice(from, size);

  ObjectWriter::Chunks chunks;
  RunAddr at = piece.start;
  auto edit = partition_point(ctx.edits,
                              [&](const Edit &e) { return ctx.image.toRun(e.addr) + e.bytes.size() <= piece.start; });
  for (; edit != ctx.edits.end() && ctx.image.toRun(edit->addr) < piece.start + size; ++edit) {
    ArrayRef<uint8_t> replacement = edit->bytes;
    RunAddr addr = ctx.image.toRun(edit->addr);
    if (addr < at) // begins in the page before, which another piece owns
      replacement = replacement.drop_front(at - addr);
    else
      chunks.push_back(bytes.slice(at - piece.start, addr - at));
    at = std::max(addr, at);
    replacement = replacement.take_front(std::min<uint64_t>(replacement.size(), piece.start + size - at));
    chunks.push_back(replacement);
    at += replacement.size();
  }
  chunks.push_back(bytes.drop_front(at - piece.start));
  // The rest is less than a page, unless the file ends early.
  for (uint64_t rest = piece.size - size; rest;) {
    uint64_t step = std::min(rest, kPage);
    chunks.push_back(ArrayRef(kZeroPage).take_front(step));
    rest -= step;
  }
  return chunks;
}

static std::string appSection(size_t index) { return ".app." + std::to_string(index); }

static const Piece *pieceAt(const ImageLayout &layout, RunAddr addr) {
  auto next = partition_point(layout.pieces, [&](const Piece &p) { return p.start <= addr; });
  if (next == layout.pieces.begin() || !(next - 1)->range().contains(addr))
    return nullptr;
  return &*(next - 1);
}

static void addProgramSymbols(const Context &ctx, ObjectWriter &object, ArrayRef<unsigned> sections) {
  for (const elf::Symbol &symbol : ctx.image.symbols) {
    if (symbol.isTls() || symbol.section == SHN_ABS)
      continue;
    // A local IFUNC would make LLD build a PLT entry; here it is the resolver, a function like any other.
    uint8_t type = symbol.isFunction() ? uint8_t(STT_FUNC) : symbol.type;
    RunAddr addr = ctx.image.toRun(symbol.addr);
    if (const Piece *piece = pieceAt(ctx.layout, addr))
      object.addSymbol(symbol.name, sections[piece - ctx.layout.pieces.data()], addr - piece->start, symbol.size, type);
    else
      object.addSymbol(symbol.name, ObjectWriter::kAbsolute, addr.raw(), symbol.size, type);
  }
}

namespace {
/// Turns Fixups into relocations of the object.
class FixupEmitter {
public:
  FixupEmitter(ObjectWriter &object, unsigned stubs) : object(object), stubs(stubs) {}
  void emit(unsigned section, uint64_t base, ArrayRef<Fixup> fixups) {
    for (const Fixup &f : fixups) {
      uint32_t type = f.kind == Fixup::Pc32 ? R_X86_64_PC32 : R_X86_64_64;
      int64_t addend = f.addend + (f.base == Fixup::Runtime ? 0 : int64_t(f.value));
      object.addReloc(section, base + f.offset, symbolFor(f), type, addend);
    }
  }

private:
  unsigned symbolFor(const Fixup &f) {
    if (f.base == Fixup::Stubs)
      return object.sectionSymbol(stubs);
    auto [it, isNew] = symbols.try_emplace(f.base == Fixup::Runtime ? f.symbol : "", 0);
    if (isNew)
      it->second = f.base == Fixup::Runtime
                       ? object.addSymbol(f.symbol, 0, 0, 0, STB_GLOBAL << 4)
                       : object.addSymbol("osv_address_zero", ObjectWriter::kAbsolute, 0, 0, STT_NOTYPE);
    return it->second;
  }
  ObjectWriter &object;
  unsigned stubs;
  StringMap<unsigned> symbols;
};
} // namespace

/// For debuggers: stubs unwind and are named after the functions that they belong to.
static void addStubFrames(const Context &ctx, ObjectWriter &object, unsigned stubs) {
  const FrameSection &frames = ctx.stubs.debugFrame;
  if (!frames.bytes.empty()) {
    unsigned section = object.addSection(".debug_frame", 0, 8, {ArrayRef<uint8_t>(frames.bytes)});
    for (const FrameSection::Fde &fde : frames.fdes) {
      uint32_t cie = support::endian::read32le(&frames.bytes[fde.offset + 4]);
      object.addReloc(section, fde.offset + 4, object.sectionSymbol(section), R_X86_64_32, cie);
      object.addReloc(section, fde.offset + 8, object.sectionSymbol(stubs), R_X86_64_64, fde.stub);
    }
  }
  for (const SitePlan &plan : ctx.plan.sites)
    if (plan.tactic != Tactic::None)
      if (std::string name = ctx.code.functionName(plan.site); !name.empty())
        object.addSymbol(name + ".stub", stubs, plan.stub, plan.stubSize, STT_FUNC);
}

Error writeObject(const Context &ctx, const ObjectContents &contents, int fd) {
  ObjectWriter object;
  std::vector<unsigned> sections;
  for (auto [index, piece] : enumerate(ctx.layout.pieces)) {
    uint64_t flags =
        SHF_ALLOC | (piece.flags & abi::kExec ? SHF_EXECINSTR : 0) | (piece.flags & abi::kWrite ? SHF_WRITE : 0);
    sections.push_back(contents.program && piece.size
                           ? object.addSection(appSection(index), flags, kPage, pieceBytes(ctx, piece))
                           : 0);
  }
  Manifest manifest = makeManifest(ctx);
  unsigned image = object.addSection(".osv.image", SHF_ALLOC, 8, {manifest.data});
  unsigned rootfs = object.addSection(".osv.rootfs", SHF_ALLOC, 8, {ctx.rootfs});
  unsigned stubs = object.addSection(".osv.stubs", SHF_ALLOC | SHF_EXECINSTR, 32, {ArrayRef<uint8_t>(ctx.stubs.bytes)});
  object.addSymbol("osv_image", image, 0, sizeof(abi::ImageHeader), STB_GLOBAL << 4 | STT_OBJECT);
  for (const Manifest::Pointer &p : manifest.pointers) {
    unsigned target = p.target == Manifest::Pointer::Self    ? image
                      : p.target == Manifest::Pointer::Stubs ? stubs
                                                             : rootfs;
    object.addReloc(image, p.field, object.sectionSymbol(target), R_X86_64_64, p.addend);
  }

  addStubFrames(ctx, object, stubs);
  // Without a root file system the kernel needs no way to unpack it.
  static constexpr uint8_t kNull[sizeof(uint64_t)] = {};
  unsigned unpacker = object.addSection(".rodata.osv_unpack_rootfs", SHF_ALLOC, 8, {kNull});
  object.addSymbol("osv_unpack_rootfs", unpacker, 0, sizeof kNull, STB_GLOBAL << 4 | STT_OBJECT);
  if (!ctx.rootfs.empty())
    object.addReloc(unpacker, 0, object.addSymbol("osv_unpack_cpio", 0, 0, 0, STB_GLOBAL << 4), R_X86_64_64, 0);
  SyscallTables tables(contents.leftOut);
  tables.addTo(object);

  FixupEmitter fixups(object, stubs);
  fixups.emit(stubs, 0, ctx.stubs.fixups);
  if (!contents.program)
    return object.write(fd);
  for (const Edit &edit : ctx.edits) {
    if (edit.fixups.empty())
      continue;
    const Piece *piece = pieceAt(ctx.layout, ctx.image.toRun(edit.addr));
    VERIFY(piece);
    fixups.emit(sections[piece - ctx.layout.pieces.data()], ctx.image.toRun(edit.addr) - piece->start, edit.fixups);
  }
  addProgramSymbols(ctx, object, sections);
  return object.write(fd);
}

uint64_t programTablesSize(const Context &ctx) {
  return makeManifest(ctx).data.size() + ctx.rootfs.size() + ctx.stubs.bytes.size();
}

uint64_t kernelDataSize(const Context &ctx) {
  uint64_t tables = SYSCALL_COUNT * (sizeof(uint64_t) + sizeof(abi::FrameHandler)); // of system calls, at most
  return programTablesSize(ctx) + tables + 3 * kPage;                               // alignment of each
}

std::string makeLinkerScript(const Context &ctx) {
  std::string text;
  raw_string_ostream os(text);
  const ImageLayout &layout = ctx.layout;
  os << "osv_kernel_base = " << layout.kernel.begin << ";\n"
     << "osv_kernel_phys = " << hex(layout.kernelPhys) << ";\n"
     << "ENTRY(osv_pvh_entry)\n";

  // Program headers ascend by address, as ELF wants, so the kernel's stand among the program's.
  auto below = [&](const Piece &p) { return p.start < layout.kernel.begin; };
  os << "PHDRS {\n";
  auto programHeaders = [&](bool wantBelow) {
    for (auto [index, p] : enumerate(layout.pieces))
      if (p.size && below(p) == wantBelow)
        os << "  app" << index << " PT_LOAD FLAGS(" << p.flags << ");\n";
  };
  programHeaders(true);
  os << "  text PT_LOAD FLAGS(5);\n  rodata PT_LOAD FLAGS(4);\n  data PT_LOAD FLAGS(6);\n";
  programHeaders(false);
  os << "  note PT_NOTE FLAGS(4);\n  tls PT_TLS FLAGS(4);\n}\nSECTIONS {\n";
  auto sections = [&](bool wantBelow) {
    for (auto [index, p] : enumerate(layout.pieces))
      if (p.size && below(p) == wantBelow)
        os << "  " << appSection(index) << ' ' << p.start << " : AT(" << hex(p.paddr) << ") { KEEP(*("
           << appSection(index) << ")) } :app" << index << "\n";
  };
  sections(true);
  SmallString<128> kernel(ctx.opts.libDir); // by its path: LLD would take one in the working directory first
  sys::path::append(kernel, "kernel.ld");
  os << "  INCLUDE \"" << kernel << "\"\n";
  sections(false);
  // --orphan-handling=error wants every section named: nothing gets into an image by accident.
  os << "  .comment 0 : { *(.comment) }\n"
     << "  .debug_abbrev 0 : { *(.debug_abbrev) }\n  .debug_addr 0 : { *(.debug_addr) }\n"
     << "  .debug_aranges 0 : { *(.debug_aranges) }\n  .debug_frame 0 : { *(.debug_frame) }\n"
     << "  .debug_info 0 : { *(.debug_info) }\n  .debug_line 0 : { *(.debug_line) }\n"
     << "  .debug_line_str 0 : { *(.debug_line_str) }\n  .debug_loclists 0 : { *(.debug_loclists) }\n"
     << "  .debug_names 0 : { *(.debug_names) }\n  .debug_ranges 0 : { *(.debug_ranges) }\n"
     << "  .debug_rnglists 0 : { *(.debug_rnglists) }\n  .debug_str 0 : { *(.debug_str) }\n"
     << "  .debug_str_offsets 0 : { *(.debug_str_offsets) }\n"
     << "  .symtab 0 : { *(.symtab) }\n  .strtab 0 : { *(.strtab) }\n  .shstrtab 0 : { *(.shstrtab) }\n"
     << "  /DISCARD/ : { *(.note.GNU-stack) *(.note.gnu.property) *(.llvm_addrsig) }\n}\n";
  return text;
}

} // namespace osv::link

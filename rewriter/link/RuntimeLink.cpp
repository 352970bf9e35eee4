// SPDX-License-Identifier: BSD-3-Clause
//
// The link. Inputs are the runtime archive (members are pulled from the entry symbol on), the program's object file,
// and the linker script; the last two exist only in memory (memfd), since LLD wants paths: /proc/self/fd/N.
//
// The output appears under its name only when it is complete and checked. LLD writes to a temporary name in the same
// directory, whose space is reserved before the link, so that a full disk is found while the message can still be a
// good one.
#include "rewriter/link/RuntimeLink.h"
#include "lld/Common/Driver.h"
#include "rewriter/link/BootImage.h"
#include "rewriter/link/Layout.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Object/Archive.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Signals.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

LLD_HAS_DRIVER(elf)

using namespace llvm;
using namespace llvm::object;

namespace osv::link {

static constexpr uint64_t kSymbolSlack = 1 << 20; ///< room for symbols and headers when the disk space is reserved

static std::string runtimePath(const Context &ctx) {
  SmallString<128> path(ctx.opts.libDir);
  sys::path::append(path, ctx.opts.tlsModel == abi::kTlsGs ? "runtime-gs.a" : "runtime-fs.a");
  return path.str().str();
}

Expected<uint64_t> runtimeSize(const Context &ctx) {
  std::string path = runtimePath(ctx);
  auto missing = [&](const Twine &why) {
    return findingError(DiagId::RuntimeMissing, "cannot use the runtime '" + path + "': " + why);
  };
  SmallString<128> script(ctx.opts.libDir);
  sys::path::append(script, "kernel.ld");
  if (!sys::fs::exists(script))
    return missing("there is no 'kernel.ld' beside it");
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return missing(buffer.getError().message());
  Expected<std::unique_ptr<Archive>> archive = Archive::create((*buffer)->getMemBufferRef());
  if (!archive)
    return missing(toString(archive.takeError()));
  uint64_t size = 0;
  Error error = Error::success();
  for (const Archive::Child &child : (*archive)->children(error)) {
    Expected<std::unique_ptr<Binary>> binary = child.getAsBinary();
    if (!binary)
      return missing(toString(binary.takeError()));
    const auto *object = dyn_cast<ELF64LEObjectFile>(binary->get());
    if (!object)
      return missing("it holds a member that is no x86-64 object");
    for (const ELFSectionRef section : object->sections())
      if (section.getFlags() & ELF::SHF_ALLOC)
        size += alignTo(section.getSize(), section.getAlignment()) + section.getAlignment().value() - 1;
  }
  if (error)
    return missing(toString(std::move(error)));
  return size;
}

namespace {
/// A file that exists only in memory; `path` names it within this process.
struct MemoryFile {
  int fd = -1;
  explicit MemoryFile(const char *name) : fd(memfd_create(name, MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (fd >= 0)
      ::close(fd);
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd); }
};
} // namespace

static Error outputError(const Context &ctx, const Twine &why) {
  return findingError(DiagId::OutputIO, "cannot write '" + ctx.opts.output + "': " + why);
}

static std::string describeErrno(int error) { return std::error_code(error, std::generic_category()).message(); }

/// Bytes that the image will have, about.
static uint64_t expectedSize(const ImageLayout &layout) {
  uint64_t size = layout.kernel.size() + kSymbolSlack;
  for (const ImageLayout::Piece &piece : layout.pieces)
    size += piece.size;
  return size;
}

/// Makes an empty file beside the output, after making sure that the image will fit.
static Expected<std::string> reserveOutput(const Context &ctx) {
  if (sys::fs::is_directory(ctx.opts.output))
    return outputError(ctx, "is a directory");
  SmallString<128> path;
  int fd;
  if (std::error_code ec = sys::fs::createUniqueFile(ctx.opts.output + ".%%%%%%%%", fd, path))
    return outputError(ctx, ec.message());
  int error = posix_fallocate(fd, 0, expectedSize(ctx.layout));
  if (error == 0 && ftruncate(fd, 0) != 0)
    error = errno;
  ::close(fd);
  if (error && error != EOPNOTSUPP && error != EINVAL) {
    sys::fs::remove(path);
    return outputError(ctx, describeErrno(error));
  }
  return path.str().str();
}

/// Runs LLD. On failure its messages are notes of the finding.
static Error runLld(const Context &ctx, ArrayRef<std::string> args) {
  std::vector<const char *> argv;
  for (const std::string &arg : args)
    argv.push_back(arg.c_str());
  std::string messages;
  raw_string_ostream os(messages);
  lld::Result result = lld::lldMain(argv, os, os, {{lld::Gnu, &lld::elf::link}});
  if (result.retCode == 0)
    return Error::success();
  if (StringRef(messages).contains("No space left on device"))
    return outputError(ctx, describeErrno(ENOSPC));
  Finding finding(DiagId::LinkFailed, "program and runtime could not be linked");
  SmallVector<StringRef> lines;
  StringRef(messages).split(lines, '\n', -1, /*KeepEmpty=*/false);
  for (StringRef line : lines)
    finding.note(line);
  return findingError(std::move(finding));
}

namespace {
/// A linked file, to be looked at.
struct LinkedFile {
  std::unique_ptr<MemoryBuffer> buffer;
  std::optional<ELFFile<ELF64LE>> elf;
  ArrayRef<ELF64LE::Phdr> headers;

  static Expected<LinkedFile> open(StringRef path) {
    LinkedFile file;
    auto buffer = MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
    if (!buffer)
      return errorCodeToError(buffer.getError());
    file.buffer = std::move(*buffer);
    Expected<ELFFile<ELF64LE>> elf = ELFFile<ELF64LE>::create(file.buffer->getBuffer());
    if (!elf)
      return elf.takeError();
    file.elf = *elf;
    auto headers = file.elf->program_headers();
    if (!headers)
      return headers.takeError();
    file.headers = *headers;
    return file;
  }
};
} // namespace

/// Our own promises about the linked file: the kernel stayed within what the layout reserved for it.
static Error checkImage(const Context &ctx, const LinkedFile &file) {
  auto failed = [&](const Twine &why) { return findingError(DiagId::LinkFailed, "the linked image is wrong: " + why); };
  const ImageLayout &layout = ctx.layout;
  bool hasNote = false;
  for (const auto &ph : file.headers) {
    hasNote |= ph.p_type == ELF::PT_NOTE && ph.p_filesz != 0;
    if (ph.p_type != ELF::PT_LOAD || ph.p_memsz == 0)
      continue;
    RunRange range{RunAddr(ph.p_vaddr), RunAddr(ph.p_vaddr + ph.p_memsz)};
    if (any_of(layout.pieces, [&](const ImageLayout::Piece &p) { return p.range() == range && p.paddr == ph.p_paddr; }))
      continue;
    if (range.begin < layout.kernel.begin || range.end > layout.kernel.end)
      return failed("the kernel's segment [" + hex(range.begin) + ", " + hex(range.end) + ") is outside its reserve [" +
                    hex(layout.kernel.begin) + ", " + hex(layout.kernel.end) + ")");
    if (ph.p_paddr - layout.kernelPhys != range.begin - layout.kernel.begin)
      return failed("the kernel's segment " + hex(range.begin) + " is at the wrong physical address");
  }
  if (!hasNote)
    return failed("it has no PVH note");
  return Error::success();
}

/// The kernel's segments are those in its reserve, whole pages as they are; its symbols are those with values there.
static KernelSize measureKernel(const Context &ctx, const LinkedFile &file) {
  KernelSize size;
  const RunRange reserve = ctx.layout.kernel;
  for (const auto &ph : file.headers) {
    if (ph.p_type != ELF::PT_LOAD || !reserve.contains(RunAddr(ph.p_vaddr)))
      continue;
    uint64_t &part = ph.p_flags & ELF::PF_X ? size.text : ph.p_flags & ELF::PF_W ? size.data : size.rodata;
    part += ph.p_filesz;
    size.zeros += ph.p_memsz - ph.p_filesz;
  }
  size.tables = programTablesSize(ctx);
  size.text -= ctx.stubs.bytes.size();
  size.rodata -= size.tables - ctx.stubs.bytes.size();
  for (const ELF64LE::Shdr &section : cantFail(file.elf->sections())) {
    if (section.sh_type != ELF::SHT_SYMTAB)
      continue;
    StringRef names = cantFail(file.elf->getStringTableForSymtab(section));
    for (const ELF64LE::Sym &symbol : cantFail(file.elf->symbols(&section)))
      if (reserve.contains(RunAddr(symbol.st_value)))
        size.symbols += sizeof symbol + StringRef(names.data() + symbol.st_name).size() + 1;
  }
  return size;
}

/// Links program, or only its tables, with the runtime. `output` is a file that is there already.
static Expected<LinkedFile> linkTo(const Context &ctx, const ObjectContents &contents, const std::string &output) {
  MemoryFile object("program.o"), script("image.ld");
  if (object.fd < 0 || script.fd < 0)
    return createStringError("memfd_create: " + describeErrno(errno));
  if (Error error = writeObject(ctx, contents, object.fd))
    return error;
  raw_fd_ostream(script.fd, /*shouldClose=*/false) << makeLinkerScript(ctx);
  std::vector<std::string> args = {
      "ld.lld", "-static", "-nostdlib", "--gc-sections", "--orphan-handling=error", "--fatal-warnings", "-z",
      "max-page-size=4096", "-z", "norelro", "-z", "nognustack", "--no-rosegment", "--color-diagnostics=never",
      // Two threads are worth their start only when there is much to copy.
      expectedSize(ctx.layout) < (8 << 20) ? "--threads=1" : "--threads=2", "-L", ctx.opts.libDir, "-T", script.path(),
      "-u", "osv_image", "-o", output, object.path(), runtimePath(ctx)};
  if (!ctx.opts.debugInfo)
    args.push_back("--strip-debug");
  if (Error error = runLld(ctx, args))
    return error;
  Expected<LinkedFile> file = LinkedFile::open(output);
  if (!file)
    return findingError(DiagId::LinkFailed, "the linked image is wrong: " + toString(file.takeError()));
  return file;
}

/// The kernel without what was left out is here; how large it would be with it, only another link tells.
static Expected<uint64_t> measureWholeKernel(const Context &ctx) {
  int fd;
  SmallString<128> path;
  if (std::error_code ec = sys::fs::createTemporaryFile("osv-rewrite", "kernel", fd, path))
    return createStringError("temporary file: " + ec.message());
  ::close(fd);
  sys::RemoveFileOnSignal(path);
  auto cleanUp = make_scope_exit([&] {
    sys::fs::remove(path);
    sys::DontRemoveFileOnSignal(path);
  });
  Expected<LinkedFile> file = linkTo(ctx, {/*program=*/false, {}}, path.str().str());
  if (!file)
    return file.takeError();
  return measureKernel(ctx, *file).total();
}

Error linkImage(Context &ctx) {
  Expected<std::string> temporary = reserveOutput(ctx);
  if (!temporary)
    return temporary.takeError();
  sys::RemoveFileOnSignal(*temporary);
  auto cleanUp = make_scope_exit([&] {
    sys::fs::remove(*temporary);
    sys::DontRemoveFileOnSignal(*temporary);
  });
  Expected<LinkedFile> file = linkTo(ctx, {/*program=*/true, ctx.kernelCalls.leftOut}, *temporary);
  if (!file)
    return file.takeError();
  if (Error error = checkImage(ctx, *file))
    return error;
  ctx.kernelSize = measureKernel(ctx, *file);
  if (!ctx.kernelCalls.leftOut.empty()) {
    Expected<uint64_t> whole = measureWholeKernel(ctx);
    if (!whole)
      return whole.takeError();
    ctx.kernelSize->saved = *whole - ctx.kernelSize->total();
  }
  if (std::error_code ec = sys::fs::rename(*temporary, ctx.opts.output))
    return outputError(ctx, ec.message());
  cleanUp.release();
  sys::DontRemoveFileOnSignal(*temporary);
  return Error::success();
}

void printKernel(const Context &ctx, raw_ostream &os) {
  const KernelSize &size = *ctx.kernelSize;
  StringRef name = ctx.diag.inputName();
  os << name << ": kernel's part " << size.total() << " bytes in the file (text " << size.text << ", rodata "
     << size.rodata << ", data " << size.data << "); besides, the program's tables " << size.tables << ", symbols "
     << size.symbols << ", zeroed memory " << size.zeros << '\n';
  const std::vector<int64_t> &leftOut = ctx.kernelCalls.leftOut;
  if (leftOut.empty())
    return;
  os << name << ": " << leftOut.size() << " system calls are left out, which saves " << size.saved << " bytes:";
  for (int64_t number : leftOut)
    os << ' ' << syscallName(number);
  os << '\n';
}

} // namespace osv::link

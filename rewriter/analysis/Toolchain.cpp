// SPDX-License-Identifier: BSD-3-Clause
//
// Who made the program: compiler and language from .comment, notes and Go's build information, the libc from what each
// leaves in every static program. For the report only; nothing is decided by it but how Go's slot at %fs:-8 is named.
#include "rewriter/analysis/Stages.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/BinaryFormat/ELF.h"
#include <cstring>

using namespace llvm;

namespace osv::analysis {

namespace {

/// Looks for `needle` in what is loaded but neither executable nor writable; in all segments when that is nothing.
StringRef findText(const elf::Image &image, StringRef needle) {
  for (bool readOnly : {true, false})
    for (const elf::Segment &segment : image.segments) {
      if ((!segment.isExec() && !segment.isWrite()) != readOnly)
        continue;
      StringRef bytes = toStringRef(segment.bytes);
      const void *found = memmem(bytes.data(), bytes.size(), needle.data(), needle.size());
      if (found)
        return bytes.drop_front(static_cast<const char *>(found) - bytes.data());
    }
  return {};
}

/// "go1.19.8" from the header that Go's linker writes (debug/buildinfo).
std::string goVersion(const elf::Image &image) {
  constexpr StringRef kMagic("\xff Go buildinf:", 14);
  StringRef blob;
  for (const char *name : {".go.buildinfo", ".data"})
    if (const elf::Section *section = image.sectionNamed(name); section && blob.empty())
      if (size_t at = toStringRef(section->bytes).find(kMagic); at != StringRef::npos)
        blob = toStringRef(section->bytes).drop_front(at);
  if (blob.empty())
    blob = findText(image, kMagic);
  if (blob.size() < 34)
    return "";
  if (blob[15] & 2) { // since 1.18: the strings follow, each after its length
    size_t length = uint8_t(blob[32]);
    return blob.substr(33, std::min<size_t>(length, 64)).str();
  }
  uint64_t pointer;
  memcpy(&pointer, blob.data() + 16, 8);
  ArrayRef<uint8_t> header = image.bytesAt(VAddr(pointer), 16);
  if (header.empty())
    return "";
  uint64_t data, size;
  memcpy(&data, header.data(), 8);
  memcpy(&size, header.data() + 8, 8);
  return toStringRef(image.bytesAt(VAddr(data), std::min<uint64_t>(size, 64))).str();
}

/// Without build information: runtime.buildVersion's text. Go's strings have no end, so "go1.26.5" is taken only where
/// what comes before and after cannot belong to it.
std::string goVersionText(const elf::Image &image) {
  for (const elf::Segment &segment : image.segments) {
    if (segment.isExec() || segment.isWrite())
      continue;
    StringRef bytes = toStringRef(segment.bytes);
    for (size_t at = bytes.find("go1."); at != StringRef::npos; at = bytes.find("go1.", at + 1)) {
      StringRef version =
          bytes.drop_front(at + 2).take_front(16).take_while([](char c) { return isDigit(c) || c == '.'; });
      char after = at + 2 + version.size() < bytes.size() ? bytes[at + 2 + version.size()] : 0;
      bool isAlone = (at == 0 || !isPrint(bytes[at - 1])) && !isPrint(after) && version.size() >= 4;
      if (isAlone)
        return ("go" + version.rtrim('.')).str();
    }
  }
  return "";
}

std::string glibcVersion(const elf::Image &image) {
  StringRef banner = findText(image, "GNU C Library (");
  if (banner.empty())
    return "";
  banner = banner.take_front(200);
  size_t at = banner.find("version ");
  return at == StringRef::npos
             ? ""
             : banner.drop_front(at + 8).take_while([](char c) { return isDigit(c) || c == '.'; }).rtrim('.').str();
}

bool hasNote(const elf::Image &image, StringRef owner, uint32_t type) {
  return any_of(image.notes, [&](const elf::Note &n) { return n.owner == owner && n.type == type; });
}

void readComment(const elf::Image &image, Toolchain &toolchain) {
  const elf::Section *comment = image.sectionNamed(".comment");
  if (!comment)
    return;
  SmallVector<StringRef, 8> lines;
  toStringRef(comment->bytes).split(lines, '\0', -1, /*KeepEmpty=*/false);
  for (StringRef line : lines)
    if (!is_contained(toolchain.compilers, line) && toolchain.compilers.size() < 8)
      toolchain.compilers.push_back(line.str());
}

std::string languageOf(const elf::Image &image, const CodeMap &map, const Toolchain &toolchain) {
  if (toolchain.isGo)
    return "Go";
  bool isRust = any_of(toolchain.compilers, [](StringRef c) { return c.contains("rustc"); }) ||
                !findText(image, "/rustc/").empty() || !findText(image, "library/std/src/panicking.rs").empty();
  if (isRust)
    return "Rust";
  if (!findText(image, "terminate called after throwing").empty() || !findText(image, "St9exception").empty())
    return "C++";
  return "C";
}

std::string libcOf(const elf::Image &image, const Context &context) {
  std::string glibc = glibcVersion(image);
  if (!glibc.empty())
    return "glibc " + glibc;
  if (hasNote(image, "GNU", ELF::NT_GNU_ABI_TAG))
    return "glibc";
  if (context.analysis.toolchain.isGo)
    return "none (Go runtime)";
  auto hasSymbol = [&](StringRef wanted) {
    return any_of(image.symbols, [&](const elf::Symbol &s) { return s.name == wanted; });
  };
  if (hasSymbol("__init_libc") || hasSymbol("__libc_start_init") || !findText(image, "No error information").empty())
    return "musl";
  return "unknown";
}

} // namespace

Error identifyToolchain(Context &context) {
  const elf::Image &image = context.image;
  Toolchain &toolchain = context.analysis.toolchain;
  toolchain.isGo =
      any_of(context.code.functions, [](const Function &f) { return f.source == FunctionSource::GoTable; });
  std::string go = goVersion(image);
  if (go.empty() && toolchain.isGo)
    go = goVersionText(image);
  if (!go.empty()) {
    toolchain.isGo = true;
    toolchain.compilers.push_back(go);
  }
  readComment(image, toolchain);
  toolchain.language = languageOf(image, context.code, toolchain);
  toolchain.libc = libcOf(image, context);
  for (const elf::Note &note : image.notes)
    if (note.owner == "GNU" && note.type == ELF::NT_GNU_BUILD_ID)
      toolchain.buildId = toHex(note.desc, /*LowerCase=*/true);
  for (const elf::Symbol &symbol : image.symbols)
    context.analysis.ifuncs += symbol.type == ELF::STT_GNU_IFUNC;
  return Error::success();
}

} // namespace osv::analysis

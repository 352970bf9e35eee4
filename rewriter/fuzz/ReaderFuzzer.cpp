// SPDX-License-Identifier: BSD-3-Clause
//
// libFuzzer target for everything that looks at a file before the link: reader, look-ups, layout. Whatever the bytes
// are, the outcome is an image that keeps the promises of elf/Image.h or one finding; never a crash, a hang, or memory
// beyond the file's size. Run it with utils/fuzz-reader.
#include "rewriter/Context.h"
#include "rewriter/elf/Reader.h"
#include "rewriter/link/BootImage.h"
#include "rewriter/link/Layout.h"
#include "rewriter/link/Relocations.h"
#include <fcntl.h>

using namespace osv;

/// Half of the time would go into backtraces of allocations and into fresh pages for what was freed long ago.
extern "C" const char *__asan_default_options() { return "malloc_context_size=2:quarantine_size_mb=4"; }

/// The promises of Image.h, checked one by one.
static void check(const elf::Image &image) {
  const elf::Segment *last = nullptr;
  for (const elf::Segment &segment : image.segments) {
    VERIFY(segment.memsz != 0 && segment.filesz <= segment.memsz && segment.bytes.size() == segment.filesz);
    VERIFY(segment.end() > segment.vaddr);
    VERIFY(!last || last->end() <= segment.vaddr);
    VERIFY(image.segmentAt(segment.vaddr) == &segment);
    VERIFY(image.segmentAt(segment.end() - 1) == &segment);
    last = &segment;
  }
  VERIFY(last && image.isExecutable(image.entry) && !image.bytesFrom(image.entry).empty());
  unsigned sum = 0;
  for (AddrRange range : image.executableRanges())
    sum += image.bytesAt(range.begin, range.size()).back();
  for (const elf::Section &section : image.sections)
    sum += section.name.size() + (section.bytes.empty() ? 0 : section.bytes.back());
  for (const elf::Symbol &symbol : image.symbols)
    sum += symbol.name.size();
  for (const elf::Note &note : image.notes)
    sum += note.owner.size() + (note.desc.empty() ? 0 : note.desc.back());
  sum += image.describe(image.entry).size();
  if (image.dynamic)
    for (const elf::RelativeReloc &reloc : image.dynamic->relatives)
      sum += image.bytesAt(reloc.place, 8).size();
  asm volatile("" : : "r"(sum)); // the reads above are the point
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Context ctx;
  // A copy of exactly this size, so that the sanitizer sees every read beyond it.
  auto buffer =
      llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(reinterpret_cast<const char *>(data), size), "fuzz");
  llvm::Expected<elf::Image> image = elf::parseImage(std::move(buffer), "fuzz", ctx.diag);
  if (!image) {
    bool isFinding = image.errorIsA<FindingError>();
    ctx.diag.report(image.takeError(), DiagId::BadElfHeader);
    VERIFY(isFinding && ctx.diag.hasErrors());
    return 0;
  }
  check(*image);
  ctx.image = std::move(*image);
  link::applyRelocations(ctx);
  if (llvm::Error error = link::layOut(ctx, 300 << 10)) {
    VERIFY(error.isA<FindingError>());
    llvm::consumeError(std::move(error));
    return 0;
  }
  VERIFY(!link::makeLinkerScript(ctx).empty());
  static int null = ::open("/dev/null", O_WRONLY);
  llvm::cantFail(link::writeObject(ctx, {/*program=*/true, {}}, null));
  return 0;
}

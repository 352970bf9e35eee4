// SPDX-License-Identifier: BSD-3-Clause
//
// Virtual memory. The program's addresses are fixed; the kernel's are not, because it is linked for each image. It
// goes, with a free page on either side, to the first of these that no program segment touches, bss included:
//
//   1. 0x200000, the 2 MiB below where ordinary programs begin, or any lower address from 0x10000 up in steps of 64
//   KiB;
//   2. from the top of the low 2 GiB downwards, if that leaves the heap at least 1 GiB;
//   3. the largest free gap of what is left, at its upper end, so that the heap keeps most of the gap.
//
// Always at a multiple of 64 KiB: the kernel begins with the stubs, and patch/Stubs wants to know that much of their
// addresses.
//
// The low 2 GiB because the kernel is compiled for 32-bit absolute addresses (-mcmodel=small). And every byte of
// program text must be in reach of `jmp rel32` from every byte of the kernel, which is only a question for programs
// linked above 2 GiB.
//
// Shared pages. Two segments may meet in one page of virtual memory (old linkers, hand-made files). Linux maps each
// segment by whole pages in order, so the later one owns the page, head included: the bytes before its start are the
// file's. A segment without file bytes maps from its next page boundary on instead. `cutPieces` does the same, and cuts
// the earlier segment, so that the manifest's segments never share a page.
//
// Physical memory. The monitor loads the image from 1 MiB up. The kernel's address is congruent to its virtual one
// modulo 2 MiB, so that large pages can map it; what goes below it is filled first-fit with program segments, the rest
// follows. The highest address is kept low, because the machine may have only 4 MiB.
#include "rewriter/link/Layout.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

using namespace llvm;

namespace osv::link {

using Piece = ImageLayout::Piece;

static constexpr uint64_t kLow = 0x10000;         ///< the lowest address of a mapping (Linux's mmap_min_addr)
static constexpr uint64_t kTop = 0x7ff00000;      ///< the kernel ends here at most
static constexpr uint64_t kReach = 0x7ff00000;    ///< of rel32, less some slack for operands
static constexpr uint64_t kWantedHeap = 1 << 30;  ///< of case 2 above
static constexpr uint64_t kHeapMax = 1ull << 44;  ///< no limit in practice; mmap lives far above
static constexpr uint64_t kPhysStart = 0x100000;  ///< below is the legacy hole, and memory that the monitor uses itself
static constexpr uint64_t kWorthLarge = 16 << 20; ///< pieces of this size are aligned for 2 MiB pages

static uint64_t pageDown(uint64_t value) { return alignDown(value, kPage); }
static uint64_t pageUp(uint64_t value) { return alignTo(value, kPage); }

std::vector<Piece> cutPieces(const elf::Image &image) {
  std::vector<Piece> pieces;
  for (auto [index, segment] : enumerate(image.segments)) {
    uint64_t start = image.toRun(segment.vaddr).raw();
    uint64_t fileEnd = start + segment.filesz, end = start + segment.memsz;
    uint64_t firstPage = pageDown(start);
    if (!pieces.empty() && firstPage < pageUp(pieces.back().end.raw())) {
      Piece &last = pieces.back();
      if (segment.filesz == 0) {
        firstPage = start = fileEnd = std::min(pageUp(start), end);
        if (start == end)
          continue;
      } else {
        RunAddr cut(firstPage);
        last.size = std::min(last.size, cut <= last.start ? 0 : cut - last.start);
        last.dataEnd = std::min(last.dataEnd, cut);
        last.end = std::min(last.end, cut);
        if (last.end <= last.dataStart)
          pieces.pop_back();
      }
    }
    uint64_t size = segment.filesz ? pageUp(fileEnd) - firstPage : 0;
    pieces.push_back(
        {index, RunAddr(firstPage), size, 0, RunAddr(start), RunAddr(fileEnd), RunAddr(end), segment.flags & 7});
  }
  return pieces;
}

/// Free ranges of the low 2 GiB between the program's pages, each without a guard page at the program's side.
static std::vector<RunRange> freeGaps(ArrayRef<Piece> pieces) {
  std::vector<RunRange> gaps;
  RunAddr from(kLow);
  auto close = [&](RunAddr to) {
    if (to = std::min(to, RunAddr(kTop)); from < to)
      gaps.push_back({from, to});
  };
  for (const Piece &piece : pieces) {
    close(piece.start - kPage);
    from = std::max(from, piece.end.alignUp(kPage) + kPage);
  }
  close(RunAddr(kTop));
  return gaps;
}

/// The program's text and the kernel fit into one window of rel32's reach.
static bool inReach(ArrayRef<Piece> pieces, RunRange kernel) {
  return all_of(pieces, [&](const Piece &piece) {
    if (!(piece.flags & abi::kExec))
      return true;
    RunAddr low = std::min(piece.start, kernel.begin), high = std::max(piece.dataEnd, kernel.end);
    return high - low < kReach;
  });
}

Expected<RunRange> placeKernel(ArrayRef<Piece> pieces, uint64_t size) {
  size = pageUp(size);
  std::vector<RunRange> gaps = freeGaps(pieces);
  auto at = [&](uint64_t base) { return RunRange{RunAddr(base), RunAddr(base + size)}; };
  auto fits = [&](uint64_t base) {
    RunRange range = at(base);
    bool isFree = any_of(gaps, [&](RunRange gap) { return gap.begin <= range.begin && range.end <= gap.end; });
    return isFree && inReach(pieces, range);
  };
  uint64_t programStart = pieces.front().start.raw(), programEnd = pageUp(pieces.back().end.raw());

  for (uint64_t base : {kLargePage, kPhysStart}) // at these, virtual and physical address can be equal
    if (base < programStart && fits(base))
      return at(base);
  for (uint64_t base = kLow; base < std::min(programStart, kTop); base += kLow)
    if (fits(base))
      return at(base);
  if (size < kTop)
    if (uint64_t top = alignDown(kTop - size, kLargePage); top >= programEnd + kWantedHeap && fits(top))
      return at(top);
  llvm::sort(gaps, [](RunRange a, RunRange b) { return std::pair(b.size(), a.begin) < std::pair(a.size(), b.begin); });
  for (RunRange gap : gaps)
    if (gap.size() >= size)
      if (uint64_t base = alignDown(gap.end.raw() - size, kLow); fits(base))
        return at(base);

  Finding finding(DiagId::NoRoom, "no free " + Twine(size >> 10) +
                                      " KiB below 2 GiB and in reach of the program's text for the kernel");
  uint64_t largest = gaps.empty() ? 0 : gaps.front().size();
  finding.note("the program occupies [" + hex(programStart) + ", " + hex(programEnd) + "); the largest gap has " +
               Twine(largest >> 10) + " KiB");
  return findingError(std::move(finding));
}

void placePhysical(ImageLayout &layout) {
  // The kernel goes to the lowest place that has the right residue.
  uint64_t kernelResidue = layout.kernel.begin.raw() % kLargePage;
  layout.kernelPhys = alignDown(kPhysStart, kLargePage) + kernelResidue;
  if (layout.kernelPhys < kPhysStart)
    layout.kernelPhys += kLargePage;

  struct Hole {
    uint64_t begin, end;
  };
  uint64_t kernelEnd = layout.kernelPhys + layout.kernel.size();
  std::vector<Hole> holes = {{kPhysStart, layout.kernelPhys}, {kernelEnd, UINT64_MAX / 2}};
  auto take = [&](uint64_t size, uint64_t align, uint64_t residue) {
    for (size_t i = 0; i < holes.size(); i++) {
      uint64_t at = alignTo(holes[i].begin, align, residue);
      if (at > holes[i].end || size > holes[i].end - at)
        continue;
      Hole after{at + size, holes[i].end};
      holes[i].end = at;
      holes.insert(holes.begin() + i + 1, after);
      return at;
    }
    llvm_unreachable("the last hole is endless");
  };
  // Large ones first: the gaps that their alignment leaves are filled with the small ones.
  std::vector<Piece *> order;
  for (Piece &piece : layout.pieces)
    if (piece.size)
      order.push_back(&piece);
  llvm::sort(order, [](Piece *a, Piece *b) { return std::pair(b->size, a->start) < std::pair(a->size, b->start); });
  layout.imageStart = layout.kernelPhys;
  layout.imageEnd = kernelEnd;
  for (Piece *piece : order) {
    uint64_t align = piece->size >= kWorthLarge ? kLargePage : kPage;
    piece->paddr = take(piece->size, align, piece->start.raw() % align);
    layout.imageStart = std::min(layout.imageStart, piece->paddr);
    layout.imageEnd = std::max(layout.imageEnd, piece->paddr + piece->size);
  }
}

Error layOut(Context &ctx, uint64_t kernelSize) {
  ImageLayout layout;
  layout.pieces = cutPieces(ctx.image);
  Expected<RunRange> kernel = placeKernel(layout.pieces, kernelSize);
  if (!kernel)
    return kernel.takeError();
  layout.kernel = *kernel;
  placePhysical(layout);
  layout.brkStart = layout.pieces.back().end.alignUp(kPage);
  bool kernelAbove = layout.kernel.begin >= layout.brkStart;
  layout.brkLimit = kernelAbove ? layout.kernel.begin - kPage : layout.brkStart + kHeapMax;
  ctx.layout = std::move(layout);
  return Error::success();
}

void printLayout(const Context &ctx, raw_ostream &os) {
  auto line = [&](const Twine &what, RunRange range, uint64_t paddr) {
    os << ctx.diag.inputName() << ": " << left_justify(what.str(), 10) << ' ' << format_hex(range.begin.raw(), 12)
       << ' ' << format_hex(range.end.raw(), 12) << "  physical " << hex(paddr) << '\n';
  };
  const ImageLayout &layout = ctx.layout;
  for (const Piece &p : layout.pieces) {
    char flags[] = {p.flags & abi::kRead ? 'r' : '-', p.flags & abi::kWrite ? 'w' : '-',
                    p.flags & abi::kExec ? 'x' : '-', 0};
    line(Twine("program ") + flags, {p.dataStart, p.end}, p.paddr);
  }
  line("kernel", layout.kernel, layout.kernelPhys);
  line("heap", {layout.brkStart, layout.brkLimit}, 0);
  os << ctx.diag.inputName() << ": image      " << (layout.imageEnd - layout.imageStart) / 1024
     << " KiB of memory up to " << hex(layout.imageEnd) << '\n';
}

} // namespace osv::link

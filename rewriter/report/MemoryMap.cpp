// SPDX-License-Identifier: BSD-3-Clause
//
// Memory drawn to scale, as SVG: one bar from the first to the last byte of the image (the kernel's place included,
// when it was chosen), and below it one bar for each segment at a scale of its own, because bss or a hole would
// otherwise leave no room for the code. Places closer than a pixel are merged, so that the drawing stays small.
#include "rewriter/report/MemoryMap.h"
#include "llvm/ADT/STLExtras.h"
#include <cmath>

using namespace llvm;

namespace osv::report {

namespace {

constexpr double kWidth = 1060;

class Bar {
public:
  Bar(raw_ostream &os, VAddr begin, VAddr end, double top, double height)
      : os(os), begin(begin), scale(kWidth / double(std::max<uint64_t>(end - begin, 1))), end(end), top(top),
        height(height) {}

  void rect(VAddr from, VAddr to, StringRef colour, const Twine &title, double minimum = 0) {
    from = std::max(from, begin);
    to = std::min(to, end);
    if (from >= to)
      return;
    double x = at(from), width = std::max(at(to) - x, minimum);
    os << "<rect x=\"" << format("%.2f", x) << "\" y=\"" << format("%.1f", top) << "\" width=\""
       << format("%.2f", width) << "\" height=\"" << format("%.1f", height) << "\" fill=\"var(--" << colour << ")\">";
    os << "<title>" << title << "</title></rect>\n";
  }

  /// Ranges of one kind, those that share a pixel merged.
  void ranges(ArrayRef<AddrRange> all, StringRef colour) {
    for (size_t i = 0; i < all.size();) {
      VAddr from = all[i].begin, to = all[i].end;
      size_t next = i + 1;
      while (next < all.size() && at(all[next].begin) < at(to) + 0.5)
        to = all[next++].end;
      rect(from, to, colour, Twine(next - i) + " unproven from " + hex(from) + " to " + hex(to), 0.4);
      i = next;
    }
  }

  /// Ticks, one for each pixel that has any.
  void ticks(ArrayRef<VAddr> all, StringRef what) {
    int last = -1;
    unsigned count = 0;
    VAddr first;
    auto flush = [&] {
      if (count)
        os << "<rect x=\"" << last << "\" y=\"" << format("%.1f", top + height * 0.55) << "\" width=\"1\" height=\""
           << format("%.1f", height * 0.45) << "\" fill=\"var(--site)\"><title>" << count << ' ' << what << " from "
           << hex(first) << "</title></rect>\n";
      count = 0;
    };
    for (VAddr addr : all) {
      if (addr < begin || addr >= end)
        continue;
      int pixel = int(at(addr));
      if (pixel != last)
        flush();
      if (count++ == 0)
        first = addr;
      last = pixel;
    }
    flush();
  }

private:
  double at(VAddr addr) const { return double(addr - begin) * scale; }

  raw_ostream &os;
  VAddr begin;
  double scale;
  VAddr end;
  double top, height;
};

void text(raw_ostream &os, double x, double y, const Twine &words, bool atEnd = false) {
  os << "<text x=\"" << format("%.1f", x) << "\" y=\"" << format("%.1f", y) << (atEnd ? "\" text-anchor=\"end" : "")
     << "\">" << words << "</text>\n";
}

std::string flagsOf(const elf::Segment &segment) {
  return std::string(segment.flags & 4 ? "r" : "-") + (segment.isWrite() ? "w" : "-") + (segment.isExec() ? "x" : "-");
}

void drawSegment(Bar &bar, const elf::Segment &segment) {
  StringRef colour = segment.isExec() ? "code" : segment.isWrite() ? "data" : "ro";
  std::string title = flagsOf(segment) + " " + hex(segment.vaddr) + " to " + hex(segment.end());
  bar.rect(segment.vaddr, segment.fileEnd(), colour, title, 0.6);
  bar.rect(segment.fileEnd(), segment.end(), "zero", title + ", zero-filled", 0.6);
}

void key(raw_ostream &os, bool hasKernel) {
  os << "<p class=key>";
  auto item = [&](const char *colour, const char *words) {
    os << "<span><i style=\"background:var(--" << colour << ")\"></i>" << words << "</span>";
  };
  item("code", "proven code");
  item("hole", "executable, not proven");
  item("ro", "read-only data");
  item("data", "data");
  item("zero", "zero-filled");
  item("site", "system calls");
  if (hasKernel)
    item("kernel", "runtime kernel");
  os << "</p>\n";
}

} // namespace

void writeMemoryMap(const Context &context, raw_ostream &os) {
  const elf::Image &image = context.image;
  std::vector<VAddr> sites;
  for (const SyscallSite &site : context.analysis.sites)
    sites.push_back(site.addr);
  AddrRange extent = image.extent();
  // The layout speaks of addresses at run time; it is drawn where it would be if the program were at its file's.
  bool hasKernel = !context.layout.kernel.empty();
  AddrRange kernel;
  if (hasKernel) {
    kernel = {image.toFile(context.layout.kernel.begin), image.toFile(context.layout.kernel.end)};
    hasKernel = kernel.begin < kernel.end;
  }
  AddrRange whole = extent;
  if (hasKernel)
    whole = {std::min(extent.begin, kernel.begin), std::max(extent.end, kernel.end)};
  constexpr double kBar = 34, kStep = 62;
  double height = kStep * double(image.segments.size() + 1);
  os << "<svg role=img viewBox=\"0 0 " << kWidth << ' ' << height << "\"><title>memory map</title>\n";
  text(os, 0, 12, "whole image");
  text(os, kWidth, 12, hex(whole.begin) + " to " + hex(whole.end) + ", " + Twine(whole.size()) + " bytes", true);
  Bar all(os, whole.begin, whole.end, 17, kBar);
  all.rect(whole.begin, whole.end, "gap", "not mapped");
  for (const elf::Segment &segment : image.segments)
    drawSegment(all, segment);
  if (hasKernel)
    all.rect(kernel.begin, kernel.end, "kernel", "runtime kernel at " + hex(context.layout.kernel.begin), 1);
  all.ranges(context.code.unproven, "hole");
  all.ticks(sites, "system calls");
  double top = kStep;
  for (const elf::Segment &segment : image.segments) {
    text(os, 0, top + 12, flagsOf(segment));
    text(os, kWidth, top + 12,
         hex(segment.vaddr) + " to " + hex(segment.end()) + ", " + Twine(segment.memsz) + " bytes", true);
    Bar bar(os, segment.vaddr, segment.end(), top + 17, kBar);
    drawSegment(bar, segment);
    if (segment.isExec()) {
      bar.ranges(context.code.unproven, "hole");
      bar.ticks(sites, "system calls");
    }
    top += kStep;
  }
  os << "</svg>\n";
  key(os, hasKernel);
}

} // namespace osv::report

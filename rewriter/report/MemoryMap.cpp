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

/// "17 bytes", "1.5 KiB", "93.1 MiB".
std::string sizeText(uint64_t size) {
  std::string text;
  raw_string_ostream os(text);
  if (size < 1024)
    os << size << " bytes";
  else if (size < 1 << 20)
    os << format("%.1f KiB", double(size) / 1024);
  else
    os << format("%.1f MiB", double(size) / (1 << 20));
  return text;
}

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

  /// Marks, one for each pixel that has any, in the part of the bar's height between `from` and `to`.
  void marks(ArrayRef<VAddr> all, StringRef what, double from, double to, const std::set<VAddr> &places) {
    for (size_t i = 0; i < all.size();) {
      if (all[i] < begin || all[i] >= end) {
        i++;
        continue;
      }
      size_t first = i;
      int pixel = int(at(all[i]));
      while (i < all.size() && all[i] < end && int(at(all[i])) == pixel)
        i++;
      bool isLinked = places.count(all[first]);
      if (isLinked)
        os << "<a href=\"#d" << hex(all[first]) << "\">";
      os << "<rect x=\"" << pixel << "\" y=\"" << format("%.1f", top + height * from) << "\" width=\"2\" height=\""
         << format("%.1f", height * (to - from)) << "\" fill=\"var(--site)\"><title>" << i - first << ' ' << what
         << " from " << hex(all[first]) << "</title></rect>" << (isLinked ? "</a>" : "") << '\n';
    }
  }

private:
  double at(VAddr addr) const { return double(addr - begin) * scale; }

  raw_ostream &os;
  VAddr begin;
  double scale;
  VAddr end;
  double top, height;
};

/// The words above a bar: what it is at its left end, and its extent, less loud, at the right.
void label(raw_ostream &os, double top, const Twine &what, AddrRange range) {
  os << "<text x=\"0\" y=\"" << format("%.1f", top + 12) << "\">" << what << "</text><text class=far x=\"" << kWidth
     << "\" y=\"" << format("%.1f", top + 12) << "\" text-anchor=\"end\">" << hex(range.begin) << " to "
     << hex(range.end) << ", " << sizeText(range.size()) << "</text>\n";
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

void key(raw_ostream &os, bool hasKernel, bool hasFindings) {
  os << "<figcaption>";
  auto item = [&](const char *colour, const char *words) {
    os << "<span><i style=\"background:var(--" << colour << ")\"></i>" << words << "</span>";
  };
  item("code", "proven code");
  item("hole", "executable, not proven");
  item("ro", "read-only data");
  item("data", "data");
  item("zero", "zero-filled");
  if (hasKernel)
    item("kernel", "the runtime kernel's place");
  item("gap", "not mapped");
  item("site", hasFindings ? "upper half: findings; lower half: system calls" : "system calls");
  os << "</figcaption></figure></section>\n";
}

} // namespace

void writeMemoryMap(const Context &context, const std::set<VAddr> &places, raw_ostream &os) {
  const elf::Image &image = context.image;
  std::vector<VAddr> sites, findings;
  for (const SyscallSite &site : context.analysis.sites)
    sites.push_back(site.addr);
  for (const Finding *finding : context.diag.sorted())
    if (finding->address)
      findings.push_back(*finding->address);
  // The layout speaks of addresses at run time; it is drawn where it would be if the program were at its file's.
  AddrRange whole = image.extent(), kernel;
  if (RunRange range = context.layout.kernel; !range.empty() && range.begin.raw() >= image.bias)
    kernel = {image.toFile(range.begin), image.toFile(range.end)};
  bool hasKernel = !kernel.empty();
  if (hasKernel)
    whole = {std::min(whole.begin, kernel.begin), std::max(whole.end, kernel.end)};
  auto drawMarks = [&](Bar &bar) {
    bar.ranges(context.code.unproven, "hole");
    bar.marks(findings, "findings", 0, 0.45, places);
    bar.marks(sites, "system calls", 0.55, 1, places);
  };
  constexpr double kBar = 34, kStep = 62;
  double height = kStep * double(image.segments.size() + 1);
  os << "<section id=map><h2>Memory <small>to scale; below the whole image, each segment by itself</small></h2>\n"
     << "<figure><svg role=img viewBox=\"0 0 " << kWidth << ' ' << height << "\"><title>memory map</title>\n";
  label(os, 0, "whole image", whole);
  Bar all(os, whole.begin, whole.end, 17, kBar);
  all.rect(whole.begin, whole.end, "gap", "not mapped");
  for (const elf::Segment &segment : image.segments)
    drawSegment(all, segment);
  if (hasKernel)
    all.rect(kernel.begin, kernel.end, "kernel", "the runtime kernel, at " + hex(context.layout.kernel.begin), 1);
  drawMarks(all);
  double top = kStep;
  for (const elf::Segment &segment : image.segments) {
    label(os, top, flagsOf(segment), segment.range());
    Bar bar(os, segment.vaddr, segment.end(), top + 17, kBar);
    drawSegment(bar, segment);
    if (segment.isExec())
      drawMarks(bar);
    top += kStep;
  }
  os << "</svg>\n";
  key(os, hasKernel, !findings.empty());
}

} // namespace osv::report

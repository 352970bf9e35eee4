// SPDX-License-Identifier: BSD-3-Clause
//
// "main.c:12" of an address, when the program has DWARF.
#pragma once
#include "rewriter/elf/Image.h"

namespace osv::analysis {

class SourceLines {
public:
  explicit SourceLines(const elf::Image &image);
  ~SourceLines();
  /// Empty when it is not known.
  std::string at(VAddr addr);

private:
  struct Impl;
  const elf::Image &image;
  std::unique_ptr<Impl> impl; ///< made at the first question
};

} // namespace osv::analysis

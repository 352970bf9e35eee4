// SPDX-License-Identifier: BSD-3-Clause
//
// The state of one run of osv-rewrite over one input. A stage is a function `llvm::Error stage(Context &)`: it reads
// what earlier stages left here, writes its own member, and never calls another stage. Results are plain data; who owns
// which member is said beside it. Nothing here prints or exits.
#pragma once
#include "abi/Image.h"
#include "rewriter/Diag.h"
#include "rewriter/elf/Image.h"
#include "llvm/ADT/SmallVector.h"
#include <string>
#include <vector>

namespace osv {

/// The command line, after validation.
struct Options {
  std::string output; ///< -o; empty with --check
  abi::TlsModel tlsModel = abi::kTlsGs;
  std::string root;              ///< --root; empty: none
  std::vector<std::string> env;  ///< --env K=V, in order, later K wins
  std::vector<std::string> args; ///< after --
  std::string libDir;            ///< where runtime-*.a and kernel.ld are
  bool check = false;            ///< inspect only
  bool verbose = false;
};

/// Bytes that replace the program's own at `addr` (all inside one segment's file part). Recorded by patch/ and by the
/// application of relocations; applied by link/ when it emits the segments. Never overlapping.
struct Edit {
  VAddr addr;
  llvm::SmallVector<uint8_t, 16> bytes;
};

/// Where everything goes; made by link/Layout. All page-aligned.
struct ImageLayout {
  /// One PT_LOAD of the image: file-backed pages of the program, at [start, start+size) from physical `paddr`.
  struct Piece {
    RunAddr start;
    uint64_t size;
    uint64_t paddr;
    size_t segment; ///< index in elf::Image::segments
  };
  std::vector<Piece> pieces; ///< by address; a segment without file bytes has none
  RunAddr kernelBase;
  uint64_t kernelPhys = 0;
  uint64_t kernelSize = 0; ///< reserved at kernelBase; the linked kernel must fit
  RunAddr brkStart, brkLimit;
  uint64_t imageStart = 0, imageEnd = 0; ///< physical
};

/// Code that patch/ adds to the image, linked next to the kernel's text (within rel32 of the program's).
struct StubCode {
  llvm::SmallVector<uint8_t, 0> bytes;
  std::vector<abi::StubMap> map; ///< `stub` relative to the start of `bytes` until linked
};

struct Context {
  Options opts;
  Diag diag;

  elf::Image image; ///< elf/Reader
  // analysis/ adds its results here: data model in a header beside this one.
  std::vector<Edit> edits;         ///< patch/, link/Relocations; sorted by address before linking
  StubCode stubs;                  ///< patch/
  std::vector<abi::TrapMap> traps; ///< patch/
  std::vector<uint8_t> rootfs;     ///< link/RootFs: cpio archive
  ImageLayout layout;              ///< link/Layout
};

} // namespace osv

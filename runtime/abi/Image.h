// SPDX-License-Identifier: BSD-3-Clause
//
// The image manifest: what the rewriter tells the runtime kernel about the program that it was linked with.
//
// Both sides include this header and nothing else of each other. The rewriter emits one `ImageHeader` at the symbol
// `osv_image` in the read-only kernel section `.osv.image`; every table it names lies in the same section and is given
// by its absolute virtual address, so that the kernel reads it as ordinary memory. All integers are little-endian and
// have the width they are declared with; structures have no implicit padding. A reader rejects any other `version`.
//
// What is *not* here: where the kernel's own segments are (`kernel.ld` symbols), how the boot protocol works
// (`boot.S`).
#pragma once
#include <cstdint>

namespace osv::abi {

inline constexpr uint64_t kImageMagic = 0x4547414d4956534f; // the bytes "OSVIMAGE"
inline constexpr uint32_t kImageVersion = 1;

/// A counted table of `T` at the absolute virtual address `addr` (0 when `count` is 0).
template <typename T> struct Table {
  uint64_t addr;
  uint64_t count;
  const T *begin() const { return reinterpret_cast<const T *>(addr); }
  const T *end() const { return begin() + count; }
};

/// Memory protection bits; the same values as `PF_X/PF_W/PF_R` of the ELF specification.
enum SegmentFlags : uint32_t { kExec = 1, kWrite = 2, kRead = 4 };

/// One `PT_LOAD` of the program. The bytes [vaddr, vaddr+filesz) were placed by the monitor at physical address
/// `paddr`; `paddr` and `vaddr` are congruent modulo the page size, and the monitor also zero-filled up to the next
/// page boundary after `filesz`. The remaining [roundUp(vaddr+filesz), roundUp(vaddr+memsz)) is anonymous, zero-filled
/// on demand.
struct Segment {
  uint64_t vaddr;
  uint64_t paddr;
  uint64_t filesz;
  uint64_t memsz;
  uint32_t flags; ///< SegmentFlags
  uint32_t reserved;
};

/// A run of instructions in a stub: [stub, stub + size) stands for the program's code from `original` on, for the sake
/// of the call at `site`. Whoever shows an address inside to the program translates it: `original` + offset when the
/// run is a copy (kStubCopy), `original` itself when it is the call or glue. And a program address inside a run that
/// has replaced the program's bytes (kStubReplaces), which a signal handler may return to, is to be resumed in the run.
/// Two bytes before every place where a call returns to stands `0f 05`, in the stub if not in the program, so that a
/// call is restarted by stepping back over them.
/// A single step that arrives at the first byte of a kStubQuiet run, or inside one that is no copy, is none of the
/// program's: it has not got anywhere.
struct StubMap {
  uint64_t stub;
  uint64_t site;     ///< address of the `syscall` instruction (0f 05)
  uint64_t original; ///< what the first byte of the run stands for
  uint32_t size;
  uint32_t flags; ///< StubFlags
};
enum StubFlags : uint32_t { kStubCopy = 1, kStubReplaces = 2, kStubQuiet = 4 };

/// An instruction that was replaced by a one-byte trap (`int3`, cc): `hlt` must be reported as Linux's SIGSEGV.
struct TrapMap {
  uint64_t addr;
  uint32_t kind; ///< TrapKind
  uint32_t reserved;
};
enum TrapKind : uint32_t { kTrapHlt = 1 };

struct ImageHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t size;  ///< sizeof(ImageHeader)
  uint64_t entry; ///< first instruction of the program
  uint64_t phdr;  ///< virtual address of the program headers inside a segment, for AT_PHDR; 0: none is loaded
  uint32_t phentsize;
  uint32_t phnum;
  uint64_t loadBias;  ///< added to the link-time addresses of a PIE; 0 for ET_EXEC
  uint64_t brkStart;  ///< page-aligned end of the program's last segment: where the heap begins
  uint64_t brkLimit;  ///< the heap cannot grow beyond this (next segment, kernel, ...)
  uint64_t stackSize; ///< how far the main thread's stack may grow, in bytes (RLIMIT_STACK)
  uint32_t stackExec; ///< PT_GNU_STACK asks for an executable stack (reported, never granted silently)
  uint32_t tlsModel;  ///< TlsModel, to be checked against the runtime that was linked
  uint64_t tlsImage;  ///< PT_TLS template (informational; the program's libc sets up its own TLS)
  uint64_t tlsFilesz;
  uint64_t tlsMemsz;
  uint64_t tlsAlign;
  uint64_t imageStart;     ///< lowest physical address the image occupies, page aligned
  uint64_t imageEnd;       ///< one past the highest physical address, page aligned
  Table<Segment> segments; ///< sorted by vaddr, disjoint
  Table<uint64_t> argv;    ///< addresses of NUL-terminated strings; argv[0] is the program's name
  Table<uint64_t> envp;    ///< addresses of NUL-terminated "K=V"
  Table<uint8_t> rootfs;   ///< a `newc` cpio archive of the root directory; count 0: none
  Table<StubMap> stubs;    ///< sorted by original, then by stub; disjoint
  Table<TrapMap> traps;    ///< sorted by addr
  uint64_t execName;       ///< NUL-terminated path of the program, for AT_EXECFN and /proc/self/exe
  uint64_t reserved[4];
};
static_assert(sizeof(Segment) == 40 && sizeof(StubMap) == 32 && sizeof(TrapMap) == 16);
static_assert(sizeof(ImageHeader) == 264);

enum TlsModel : uint32_t { kTlsGs = 0, kTlsFs = 1 };

} // namespace osv::abi

/// Defined by the rewriter in `.osv.image`.
extern "C" const osv::abi::ImageHeader osv_image;

// SPDX-License-Identifier: BSD-3-Clause
//
// What execve does on Linux, for the one program of the image: its segments are in memory already and only get mapped;
// stack and auxiliary vector are built as the x86-64 psABI (3.4.1, "Initial Stack and Register State") and Linux's own
// vector have them.
//
// The stack, upwards from rsp (16-byte aligned): argc, argv[], NULL, envp[], NULL, auxv pairs, AT_NULL, padding; then
// argument strings, environment strings, the name of the program, "x86_64", 16 random bytes; the top 8 bytes are zero.
#include "kernel/Loader.h"
#include "abi/AsmOffsets.h"
#include "abi/Image.h"
#include "kernel/CommandLine.h"
#include "kernel/arch/Cpu.h"
#include "kernel/arch/Mmu.h"
#include "kernel/arch/SignalFrame.h"
#include "kernel/lib/Random.h"
#include "kernel/lib/UserPtr.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/mm/Heap.h"
#include "kernel/vdso/Vdso.h"
#include <linux/auxvec.h>
#include <linux/mman.h>

namespace osv {
namespace {

inline constexpr size_t kFirstStack = 132 << 10;             ///< as Linux; it grows from there
inline constexpr VAddr kStackTop{0x7fff'ffff'f000 - 0x1000}; // a page below the end, as nothing may follow it
inline constexpr size_t kMaxStrings = 128 * 1024;            // bytes of arguments and environment together
inline constexpr size_t kMaxWords = 4096;                    // pointers and auxv words

int protOf(uint32_t flags) {
  return (flags & abi::kRead ? PROT_READ : 0) | (flags & abi::kWrite ? PROT_WRITE : 0) |
         (flags & abi::kExec ? PROT_EXEC : 0);
}

Result<void> mapSegment(AddressSpace &space, const abi::Segment &s, std::string_view name) {
  VAddr start = VAddr(s.vaddr).pageDown();
  VAddr fileEnd = s.filesz ? VAddr(s.vaddr + s.filesz).pageUp() : start;
  VAddr end = VAddr(s.vaddr + s.memsz).pageUp();
  if (fileEnd > start)
    TRY(space.mapResident(start, fileEnd - start, protOf(s.flags), PAddr(s.paddr).pageDown(), name));
  if (end > fileEnd)
    TRY(space.map(fileEnd, end - fileEnd, protOf(s.flags), MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, nullptr, 0));
  return {};
}

std::string_view imageString(uint64_t addr) {
  auto *s = reinterpret_cast<const char *>(addr);
  return {s, __builtin_strlen(s)};
}

/// Everything that goes on the stack, put together in kernel memory and copied out once. One heap object: it is too
/// large for a kernel stack.
class StackBuilder {
public:
  // ---- The strings, in ascending order; known by their offset until `placeStrings` decides where the block ends.
  Result<void> addArgument(std::string_view s) { return addPointer(s, argc); }
  Result<void> addEnvironment(std::string_view s) { return addPointer(s, envc); }
  Result<size_t> addString(std::string_view s) {
    if (s.size() + 1 > kMaxStrings - used)
      return Errno::TooBig;
    size_t at = used;
    __builtin_memcpy(strings + used, s.data(), s.size());
    used += s.size();
    strings[used++] = '\0';
    return at;
  }
  size_t stringBytes() const { return used; }
  /// Room to decode one item of a command-line list.
  std::span<char> scratch() { return decoded; }
  void placeStrings() { base = kStackTop.value - 8 - used; }
  uint64_t address(size_t offset) const { return base + offset; }

  // ---- The words, in ascending order; rsp will point at the first.
  Result<void> word(uint64_t v) {
    if (wordCount == kMaxWords)
      return Errno::TooBig;
    words[wordCount++] = v;
    return {};
  }
  Result<void> aux(uint64_t type, uint64_t v) {
    TRY(word(type));
    return word(v);
  }
  size_t wordBytes() const { return wordCount * 8; }
  Result<void> pointers() {
    TRY(word(argc));
    for (size_t i = 0; i < argc + envc; i++) {
      if (i == argc)
        TRY(word(0));
      TRY(word(address(offsets[i])));
    }
    if (envc == 0)
      TRY(word(0));
    return word(0);
  }

  /// Writes everything; returns the initial rsp.
  Result<uint64_t> commit() {
    uint64_t rsp = ((base & ~uint64_t{15}) - wordCount * 8) & ~uint64_t{15};
    TRY(copyToUser(VAddr(rsp), words, wordCount * 8));
    TRY(copyToUser(VAddr(base), strings, used));
    return rsp;
  }

private:
  Result<void> addPointer(std::string_view s, size_t &count) {
    if (argc + envc == kMaxPointers)
      return Errno::TooBig;
    offsets[argc + envc] = TRY(addString(s));
    count++;
    return {};
  }
  static constexpr size_t kMaxPointers = 2048;
  uint64_t base = 0;
  size_t used = 0, wordCount = 0, argc = 0, envc = 0;
  size_t offsets[kMaxPointers]; ///< arguments, then environment
  uint64_t words[kMaxWords];
  char decoded[32 * 1024];
  char strings[kMaxStrings];
};

/// The image's arguments, or argv[0] and those of the command line.
Result<void> addArguments(StackBuilder &b) {
  const auto &argv = osv_image.argv;
  std::string_view encoded;
  bool replaced = commandLineValue("osv.args", encoded);
  for (uint64_t i = 0; i < (replaced && argv.count ? 1 : argv.count); i++)
    TRY(b.addArgument(imageString(argv.begin()[i])));
  for (ListReader list(encoded); !list.atEnd();)
    TRY(b.addArgument({b.scratch().data(), TRY(list.next(b.scratch()))}));
  return {};
}

/// Is the variable of `setting` ("K=V") set by the command line's osv.env too?
bool overridden(std::string_view setting, std::string_view encoded, std::span<char> scratch) {
  std::string_view key = setting.substr(0, setting.find('=') + 1);
  for (ListReader list(encoded); !list.atEnd();) {
    auto n = list.next(scratch);
    if (n.ok() && !key.empty() && std::string_view(scratch.data(), *n).starts_with(key))
      return true;
  }
  return false;
}

Result<void> addEnvironment(StackBuilder &b) {
  std::string_view encoded;
  commandLineValue("osv.env", encoded);
  for (uint64_t s : osv_image.envp)
    if (!overridden(imageString(s), encoded, b.scratch()))
      TRY(b.addEnvironment(imageString(s)));
  for (ListReader list(encoded); !list.atEnd();)
    TRY(b.addEnvironment({b.scratch().data(), TRY(list.next(b.scratch()))}));
  return {};
}

/// In Linux's order. AT_BASE is 0: there is no interpreter.
Result<void> pushAuxv(StackBuilder &b, uint64_t vdso, uint64_t execName, uint64_t platform, uint64_t random) {
  if (vdso)
    TRY(b.aux(AT_SYSINFO_EHDR, vdso));
  TRY(b.aux(AT_HWCAP, arch::hwcap()));
  TRY(b.aux(AT_PAGESZ, kPageSize));
  TRY(b.aux(AT_CLKTCK, 100));
  if (osv_image.phdr) {
    TRY(b.aux(AT_PHDR, osv_image.phdr));
    TRY(b.aux(AT_PHENT, osv_image.phentsize));
    TRY(b.aux(AT_PHNUM, osv_image.phnum));
  }
  TRY(b.aux(AT_BASE, 0));
  TRY(b.aux(AT_FLAGS, 0));
  TRY(b.aux(AT_ENTRY, osv_image.entry));
  TRY(b.aux(AT_UID, 0));
  TRY(b.aux(AT_EUID, 0));
  TRY(b.aux(AT_GID, 0));
  TRY(b.aux(AT_EGID, 0));
  TRY(b.aux(AT_SECURE, 0));
  TRY(b.aux(AT_RANDOM, random));
  TRY(b.aux(AT_HWCAP2, arch::hwcap2()));
  TRY(b.aux(AT_EXECFN, execName));
  TRY(b.aux(AT_PLATFORM, platform));
  TRY(b.aux(51 /* AT_MINSIGSTKSZ */, arch::minSignalStack()));
  return b.aux(AT_NULL, 0);
}

} // namespace

Result<void> loadProgram(Process &process, Frame &frame) {
  AddressSpace &space = *process.addressSpace;
  std::string_view name = imageString(osv_image.execName);
  for (const abi::Segment &s : osv_image.segments)
    TRY(mapSegment(space, s, name));
  space.initBreak(VAddr(osv_image.brkStart), VAddr(osv_image.brkLimit));
  process.limits[RLIMIT_STACK].rlim_cur = osv_image.stackSize;
  space.setStackLimit(osv_image.stackSize);
  TRY(space.map(kStackTop - kFirstStack, kFirstStack, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, nullptr, 0, "[stack]"));
  VAddr vdso = TRY(mapVdso(space));

  StackBuilder *b = TRY(make<StackBuilder>());
  struct Cleanup {
    StackBuilder *b;
    ~Cleanup() { delete b; }
  } cleanup{b};
  TRY(addArguments(*b));
  size_t argBytes = b->stringBytes();
  TRY(addEnvironment(*b));
  size_t envBytes = b->stringBytes();
  size_t execName = TRY(b->addString(name));
  size_t platform = TRY(b->addString("x86_64"));
  char bytes[17] = {};
  fillRandom(std::as_writable_bytes(std::span(bytes, 16)));
  size_t random = TRY(b->addString({bytes, 16}));
  b->placeStrings();
  process.argStart = b->address(0);
  process.argEnd = process.envStart = b->address(argBytes);
  process.envEnd = b->address(envBytes);
  TRY(b->pointers());
  size_t auxAt = b->wordBytes();
  TRY(pushAuxv(*b, vdso.value, b->address(execName), b->address(platform), b->address(random)));

  frame = {};
  frame.rip = osv_image.entry;
  frame.rsp = TRY(b->commit());
  process.auxStart = frame.rsp + auxAt;
  process.auxEnd = frame.rsp + b->wordBytes();
  frame.cs = SELECTOR_CODE;
  frame.ss = SELECTOR_DATA;
  frame.rflags = RFLAGS_RESERVED | RFLAGS_IF;
  frame.vector = 0;
  return {};
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// What execve does on Linux, for the one program of the image: its segments are in memory already and only get mapped; stack and auxiliary vector
// are built as the x86-64 psABI (3.4.1, "Initial Stack and Register State") and Linux's own vector have them.
//
// The stack, from its top down: the name of the program, environment strings, argument strings, "x86_64", 16 random bytes, padding, then
// (16-byte aligned, where rsp points) argc, argv[], NULL, envp[], NULL, auxv pairs, AT_NULL.
#include "kernel/Loader.h"
#include "abi/AsmOffsets.h"
#include "abi/Image.h"
#include "kernel/CommandLine.h"
#include "kernel/arch/Cpu.h"
#include "kernel/arch/Mmu.h"
#include "kernel/lib/Log.h"
#include "kernel/lib/UserPtr.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/mm/Heap.h"
#include <linux/auxvec.h>
#include <linux/mman.h>

#include "kernel/lib/Random.h"
#if __has_include("kernel/vdso/Vdso.h")
#include "kernel/vdso/Vdso.h"
#else
static osv::Result<osv::VAddr> mapVdso(osv::AddressSpace &) { return osv::VAddr(0); }
#endif

namespace osv {
namespace {

inline constexpr VAddr kStackTop{0x7fff'ffff'f000 - 0x1000}; // a page below the end, as nothing may follow it
inline constexpr size_t kMaxStrings = 128 * 1024;            // bytes of arguments and environment together
inline constexpr size_t kMaxWords = 4096;                    // pointers and auxv words

int protOf(uint32_t flags) {
  return (flags & abi::kRead ? PROT_READ : 0) | (flags & abi::kWrite ? PROT_WRITE : 0) | (flags & abi::kExec ? PROT_EXEC : 0);
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

/// Builds the stack's contents in kernel memory and copies them out once.
class StackBuilder {
public:
  static Result<StackBuilder *> create() { return make<StackBuilder>(); }

  Result<uint64_t> pushBytes(const void *p, size_t n) {
    if (n > stringsUsedMax())
      return Errno::TooBig;
    top -= n;
    __builtin_memcpy(strings + (top - (kStackTop.value - kMaxStrings)), p, n);
    return top;
  }
  Result<uint64_t> pushString(std::string_view s) {
    const char nul = 0;
    TRY(pushBytes(&nul, 1));
    return pushBytes(s.data(), s.size());
  }
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
  /// Turns the strings pushed since `top` was `end` round, so that the first pushed lies lowest, as Linux has them: /proc/self/cmdline
  /// shows this memory. `addresses` are theirs, in the order of pushing. ENOMEM.
  Result<void> ascend(uint64_t end, std::span<uint64_t> addresses) {
    uint64_t base = kStackTop.value - kMaxStrings;
    size_t n = end - top;
    auto *copy = static_cast<char *>(heapAlloc(n ? n : 1));
    if (!copy)
      return Errno::NoMem;
    __builtin_memcpy(copy, strings + (top - base), n);
    uint64_t at = top;
    for (uint64_t &address : addresses) {
      const char *from = copy + (address - top);
      size_t length = __builtin_strlen(from) + 1;
      __builtin_memcpy(strings + (at - base), from, length);
      address = at;
      at += length;
    }
    heapFree(copy);
    return {};
  }
  void align() { top &= ~uint64_t{15}; }
  uint64_t address() const { return top; }
  size_t size() const { return wordCount; } ///< words

  /// Writes everything; returns the initial rsp.
  Result<uint64_t> commit() {
    uint64_t rsp = (top - wordCount * 8) & ~uint64_t{15};
    TRY(copyToUser(VAddr(rsp), words, wordCount * 8));
    TRY(copyToUser(VAddr(top), strings + (top - (kStackTop.value - kMaxStrings)), kStackTop.value - top));
    return rsp;
  }

private:
  size_t stringsUsedMax() const { return top - (kStackTop.value - kMaxStrings); }
  uint64_t top = kStackTop.value;
  size_t wordCount = 0;
  uint64_t words[kMaxWords];
  char strings[kMaxStrings];
};

struct Pointers {
  static constexpr size_t kMax = 1024;
  uint64_t at[kMax];
  size_t count = 0;
  Result<void> add(uint64_t v) {
    if (count == kMax)
      return Errno::TooBig;
    at[count++] = v;
    return {};
  }
};

std::string_view imageString(uint64_t addr) {
  auto *s = reinterpret_cast<const char *>(addr);
  return {s, __builtin_strlen(s)};
}

/// Strings of the image's table from `first` on, but for those the command line replaces.
Result<void> pushArguments(StackBuilder &b, Pointers &out, std::span<char> scratch) {
  const auto &argv = osv_image.argv;
  if (argv.count)
    TRY(out.add(TRY(b.pushString(imageString(argv.begin()[0])))));
  std::string_view encoded;
  if (!commandLineValue("osv.args", encoded)) {
    for (uint64_t i = 1; i < argv.count; i++)
      TRY(out.add(TRY(b.pushString(imageString(argv.begin()[i])))));
    return {};
  }
  for (ListReader list(encoded); !list.atEnd();)
    TRY(out.add(TRY(b.pushString({scratch.data(), TRY(list.next(scratch))}))));
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

Result<void> pushEnvironment(StackBuilder &b, Pointers &out, std::span<char> scratch) {
  std::string_view encoded;
  commandLineValue("osv.env", encoded);
  for (uint64_t s : osv_image.envp)
    if (!overridden(imageString(s), encoded, scratch))
      TRY(out.add(TRY(b.pushString(imageString(s)))));
  for (ListReader list(encoded); !list.atEnd();)
    TRY(out.add(TRY(b.pushString({scratch.data(), TRY(list.next(scratch))}))));
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
  TRY(b.aux(51 /* AT_MINSIGSTKSZ */, 1024 + 512 + arch::fpuStateSize())); // frame without FP state, plus it
  return b.aux(AT_NULL, 0);
}

} // namespace

Result<void> loadProgram(Process &process, Frame &frame) {
  AddressSpace &space = *process.addressSpace;
  std::string_view name = imageString(osv_image.execName);
  for (const abi::Segment &s : osv_image.segments)
    TRY(mapSegment(space, s, name));
  space.initBreak(VAddr(osv_image.brkStart), VAddr(osv_image.brkLimit));
  TRY(space.map(kStackTop - osv_image.stackSize, osv_image.stackSize, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_STACK | MAP_NORESERVE, nullptr, 0, "[stack]"));
  VAddr vdso = TRY(mapVdso(space));

  StackBuilder *b = TRY(StackBuilder::create());
  Pointers *args = TRY(make<Pointers>()), *env = TRY(make<Pointers>());
  struct Cleanup {
    StackBuilder *b;
    Pointers *args, *env;
    ~Cleanup() { delete b; delete args; delete env; }
  } cleanup{b, args, env};
  auto scratch = reinterpret_cast<char *>(heapAlloc(32 * 1024));
  if (!scratch)
    return Errno::NoMem;
  std::span<char> buffer(scratch, 32 * 1024);

  uint64_t execName = TRY(b->pushString(name));
  process.envEnd = b->address();
  TRY(pushEnvironment(*b, *env, buffer));
  process.envStart = process.argEnd = b->address();
  TRY(b->ascend(process.envEnd, {env->at, env->count}));
  TRY(pushArguments(*b, *args, buffer));
  process.argStart = b->address();
  TRY(b->ascend(process.argEnd, {args->at, args->count}));
  heapFree(scratch);
  uint64_t platform = TRY(b->pushString("x86_64"));
  b->align();
  char bytes[16];
  fillRandom(std::as_writable_bytes(std::span(bytes)));
  uint64_t random = TRY(b->pushBytes(bytes, sizeof bytes));

  TRY(b->word(args->count));
  for (size_t i = 0; i < args->count; i++)
    TRY(b->word(args->at[i]));
  TRY(b->word(0));
  for (size_t i = 0; i < env->count; i++)
    TRY(b->word(env->at[i]));
  TRY(b->word(0));
  TRY(pushAuxv(*b, vdso.value, execName, platform, random));

  frame = {};
  frame.rip = osv_image.entry;
  frame.rsp = TRY(b->commit());
  process.auxStart = frame.rsp + 8 * (1 + args->count + 1 + env->count + 1);
  process.auxEnd = frame.rsp + 8 * b->size();
  frame.cs = SELECTOR_CODE;
  frame.ss = SELECTOR_DATA;
  frame.rflags = RFLAGS_RESERVED | RFLAGS_IF;
  frame.vector = 0;
  return {};
}

} // namespace osv

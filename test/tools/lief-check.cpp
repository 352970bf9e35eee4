// SPDX-License-Identifier: BSD-3-Clause
//
// lief-check IMAGE PROGRAM: the second opinion on an image. Reads both files with LIEF and checks the image against
// what docs/image-format.md promises:
//
//   - it is a static x86-64 executable with a PVH note whose entry is a physical address inside executable bytes;
//   - no page is both writable and executable, page 0 is not mapped, no two segments meet in a page, virtual or
//   physical;
//   - the manifest describes the program: entry, each PT_LOAD at its place, bytes equal except where relocations, stubs
//   and traps
//     are recorded; and no program segment, bss included, comes within a page of the kernel.
//
// Prints one line for each check and ends with status 1 at the first that fails.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
#include <LIEF/ELF.hpp>
#pragma clang diagnostic pop
#include "abi/Image.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

using namespace LIEF::ELF;
namespace abi = osv::abi;

static constexpr uint64_t kPage = 4096;
static uint64_t pageDown(uint64_t v) { return v & -kPage; }
static uint64_t pageUp(uint64_t v) { return (v + kPage - 1) & -kPage; }

[[noreturn]] static void fail(const std::string &what) {
  std::fflush(stdout);
  std::fprintf(stderr, "lief-check: FAILED: %s\n", what.c_str());
  std::exit(1);
}
static void require(bool condition, const std::string &what) {
  if (!condition)
    fail(what);
}
static std::string hex(uint64_t value) {
  char text[20];
  std::snprintf(text, sizeof text, "0x%lx", static_cast<unsigned long>(value));
  return text;
}

struct Load {
  uint64_t vaddr, paddr, filesz, memsz;
  uint32_t flags;
  std::vector<uint8_t> bytes;
};

static std::vector<Load> loadsOf(const Binary &binary) {
  std::vector<Load> loads;
  for (const Segment &s : binary.segments())
    if (s.type() == SEGMENT_TYPES::PT_LOAD && s.virtual_size())
      loads.push_back({s.virtual_address(), s.physical_address(), s.physical_size(), s.virtual_size(),
                       static_cast<uint32_t>(s.flags()), s.content()});
  return loads;
}

static void checkDisjoint(const std::vector<Load> &loads, uint64_t Load::*address, const char *kind) {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const Load &l : loads)
    ranges.push_back({pageDown(l.*address), pageUp(l.*address + l.memsz)});
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); i++)
    require(ranges[i - 1].second <= ranges[i].first,
            std::string(kind) + " pages at " + hex(ranges[i].first) + " belong to two segments");
}

static void checkSegments(const std::vector<Load> &loads) {
  checkDisjoint(loads, &Load::vaddr, "virtual");
  checkDisjoint(loads, &Load::paddr, "physical");
  for (size_t i = 0; i < loads.size(); i++) {
    const Load &l = loads[i];
    std::string name = "segment at " + hex(l.vaddr);
    require(!((l.flags & abi::kWrite) && (l.flags & abi::kExec)), name + " is writable and executable");
    require(l.vaddr >= kPage, name + " maps page 0");
    require(l.paddr >= 0x100000, name + " is below 1 MiB of physical memory");
    require(l.vaddr % kPage == l.paddr % kPage, name + " is not congruent to its physical address");
    require(i == 0 || loads[i - 1].vaddr < l.vaddr, name + " is not in ascending order");
  }
  std::printf("segments: %zu, disjoint, W^X\n", loads.size());
}

static void checkNote(const Binary &image, const std::vector<Load> &loads) {
  for (const Note &note : image.notes()) {
    if (static_cast<uint32_t>(note.type()) != 18 || note.name().substr(0, 3) != "Xen")
      continue;
    uint64_t entry = 0;
    std::memcpy(&entry, note.description().data(), std::min<size_t>(note.description().size(), 8));
    for (const Load &l : loads)
      if ((l.flags & abi::kExec) && l.paddr <= entry && entry < l.paddr + l.filesz) {
        std::printf("note: PVH entry at physical %s\n", hex(entry).c_str());
        return;
      }
    fail("the PVH entry " + hex(entry) + " is in no executable segment");
  }
  fail("there is no PVH note");
}

/// The image's memory as the kernel sees it after loading.
class Memory {
public:
  explicit Memory(const std::vector<Load> &loads) : loads(loads) {}
  const uint8_t *at(uint64_t vaddr, uint64_t size) const {
    for (const Load &l : loads)
      if (l.vaddr <= vaddr && vaddr - l.vaddr <= l.bytes.size() && size <= l.bytes.size() - (vaddr - l.vaddr))
        return l.bytes.data() + (vaddr - l.vaddr);
    fail(hex(size) + " bytes at " + hex(vaddr) + " are not in the image");
  }
  template <typename T> std::vector<T> table(abi::Table<T> t) const {
    std::vector<T> values(t.count);
    if (t.count)
      std::memcpy(values.data(), at(t.addr, t.count * sizeof(T)), t.count * sizeof(T));
    else
      require(t.addr == 0, "an empty table has an address");
    return values;
  }
  std::string string(uint64_t vaddr) const {
    std::string text;
    while (char c = static_cast<char>(*at(vaddr + text.size(), 1)))
      text.push_back(c);
    return text;
  }

private:
  const std::vector<Load> &loads;
};

/// Addresses at which the image may differ from the program, as recorded in the manifest and the program's relocations.
static std::set<uint64_t> editedBytes(const Memory &memory, const abi::ImageHeader &header, const Binary &program) {
  std::set<uint64_t> edited;
  auto add = [&](uint64_t from, uint64_t to) {
    for (uint64_t a = from; a < to; a++)
      edited.insert(a);
  };
  if (program.has_interpreter())
    for (const Relocation &r : program.dynamic_relocations())
      add(header.loadBias + r.address(), header.loadBias + r.address() + 8);
  for (const abi::StubMap &s : memory.table(header.stubs))
    add(s.original, std::max(s.site + 2, s.original + 16));
  for (const abi::TrapMap &t : memory.table(header.traps))
    add(t.addr, t.addr + 1);
  return edited;
}

static void checkManifest(const Binary &image, const std::vector<Load> &loads, const Binary &program) {
  require(image.has_static_symbol("osv_image"), "there is no symbol 'osv_image'");
  Memory memory(loads);
  abi::ImageHeader header;
  std::memcpy(&header, memory.at(image.get_static_symbol("osv_image").value(), sizeof header), sizeof header);
  require(header.magic == abi::kImageMagic && header.version == abi::kImageVersion && header.size == sizeof header,
          "the manifest's magic, version or size is wrong");
  require(header.entry == program.entrypoint() + header.loadBias, "the entry point differs");

  uint64_t kernelStart = image.get_static_symbol("osv_kernel_start").value();
  uint64_t kernelEnd = image.get_static_symbol("osv_kernel_end").value();
  uint64_t physicalEnd = 0, physicalStart = ~0ull;
  for (const Load &l : loads) {
    physicalStart = std::min(physicalStart, l.paddr);
    physicalEnd = std::max(physicalEnd, pageUp(l.paddr + l.memsz));
  }
  require(header.imageStart <= physicalStart && physicalEnd <= header.imageEnd, "imageStart..imageEnd is too small");

  std::vector<abi::Segment> segments = memory.table(header.segments);
  std::set<uint64_t> edited = editedBytes(memory, header, program);
  uint64_t end = 0, differing = 0;
  for (const abi::Segment &s : segments) {
    std::string name = "manifest segment at " + hex(s.vaddr);
    require(end <= pageDown(s.vaddr), name + " shares a page with the one before");
    end = pageUp(s.vaddr + s.memsz);
    require(end + kPage <= kernelStart || kernelEnd + kPage <= pageDown(s.vaddr), name + " touches the kernel");
    if (s.filesz == 0)
      continue;
    auto load = std::find_if(loads.begin(), loads.end(), [&](const Load &l) { return l.vaddr == pageDown(s.vaddr); });
    require(load != loads.end() && load->paddr + s.vaddr % kPage == s.paddr && load->flags == s.flags &&
                load->memsz == pageUp(s.vaddr % kPage + s.filesz) && load->filesz == load->memsz,
            name + " is not what the program header says");
  }
  // The program's own view: every byte of every PT_LOAD at its place, unless a later segment owns the page.
  std::vector<Load> originals = loadsOf(program);
  for (size_t i = 0; i < originals.size(); i++) {
    const Load &o = originals[i];
    uint64_t limit = o.filesz;
    if (i + 1 < originals.size() && originals[i + 1].filesz)
      limit = std::min(limit, pageDown(originals[i + 1].vaddr) - std::min(pageDown(originals[i + 1].vaddr), o.vaddr));
    if (limit == 0)
      continue;
    const uint8_t *bytes = memory.at(o.vaddr + header.loadBias, limit);
    for (uint64_t b = 0; b < limit; b++)
      if (bytes[b] != o.bytes[b]) {
        uint64_t address = o.vaddr + header.loadBias + b;
        require(edited.count(address), "byte at " + hex(address) + " differs and no edit is recorded");
        differing++;
      }
  }
  std::printf("manifest: %zu segments, %lu bytes edited, %lu stubs, %lu traps\n", segments.size(),
              static_cast<unsigned long>(differing), static_cast<unsigned long>(header.stubs.count),
              static_cast<unsigned long>(header.traps.count));
  require(header.brkStart == end && header.brkLimit > header.brkStart, "the heap does not begin after the program");
  for (uint64_t address : memory.table(header.argv))
    std::printf("argv: %s\n", memory.string(address).c_str());
  for (uint64_t address : memory.table(header.envp))
    std::printf("env: %s\n", memory.string(address).c_str());
  if (header.phdr) {
    memory.at(header.phdr, header.phnum * header.phentsize);
    require(header.phnum == program.header().numberof_segments(), "the number of program headers differs");
  }
  std::printf("kernel: %s bytes at %s\n", hex(kernelEnd - kernelStart).c_str(), hex(kernelStart).c_str());
}

int main(int argc, char **argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: lief-check IMAGE PROGRAM\n");
    return 2;
  }
  try {
    std::unique_ptr<Binary> image = Parser::parse(argv[1]), program = Parser::parse(argv[2]);
    require(image && program, "LIEF cannot parse it");
    require(image->header().file_type() == E_TYPE::ET_EXEC && image->header().machine_type() == ARCH::EM_X86_64,
            "the image is no x86-64 executable");
    require(!image->has_interpreter(), "the image has an interpreter");
    std::vector<Load> loads = loadsOf(*image);
    checkSegments(loads);
    checkNote(*image, loads);
    checkManifest(*image, loads, *program);
  } catch (const std::exception &e) {
    fail(e.what());
  }
  std::printf("lief-check: ok\n");
}

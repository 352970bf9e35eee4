// SPDX-License-Identifier: BSD-3-Clause
//
// An address space whose "program" is the test: reads and writes go through the real page tables and fault like the
// processor would.
#pragma once
#include "HostArch.h"
#include "kernel/mm/AddressSpace.h"
#include <cstdio>
#include <string>
#include <vector>

namespace osv::test {

class HostSpace : public AddressSpace {
public:
  HostSpace() : AddressSpace(arch::PageTable::create().take()) {}

  /// The byte at `v`, or -1 when the access is not allowed.
  int read(VAddr v) {
    unsigned char *p = access(v, false, false);
    return p ? *p : -1;
  }
  bool write(VAddr v, unsigned char byte) {
    unsigned char *p = access(v, true, false);
    if (p)
      *p = byte;
    return p;
  }
  bool canExec(VAddr v) { return access(v, false, true); }

  /// The areas as /proc/self/maps shows them, without offset and inode.
  std::string describe() {
    std::string out;
    forEach(
        [](void *ctx, const AreaInfo &a) {
          char line[128];
          snprintf(line, sizeof line, "%08llx-%08llx %c%c%c%c%s%.*s\n", (unsigned long long)a.start.value,
                   (unsigned long long)a.end.value, a.prot & 1 ? 'r' : '-', a.prot & 2 ? 'w' : '-',
                   a.prot & 4 ? 'x' : '-', a.shared ? 's' : 'p', a.name.empty() || a.shared ? "" : " ",
                   a.shared ? 0 : int(a.name.size()), a.name.data());
          *static_cast<std::string *>(ctx) += line;
        },
        &out);
    return out;
  }

private:
  unsigned char *access(VAddr v, bool write, bool exec) {
    for (int tries = 0; tries < 3; tries++) {
      arch::Mapping m;
      if (pageTable().query(v, m) && m.prot != arch::Prot::None && (!write || has(m.prot, arch::Prot::Write)) &&
          (!exec || has(m.prot, arch::Prot::Exec)))
        return static_cast<unsigned char *>(arch::directMap(m.phys)) + v.pageOffset();
      int signo, code;
      if (!fault(v, write, exec, &signo, &code))
        return nullptr;
    }
    fprintf(stderr, "fault at %llx is resolved but does not go away\n", (unsigned long long)v.value);
    abort();
  }
};

/// A file of `pages` pages that live as long as it does.
class HostFile : public MemoryObject {
public:
  explicit HostFile(uint64_t pages) : pages(pages), allocated(pages) {}
  ~HostFile() override {
    for (PAddr p : allocated)
      if (p.value)
        releasePage(p);
  }
  Result<PAddr> page(uint64_t index, bool write) override {
    if (index >= pages)
      return Errno::Range;
    writes += write;
    PAddr &p = allocated[index];
    if (!p.value)
      p = TRY(allocPages(0, Zero::Yes));
    retainPage(p);
    return p;
  }
  uint64_t inodeNumber() const override { return 42; }
  unsigned char *bytes(uint64_t index) {
    PAddr p = page(index, false).take();
    releasePage(p);
    return static_cast<unsigned char *>(arch::directMap(p));
  }

  uint64_t pages;
  unsigned writes = 0;

private:
  std::vector<PAddr> allocated;
};

} // namespace osv::test

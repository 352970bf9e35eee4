// SPDX-License-Identifier: BSD-3-Clause
//
// System calls of memory: the checks that Linux makes on descriptors, flags and limits. The rest is mm/AddressSpace's.
#include "kernel/Process.h"
#include "kernel/fs/FileTable.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/syscalls/Handlers.h"
#include <asm/fcntl.h>

namespace osv {
namespace {

AddressSpace &space() { return *currentProcess().addressSpace; }

constexpr int kKnownMapFlags = MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE |
                               MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK |
                               MAP_HUGETLB | MAP_32BIT | MAP_FIXED_NOREPLACE | (MAP_HUGE_MASK << MAP_HUGE_SHIFT);

struct FileMapping {
  Ref<MemoryObject> object;
  int maxProt = PROT_READ | PROT_WRITE | PROT_EXEC;
};

/// May `file` be mapped like this? EACCES, ENODEV, EINVAL, EOPNOTSUPP.
Result<FileMapping> mappingOf(File &file, int prot, int flags) {
  FileMapping m;
  int access = file.flags & O_ACCMODE;
  switch (flags & MAP_TYPE) {
  case MAP_SHARED_VALIDATE:
    if (flags & ~(kKnownMapFlags | MAP_SHARED_VALIDATE))
      return Errno::OpNotSupp;
    [[fallthrough]];
  case MAP_SHARED:
    if ((prot & PROT_WRITE) && access != O_RDWR)
      return Errno::Acces;
    if (access != O_RDWR)
      m.maxProt &= ~PROT_WRITE;
    [[fallthrough]];
  case MAP_PRIVATE:
    if (access == O_WRONLY || (file.flags & O_PATH))
      return Errno::Acces;
    break;
  default:
    return Errno::Inval;
  }
  m.object = TRY(file.memoryObject());
  return m;
}

} // namespace

Result<long> sys_mmap(uint64_t addr, size_t len, int prot, int flags, int fd, uint64_t offset) {
  if (offset & (kPageSize - 1))
    return Errno::Inval;
  FileMapping m;
  if (!(flags & MAP_ANONYMOUS)) {
    Ref<File> file = TRY(currentProcess().files->get(fd));
    if (flags & MAP_HUGETLB || len == 0)
      return Errno::Inval;
    m = TRY(mappingOf(*file, prot, flags));
  } else if (flags & MAP_HUGETLB) {
    return Errno::NoMem; // no pool of huge pages, as on a Linux that was given none
  } else {
    offset = 0;
  }
  VAddr v = TRY(space().map(VAddr(addr), len, prot, flags, std::move(m.object), offset, {}, m.maxProt));
  return static_cast<long>(v.value);
}

Result<long> sys_munmap(uint64_t addr, size_t len) {
  TRY(space().unmap(VAddr(addr), len));
  return 0;
}

Result<long> sys_mprotect(uint64_t addr, size_t len, int prot) {
  TRY(space().protect(VAddr(addr), len, prot));
  return 0;
}

Result<long> sys_brk(uint64_t addr) { return static_cast<long>(space().setBreak(VAddr(addr)).value); }

Result<long> sys_mremap(uint64_t addr, size_t oldLen, size_t newLen, int flags, uint64_t newAddr) {
  return static_cast<long>(TRY(space().remap(VAddr(addr), oldLen, newLen, flags, VAddr(newAddr))).value);
}

Result<long> sys_madvise(uint64_t addr, size_t len, int advice) {
  TRY(space().advise(VAddr(addr), len, advice));
  return 0;
}

Result<long> sys_mincore(uint64_t addr, size_t len, UserPtr<uint8_t> out) {
  if (addr & (kPageSize - 1))
    return Errno::Inval;
  if (len > arch::kUserMax.value || addr > arch::kUserMax.value - len)
    return Errno::NoMem;
  size_t pages = roundUp(len, kPageSize) >> kPageShift;
  if (!isUserRange(out.addr().value, pages))
    return Errno::Fault;
  for (size_t done = 0; done < pages;) {
    uint8_t chunk[512];
    size_t n = pages - done < sizeof chunk ? pages - done : sizeof chunk;
    n = TRY(space().residency(VAddr(addr + (done << kPageShift)), {chunk, n}));
    TRY((out + done).write(std::span<const uint8_t>(chunk, n)));
    done += n;
  }
  return 0;
}

// The program is root: RLIMIT_MEMLOCK does not bind it (CAP_IPC_LOCK).

Result<long> sys_mlock(uint64_t addr, size_t len) {
  TRY(space().lockRange(VAddr(addr), len, true, false));
  return 0;
}

Result<long> sys_mlock2(uint64_t addr, size_t len, int flags) {
  if (flags & ~MLOCK_ONFAULT)
    return Errno::Inval;
  TRY(space().lockRange(VAddr(addr), len, true, flags & MLOCK_ONFAULT));
  return 0;
}

Result<long> sys_munlock(uint64_t addr, size_t len) {
  TRY(space().lockRange(VAddr(addr), len, false, false));
  return 0;
}

Result<long> sys_mlockall(int flags) {
  if (!flags || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) || flags == MCL_ONFAULT)
    return Errno::Inval;
  TRY(space().lockAll(flags));
  return 0;
}

Result<long> sys_munlockall() {
  TRY(space().lockAll(0));
  return 0;
}

Result<long> sys_msync(uint64_t addr, size_t len, int flags) {
  TRY(space().sync(VAddr(addr), len, flags));
  return 0;
}

} // namespace osv

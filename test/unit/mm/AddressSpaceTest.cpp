// SPDX-License-Identifier: BSD-3-Clause
//
// The address space, call by call: errors and effects as Linux has them. What many calls do together is in
// AddressSpaceModelTest.cpp.
#include "HostSpace.h"
#include "gtest/gtest.h"
#include <csignal>

using namespace osv;
using namespace osv::test;

namespace {

constexpr int kAnon = MAP_PRIVATE | MAP_ANONYMOUS;
constexpr int kRw = PROT_READ | PROT_WRITE;

struct AddressSpaceTest : testing::Test {
  void SetUp() override {
    bringUpMemory();
    (void)zeroPage();
    before = memoryStats().freePages;
    space = new HostSpace;
  }
  void TearDown() override {
    delete space;
    EXPECT_EQ(memoryStats().freePages, before);
  }
  VAddr mapped(size_t len, int prot = kRw, int flags = kAnon, VAddr hint = VAddr(0)) {
    auto r = space->map(hint, len, prot, flags, nullptr, 0);
    EXPECT_TRUE(r.ok()) << int(r.error());
    return *r;
  }
  Errno mapError(VAddr hint, size_t len, int prot, int flags) {
    auto r = space->map(hint, len, prot, flags, nullptr, 0);
    EXPECT_FALSE(r.ok());
    return r.error();
  }
  std::string maps() { return space->describe(); }
  HostSpace *space = nullptr;
  uint64_t before = 0;
};

TEST_F(AddressSpaceTest, placesFromTheTopDown) {
  VAddr a = mapped(0x5000), b = mapped(0x1001);
  EXPECT_EQ(a.value, 0x7ffff7fff000u - 0x5000);
  EXPECT_EQ(b.value, a.value - 0x2000);
  ASSERT_TRUE(space->unmap(a, 0x5000).ok());
  EXPECT_EQ(mapped(0x6000).value, b.value - 0x6000); // does not fit in the hole
  EXPECT_EQ(mapped(0x4000), a + 0x1000);             // the highest that fits
  EXPECT_EQ(mapped(0x1000), a);
}

TEST_F(AddressSpaceTest, honoursHintsThatAreFree) {
  VAddr hint(0xc000000000);
  EXPECT_EQ(mapped(0x4000000, PROT_NONE, kAnon, hint), hint);
  EXPECT_NE(mapped(0x1000, PROT_NONE, kAnon, hint), hint);
  EXPECT_EQ(mapped(0x1000, PROT_NONE, kAnon, VAddr(0x12345)).value, 0x12000u);
  EXPECT_EQ(mapped(0x1000, PROT_NONE, kAnon, VAddr(0x1000)).value, 0x10000u); // mmap_min_addr
  EXPECT_LT(mapped(0x1000, PROT_NONE, kAnon | MAP_32BIT).value, 0x80000000u);
}

TEST_F(AddressSpaceTest, mmapErrors) {
  EXPECT_EQ(mapError(VAddr(0), 0, kRw, kAnon), Errno::Inval);
  EXPECT_EQ(mapError(VAddr(0), ~0ull, kRw, kAnon), Errno::NoMem);
  EXPECT_EQ(mapError(VAddr(0), 1ull << 48, PROT_NONE, kAnon), Errno::NoMem);
  EXPECT_EQ(mapError(VAddr(0), 1ull << 40, kRw, kAnon), Errno::NoMem); // hopeless
  EXPECT_EQ(mapError(VAddr(0), 0x1000, kRw, MAP_ANONYMOUS), Errno::Inval);
  EXPECT_EQ(mapError(VAddr(0), 0x1000, kRw, MAP_SHARED_VALIDATE | MAP_ANONYMOUS), Errno::Inval);
  EXPECT_EQ(mapError(VAddr(0), 0x1000, kRw, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN), Errno::Inval);
  EXPECT_EQ(mapError(VAddr(0x400001), 0x1000, kRw, kAnon | MAP_FIXED), Errno::Inval);
  EXPECT_EQ(mapError(VAddr(0x7ffffffff000), 0x1000, kRw, kAnon | MAP_FIXED), Errno::NoMem);
  EXPECT_EQ(mapError(VAddr(0), 0x1000, kRw, kAnon | MAP_FIXED), Errno::Perm);
  EXPECT_EQ(mapError(arch::kernelImageStart() - 0x1000, 0x2000, kRw, kAnon | MAP_FIXED), Errno::NoMem);
  VAddr a = mapped(0x2000);
  EXPECT_EQ(mapError(a, 0x1000, kRw, kAnon | MAP_FIXED_NOREPLACE), Errno::Exist);
  EXPECT_EQ(mapped(0x1000, kRw, kAnon | MAP_FIXED_NOREPLACE, a - 0x5000), a - 0x5000);
}

TEST_F(AddressSpaceTest, hugeReservationsAreCheap) {
  uint64_t free = memoryStats().freePages;
  VAddr a = mapped(size_t{16} << 40, PROT_NONE, kAnon | MAP_NORESERVE);
  VAddr b = mapped(size_t{1} << 40, kRw, kAnon | MAP_NORESERVE);
  EXPECT_GE(memoryStats().freePages + 2, free);
  EXPECT_TRUE(space->write(b + (1ull << 39), 7));
  EXPECT_FALSE(space->write(a + (1ull << 39), 7));
  ASSERT_TRUE(space->unmap(a, size_t{16} << 40).ok());
}

TEST_F(AddressSpaceTest, neighboursMergeAndSplit) {
  VAddr base(0x10000000);
  mapped(0x1000, kRw, kAnon | MAP_FIXED, base);
  mapped(0x1000, kRw, kAnon | MAP_FIXED, base + 0x2000);
  EXPECT_EQ(maps(), "10000000-10001000 rw-p\n10002000-10003000 rw-p\n");
  mapped(0x1000, kRw, kAnon | MAP_FIXED, base + 0x1000);
  EXPECT_EQ(maps(), "10000000-10003000 rw-p\n");
  ASSERT_TRUE(space->protect(base + 0x1000, 0x1000, PROT_READ).ok());
  EXPECT_EQ(maps(), "10000000-10001000 rw-p\n10001000-10002000 r--p\n10002000-10003000 rw-p\n");
  ASSERT_TRUE(space->protect(base, 0x2000, kRw).ok());
  EXPECT_EQ(maps(), "10000000-10003000 rw-p\n");
  mapped(0x1000, kRw, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, base + 0x1000);
  EXPECT_EQ(maps(), "10000000-10001000 rw-p\n10001000-10002000 rw-s\n10002000-10003000 rw-p\n");
  ASSERT_TRUE(space->unmap(base + 0x800000, 0x1000).ok()); // nothing there is no error
  ASSERT_TRUE(space->unmap(base, 0x3000).ok());
  EXPECT_EQ(maps(), "");
}

TEST_F(AddressSpaceTest, munmapAndMprotectErrors) {
  EXPECT_EQ(space->unmap(VAddr(0x1001), 0x1000).error(), Errno::Inval);
  EXPECT_EQ(space->unmap(VAddr(0x1000), 0).error(), Errno::Inval);
  EXPECT_EQ(space->unmap(VAddr(0x7fffffffe000), 0x2000).error(), Errno::Inval);
  VAddr a = mapped(0x1000, PROT_READ, kAnon | MAP_FIXED, VAddr(0x10000000));
  mapped(0x1000, PROT_READ, kAnon | MAP_FIXED, a + 0x2000);
  EXPECT_EQ(space->protect(a + 1, 0x1000, kRw).error(), Errno::Inval);
  EXPECT_EQ(space->protect(a, 0x1000, 0x80).error(), Errno::Inval);
  EXPECT_TRUE(space->protect(a, 0, kRw).ok());
  EXPECT_EQ(space->protect(a, ~0xfffull, kRw).error(), Errno::NoMem);
  EXPECT_EQ(space->protect(a + 0x1000, 0x1000, kRw).error(), Errno::NoMem);
  EXPECT_EQ(space->protect(a, 0x3000, kRw).error(), Errno::NoMem); // the hole; what was before it has changed
  EXPECT_EQ(maps(), "10000000-10001000 rw-p\n10002000-10003000 r--p\n");
  EXPECT_EQ(space->protect(arch::kernelImageStart(), 0x1000, PROT_READ).error(), Errno::NoMem);
}

TEST_F(AddressSpaceTest, faultsTellWhy) {
  int signo = 0, code = 0;
  VAddr a = mapped(0x1000, PROT_READ);
  EXPECT_FALSE(space->fault(a, true, false, &signo, &code));
  EXPECT_EQ(signo, SIGSEGV);
  EXPECT_EQ(code, SEGV_ACCERR);
  EXPECT_FALSE(space->fault(a, false, true, &signo, &code));
  EXPECT_EQ(code, SEGV_ACCERR);
  EXPECT_FALSE(space->fault(a + 0x1000, false, false, &signo, &code));
  EXPECT_EQ(code, SEGV_MAPERR);
  EXPECT_FALSE(space->fault(VAddr(0), false, false, &signo, &code));
  EXPECT_EQ(code, SEGV_MAPERR);
  EXPECT_FALSE(space->fault(arch::kernelImageStart(), true, false, &signo, &code));
  EXPECT_EQ(code, SEGV_ACCERR);
}

TEST_F(AddressSpaceTest, readingFirstSharesThePageOfZeros) {
  VAddr a = mapped(0x10000);
  uint64_t tables = memoryStats().freePages;
  EXPECT_EQ(space->read(a), 0);
  tables -= memoryStats().freePages;
  EXPECT_LE(tables, 3u);
  EXPECT_EQ(space->usage().residentPages, 0u);
  EXPECT_TRUE(space->write(a, 9));
  EXPECT_EQ(space->read(a), 9);
  EXPECT_EQ(space->read(a + 0x1000), 0);
  EXPECT_EQ(space->usage().residentPages, 1u);
  ASSERT_TRUE(space->protect(a, 0x10000, PROT_NONE).ok());
  EXPECT_EQ(space->read(a), -1);
  ASSERT_TRUE(space->protect(a, 0x10000, PROT_READ).ok());
  EXPECT_EQ(space->read(a), 9);
  ASSERT_TRUE(space->advise(a, 0x10000, MADV_DONTNEED).ok());
  EXPECT_EQ(space->read(a), 0);
}

TEST_F(AddressSpaceTest, sequentialWritesGetLargePages) {
  VAddr a(0x40000000);
  mapped(4 * kLargePageSize, kRw, kAnon | MAP_FIXED, a);
  ASSERT_TRUE(space->write(a, 1));
  arch::Mapping m;
  ASSERT_TRUE(space->pageTable().query(a, m));
  EXPECT_FALSE(m.large); // no evidence yet
  ASSERT_TRUE(space->write(a + kLargePageSize - 1, 2));
  ASSERT_TRUE(space->write(a + kLargePageSize, 3));
  ASSERT_TRUE(space->pageTable().query(a + kLargePageSize, m));
  bool plenty = memoryStats().freePages > (32 << 20) / kPageSize;
  EXPECT_EQ(m.large, plenty);
  ASSERT_TRUE(space->advise(a + 2 * kLargePageSize, kLargePageSize, MADV_HUGEPAGE).ok());
  ASSERT_TRUE(space->write(a + 2 * kLargePageSize + 0x5000, 4));
  ASSERT_TRUE(space->advise(a + kLargePageSize + 0x3000, 0x1000, MADV_DONTNEED).ok());
  EXPECT_EQ(space->read(a + kLargePageSize), 3);
  EXPECT_EQ(space->read(a + kLargePageSize + 0x3000), 0);
  ASSERT_TRUE(space->unmap(a + kLargePageSize, 0x1000).ok());
  EXPECT_EQ(space->read(a + 2 * kLargePageSize + 0x5000), 4);
}

TEST_F(AddressSpaceTest, stacksGrowDownToTheirGuardGapAndLimit) {
  VAddr top(0x7fff00000000);
  mapped(0x21000, kRw, kAnon | MAP_FIXED | MAP_GROWSDOWN, top - 0x21000);
  EXPECT_TRUE(space->write(top - 0x21001, 1));
  EXPECT_EQ(maps(), "7ffefffde000-7fff00000000 rw-p\n");
  EXPECT_TRUE(space->write(top - (1 << 20), 1));
  space->setStackLimit(4 << 20);
  EXPECT_TRUE(space->write(top - (4 << 20), 1));
  EXPECT_FALSE(space->write(top - (4 << 20) - 1, 1));
  space->setStackLimit(64 << 20);
  mapped(0x1000, kRw, kAnon | MAP_FIXED, top - (8 << 20));
  EXPECT_TRUE(space->write(top - (8 << 20) + 0x1000 + (1 << 20), 1));
  EXPECT_FALSE(space->write(top - (8 << 20) + 0x1000 + (1 << 20) - 0x1000, 1));
}

TEST_F(AddressSpaceTest, brk) {
  VAddr start(0x10000000), limit(0x10100000);
  space->initBreak(start, limit);
  EXPECT_EQ(space->setBreak(VAddr(0)), start);
  EXPECT_EQ(space->setBreak(start + 0x1234), start + 0x1234);
  EXPECT_EQ(maps(), "10000000-10002000 rw-p [heap]\n");
  EXPECT_TRUE(space->write(start + 0x1fff, 5));
  EXPECT_EQ(space->setBreak(start + 0x21000), start + 0x21000);
  EXPECT_EQ(maps(), "10000000-10021000 rw-p [heap]\n");
  EXPECT_EQ(space->setBreak(limit + 1), start + 0x21000);
  EXPECT_EQ(space->setBreak(start - 1), start + 0x21000);
  EXPECT_EQ(space->setBreak(start + 0x1000), start + 0x1000);
  EXPECT_EQ(space->setBreak(start + 0x2000), start + 0x2000);
  EXPECT_EQ(space->read(start + 0x1fff), 0); // it was given back in between
  mapped(0x1000, kRw, kAnon | MAP_FIXED, start + 0x4000);
  EXPECT_EQ(space->setBreak(start + 0x4000), start + 0x2000); // Linux keeps a page between
  EXPECT_EQ(space->setBreak(start + 0x3000), start + 0x3000);
}

TEST_F(AddressSpaceTest, remapErrors) {
  VAddr a = mapped(0x3000, kRw, kAnon | MAP_FIXED, VAddr(0x10000000));
  auto error = [&](VAddr old, size_t oldLen, size_t newLen, int flags, VAddr to = VAddr(0)) {
    return space->remap(old, oldLen, newLen, flags, to).error();
  };
  EXPECT_EQ(error(a, 0x1000, 0x1000, 8), Errno::Inval);
  EXPECT_EQ(error(a, 0x1000, 0x1000, MREMAP_FIXED, VAddr(0x20000000)), Errno::Inval);
  EXPECT_EQ(error(a + 1, 0x1000, 0x1000, 0), Errno::Inval);
  EXPECT_EQ(error(a, 0x1000, 0, 0), Errno::Inval);
  EXPECT_EQ(error(a + 0x5000, 0x1000, 0x2000, 0), Errno::Fault);
  EXPECT_EQ(error(a, 0x4000, 0x5000, MREMAP_MAYMOVE), Errno::Fault);
  EXPECT_EQ(error(a, 0x1000, 0x2000, 0), Errno::NoMem);         // no room in the middle
  EXPECT_EQ(error(a, 0, 0x1000, MREMAP_MAYMOVE), Errno::Inval); // private
  EXPECT_EQ(error(a, 0x1000, 0x1000, MREMAP_MAYMOVE | MREMAP_FIXED, a), Errno::Inval);
  EXPECT_EQ(error(a, 0x1000, 0x1000, MREMAP_MAYMOVE | MREMAP_FIXED, VAddr(0x20000001)), Errno::Inval);
  EXPECT_EQ(error(a, 0x1000, 0x2000, MREMAP_MAYMOVE | MREMAP_DONTUNMAP), Errno::Inval);
}

TEST_F(AddressSpaceTest, remapGrowsMovesAndShrinks) {
  VAddr a = mapped(0x3000, kRw, kAnon | MAP_FIXED, VAddr(0x10000000));
  ASSERT_TRUE(space->write(a + 0x2000, 5));
  EXPECT_EQ(*space->remap(a, 0x3000, 0x5000, 0, VAddr(0)), a);
  mapped(0x1000, PROT_READ, kAnon | MAP_FIXED, a + 0x5000);
  VAddr b = space->remap(a, 0x5000, 0x9000, MREMAP_MAYMOVE, VAddr(0)).take();
  EXPECT_NE(b, a);
  EXPECT_EQ(space->read(b + 0x2000), 5);
  EXPECT_EQ(space->read(a + 0x2000), -1);
  EXPECT_EQ(*space->remap(b, 0x9000, 0x3000, 0, VAddr(0)), b);
  EXPECT_EQ(space->read(b + 0x2000), 5);
  EXPECT_EQ(space->read(b + 0x3000), -1);
  VAddr c(0x20000000);
  EXPECT_EQ(*space->remap(b, 0x3000, 0x3000, MREMAP_MAYMOVE | MREMAP_FIXED, c), c);
  EXPECT_EQ(space->read(c + 0x2000), 5);
  VAddr d = space->remap(c, 0x3000, 0x3000, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, VAddr(0)).take();
  EXPECT_EQ(space->read(d + 0x2000), 5);
  EXPECT_EQ(space->read(c + 0x2000), 0);
}

TEST_F(AddressSpaceTest, sharedAnonymousMemoryCanBeDuplicated) {
  VAddr a = mapped(0x3000, kRw, MAP_SHARED | MAP_ANONYMOUS);
  ASSERT_TRUE(space->write(a + 0x1000, 5));
  VAddr b = space->remap(a, 0, 0x3000, MREMAP_MAYMOVE, VAddr(0)).take();
  EXPECT_NE(a, b);
  EXPECT_EQ(space->read(b + 0x1000), 5);
  ASSERT_TRUE(space->write(b + 0x2000, 6));
  EXPECT_EQ(space->read(a + 0x2000), 6);
  ASSERT_TRUE(space->advise(a, 0x3000, MADV_DONTNEED).ok());
  EXPECT_EQ(space->read(a + 0x2000), 6); // the object still has it
  ASSERT_TRUE(space->advise(a + 0x2000, 0x1000, MADV_REMOVE).ok());
  EXPECT_TRUE(space->isShared(a));
}

TEST_F(AddressSpaceTest, filesMappedPrivateAndShared) {
  auto file = Ref<MemoryObject>::adopt(new HostFile(4));
  auto shared = space->map(VAddr(0), 0x6000, kRw, MAP_SHARED, file, 0).take();
  auto priv = space->map(VAddr(0), 0x3000, kRw, MAP_PRIVATE, file, 0x1000).take();
  auto &f = static_cast<HostFile &>(*file);
  f.bytes(1)[0] = 11;
  EXPECT_EQ(space->read(shared + 0x1000), 11);
  EXPECT_EQ(space->read(priv), 11);
  EXPECT_EQ(f.writes, 0u);
  ASSERT_TRUE(space->write(shared + 0x1000, 12));
  EXPECT_EQ(f.writes, 1u);
  EXPECT_EQ(f.bytes(1)[0], 12);
  EXPECT_EQ(space->read(priv), 12); // not written yet: still the file's page
  ASSERT_TRUE(space->write(priv, 13));
  EXPECT_EQ(f.bytes(1)[0], 12);
  EXPECT_EQ(space->read(shared + 0x1000), 12);
  ASSERT_TRUE(space->write(priv + 0x1000, 14)); // written first
  EXPECT_EQ(f.bytes(2)[0], 0);
  ASSERT_TRUE(space->advise(priv, 0x1000, MADV_DONTNEED).ok());
  EXPECT_EQ(space->read(priv), 12);
  int signo, code;
  EXPECT_FALSE(space->fault(shared + 0x4000, false, false, &signo, &code));
  EXPECT_EQ(signo, SIGBUS);
  EXPECT_EQ(code, BUS_ADRERR);
  ASSERT_TRUE(space->read(shared + 0x3000) == 0);
  f.pages = 2;
  space->zapObject(*file, 2);
  EXPECT_FALSE(space->fault(shared + 0x3000, false, false, &signo, &code));
  EXPECT_EQ(signo, SIGBUS);
  EXPECT_EQ(space->read(shared + 0x1000), 12);
  auto readOnly = space->map(VAddr(0), 0x1000, PROT_READ, MAP_SHARED, file, 0, {}, PROT_READ).take();
  EXPECT_EQ(space->protect(readOnly, 0x1000, kRw).error(), Errno::Acces);
}

TEST_F(AddressSpaceTest, programSegmentsAreUsedInPlace) {
  PAddr phys = kImageStart;
  VAddr v(0x400000);
  uint64_t free = memoryStats().freePages;
  auto *bytes = static_cast<unsigned char *>(arch::directMap(phys));
  bytes[0x1000] = 77;
  {
    HostSpace program;
    ASSERT_TRUE(program.mapResident(v, 0x2000, PROT_READ | PROT_EXEC, phys, "/hello").ok());
    ASSERT_TRUE(
        program.mapResident(v + 0x2000, 0x2000, kRw, phys + 0x1000, "/hello").ok()); // shares a page with the first
    EXPECT_EQ(program.read(v + 0x1000), 77);
    EXPECT_FALSE(program.write(v, 1));
    ASSERT_TRUE(program.write(v + 0x2000, 78)); // the shared page is copied
    EXPECT_EQ(bytes[0x1000], 77);
    EXPECT_EQ(program.read(v + 0x1000), 77);
    ASSERT_TRUE(program.write(v + 0x3000, 79)); // in place
    EXPECT_EQ(bytes[0x2000], 79);
    EXPECT_EQ(program.describe(), "00400000-00402000 r-xp /hello\n00402000-00404000 rw-p /hello\n");
    EXPECT_TRUE(program.advise(v, 0x2000, MADV_DONTNEED).ok());
    EXPECT_EQ(program.read(v + 0x1000), 77);
    EXPECT_EQ(program.advise(v + 0x2000, 0x2000, MADV_DONTNEED).error(), Errno::Inval);
  }
  // The image's three pages are ordinary memory now; their descriptors may have taken a page of the heap.
  EXPECT_GE(memoryStats().freePages, free + 2);
  before += memoryStats().freePages - free;
}

TEST_F(AddressSpaceTest, madviseErrors) {
  VAddr a = mapped(0x1000, kRw, kAnon | MAP_FIXED, VAddr(0x10000000));
  mapped(0x1000, kRw, kAnon | MAP_FIXED, a + 0x2000);
  EXPECT_EQ(space->advise(a, 0x1000, 999).error(), Errno::Inval);
  EXPECT_EQ(space->advise(a + 1, 0x1000, MADV_DONTNEED).error(), Errno::Inval);
  EXPECT_TRUE(space->advise(a, 0, MADV_DONTNEED).ok());
  ASSERT_TRUE(space->write(a, 1));
  ASSERT_TRUE(space->write(a + 0x2000, 1));
  EXPECT_EQ(space->advise(a, 0x3000, MADV_DONTNEED).error(), Errno::NoMem);
  EXPECT_EQ(space->read(a + 0x2000), 0); // both sides of the hole were done
  ASSERT_TRUE(space->lockRange(a, 0x1000, true, false).ok());
  EXPECT_EQ(space->advise(a, 0x1000, MADV_DONTNEED).error(), Errno::Inval);
  VAddr s = mapped(0x1000, kRw, MAP_SHARED | MAP_ANONYMOUS);
  EXPECT_EQ(space->advise(s, 0x1000, MADV_FREE).error(), Errno::Inval);
  EXPECT_EQ(space->advise(a, 0x1000, MADV_REMOVE).error(), Errno::Inval);
}

TEST_F(AddressSpaceTest, locksMakeResident) {
  VAddr a = mapped(0x4000);
  ASSERT_TRUE(space->lockRange(a + 0x1001, 0x1000, true, false).ok());
  EXPECT_EQ(space->usage().residentPages, 2u);
  EXPECT_EQ(space->usage().lockedPages, 2u);
  uint8_t vec[4];
  for (size_t done = 0; done < 4;) // three areas
    done += space->residency(a + done * kPageSize, std::span(vec).subspan(done)).take();
  EXPECT_EQ(vec[0], 0);
  EXPECT_EQ(vec[1], 1);
  EXPECT_EQ(vec[2], 1);
  EXPECT_EQ(vec[3], 0);
  ASSERT_TRUE(space->lockRange(a, 0x4000, false, false).ok());
  EXPECT_EQ(space->usage().lockedPages, 0u);
  EXPECT_EQ(space->lockRange(a - 0x1000, 0x2000, true, false).error(), Errno::NoMem);
  ASSERT_TRUE(space->lockAll(MCL_FUTURE).ok());
  mapped(0x3000);
  EXPECT_EQ(space->usage().residentPages, 5u);
  EXPECT_EQ(*space->residency(a + 0x2000, vec), 2u); // the area's end
  EXPECT_EQ(space->residency(a + 0x4000, vec).error(), Errno::NoMem);
  EXPECT_EQ(space->sync(a, 0x1000, MS_SYNC | MS_ASYNC).error(), Errno::Inval);
  EXPECT_EQ(space->sync(a, 0x8000, MS_SYNC).error(), Errno::NoMem);
  EXPECT_TRUE(space->sync(a, 0x4000, MS_SYNC).ok());
}

TEST_F(AddressSpaceTest, outOfMemoryIsReported) {
  VAddr a = mapped(kRamSize * 2);
  int signo = 0, code = 0;
  size_t touched = 0;
  while (space->fault(a + touched * kPageSize, true, false, &signo, &code))
    touched++;
  EXPECT_EQ(signo, SIGKILL);
  EXPECT_GT(touched, 10000u);
}

TEST_F(AddressSpaceTest, searchStaysFastWithManyAreas) {
  std::vector<VAddr> all;
  for (int i = 0; i < 20000; i++)
    all.push_back(mapped(0x1000, i % 2 ? kRw : PROT_READ));
  for (VAddr v : all)
    ASSERT_TRUE(space->unmap(v, 0x1000).ok());
}

} // namespace

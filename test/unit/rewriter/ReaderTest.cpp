// SPDX-License-Identifier: BSD-3-Clause
//
// What the reader makes of a good program, and the look-ups of Image. Bad programs are test/rewriter's.
#include "TestElf.h"
#include "gtest/gtest.h"

using namespace osv;
using namespace llvm::ELF;
using osv::test::TestElf;

namespace {

elf::Image parse(const TestElf &file) {
  Diag diag;
  auto image = file.parse(diag);
  EXPECT_TRUE(bool(image)) << llvm::toString(image.takeError());
  EXPECT_EQ(diag.errorCount(), 0u);
  return std::move(*image);
}

TestElf program() {
  TestElf file;
  file.add(PT_LOAD, PF_R, 0, 0x400000, 0x200, 0x200);
  file.add(PT_LOAD, PF_R | PF_X, 0x1000, 0x401000, 0x100, 0x100);
  file.add(PT_LOAD, PF_R | PF_W, 0x1100, 0x402100, 0x80, 0x2000);
  for (unsigned i = 0; i < 0x180; i++)
    file.tail.push_back(char(i));
  return file;
}

TEST(Reader, SegmentsAndLookups) {
  elf::Image image = parse(program());
  ASSERT_EQ(image.segments.size(), 3u);
  EXPECT_EQ(image.kind, elf::Kind::Static);
  EXPECT_EQ(image.bias, 0u);
  EXPECT_EQ(image.entry, VAddr(0x401000));
  EXPECT_EQ(image.headersAddr, VAddr(0x400040));
  EXPECT_EQ(image.segmentAt(VAddr(0x3fffff)), nullptr);
  EXPECT_EQ(image.segmentAt(VAddr(0x401000)), &image.segments[1]);
  EXPECT_EQ(image.segmentAt(VAddr(0x4010ff)), &image.segments[1]);
  EXPECT_EQ(image.segmentAt(VAddr(0x401100)), nullptr);
  EXPECT_EQ(image.segmentAt(VAddr(0x4040ff)), &image.segments[2]); // bss
  EXPECT_EQ(image.bytesAt(VAddr(0x401010), 4)[0], 0x10);
  EXPECT_EQ(image.bytesAt(VAddr(0x4010fe), 2).size(), 2u);
  EXPECT_TRUE(image.bytesAt(VAddr(0x4010fe), 3).empty());
  EXPECT_TRUE(image.bytesAt(VAddr(0x402180), 1).empty()); // bss has no bytes
  EXPECT_EQ(image.bytesFrom(VAddr(0x402170)).size(), 0x10u);
  EXPECT_TRUE(image.isExecutable(VAddr(0x401000)));
  EXPECT_FALSE(image.isExecutable(VAddr(0x402100)));
  EXPECT_EQ(image.executableRanges(), (std::vector<AddrRange>{{VAddr(0x401000), VAddr(0x401100)}}));
}

TEST(Reader, PieGetsABase) {
  TestElf file;
  file.header.e_type = ET_DYN;
  file.header.e_entry = 0x10;
  file.add(PT_LOAD, PF_R | PF_X, 0x1000, 0, 0x100, 0x100, 0x200000);
  file.tail.resize(0x100);
  elf::Image image = parse(file);
  EXPECT_EQ(image.kind, elf::Kind::StaticPie);
  EXPECT_EQ(image.bias, 0x400000u);
  EXPECT_EQ(image.toRun(image.entry), RunAddr(0x400010));
  EXPECT_EQ(image.toFile(RunAddr(0x400010)), image.entry);

  // A larger alignment moves it up; addresses that do not begin at 0 are moved as a whole.
  file.segments[0].p_align = 0x1000000;
  EXPECT_EQ(parse(file).bias, 0x1000000u);
  file.segments[0].p_align = 0x1000;
  file.segments[0].p_vaddr = 0x10000000;
  file.header.e_entry = 0x10000010;
  EXPECT_EQ(parse(file).toRun(VAddr(0x10000010)), RunAddr(0x400010));
}

TEST(Reader, RelrBitmap) {
  TestElf file;
  file.header.e_type = ET_DYN;
  file.header.e_entry = 0x1000;
  file.add(PT_LOAD, PF_R | PF_X, 0x1000, 0x1000, 0x800, 0x800);
  file.add(PT_DYNAMIC, PF_R, 0x1000, 0x1000, 0x40, 0x40, 8);
  std::vector<uint64_t> words(0x100);
  uint64_t dynamic[] = {DT_RELR, 0x1040, DT_RELRSZ, 16, DT_RELRENT, 8, DT_NULL, 0};
  std::copy(std::begin(dynamic), std::end(dynamic), words.begin());
  words[8] = 0x1100;                  // the word at 0x1100
  words[9] = 1 | 1 << 1 | 1ull << 63; // and those 1 and 63 after it
  words[0x20] = 7;
  file.tail.assign(reinterpret_cast<char *>(words.data()), words.size() * 8);
  elf::Image image = parse(file);
  ASSERT_EQ(image.dynamic->relatives.size(), 3u);
  EXPECT_EQ(image.dynamic->relatives[0].place, VAddr(0x1100));
  EXPECT_EQ(image.dynamic->relatives[0].addend, 7u);
  EXPECT_EQ(image.dynamic->relatives[1].place, VAddr(0x1108));
  EXPECT_EQ(image.dynamic->relatives[2].place, VAddr(0x1100 + 63 * 8));
}

TEST(Reader, Notes) {
  TestElf file = program();
  const char note[] = "\4\0\0\0\2\0\0\0\1\0\0\0GNU\0ab\0\0";
  file.tail.append(note, 20);
  file.add(PT_NOTE, PF_R, 0x1180, 0, 20, 20, 4);
  elf::Image image = parse(file);
  ASSERT_EQ(image.notes.size(), 1u);
  EXPECT_EQ(image.notes[0].owner, "GNU");
  EXPECT_EQ(image.notes[0].type, 1u);
  EXPECT_EQ(image.notes[0].desc.size(), 2u);

  // Cut: a warning, and the program is still accepted.
  file.segments.back().p_filesz = 17;
  Diag diag;
  EXPECT_TRUE(bool(file.parse(diag)));
  EXPECT_EQ(diag.sorted().size(), 1u);
}

} // namespace

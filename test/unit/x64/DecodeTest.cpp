// SPDX-License-Identifier: BSD-3-Clause
//
// Our restatement of a decoded instruction: operands, registers and the AT&T text of diagnostics.
#include "rewriter/x64/Decode.h"
#include <gtest/gtest.h>

using namespace osv;
using namespace osv::x64;

namespace {

Instruction decoded(std::initializer_list<uint8_t> bytes) {
  std::vector<uint8_t> copy(bytes);
  std::optional<Instruction> in = decode(copy, VAddr(0x401000));
  EXPECT_TRUE(in.has_value());
  return in.value_or(Instruction());
}

TEST(Decode, MemoryThroughGs) {
  Instruction in = decoded({0x65, 0x48, 0x89, 0x04, 0x25, 0x10, 0, 0, 0});
  EXPECT_EQ(in.op, Op::Mov);
  ASSERT_EQ(in.operands.size(), 2u);
  EXPECT_EQ(in.operands[0].seg, Seg::Gs); // the destination comes first
  EXPECT_EQ(in.operands[0].value, 0x10);
  EXPECT_TRUE(in.operands[0].isWritten);
  EXPECT_TRUE(in.operands[1].isReg(Reg::Rax));
}

TEST(Decode, RipRelativeOperandsHaveAnAddress) {
  Instruction in = decoded({0x48, 0x8b, 0x15, 0x10, 0, 0, 0}); // movq 0x10(%rip), %rdx
  ASSERT_EQ(in.operands.size(), 2u);
  EXPECT_EQ(in.operands[1].base, Reg::Rip);
  EXPECT_EQ(in.staticAddress(in.operands[1]), VAddr(0x401017));
}

TEST(Decode, ImplicitRegistersAreCounted) {
  Instruction call = decoded({0x0f, 0x05});
  EXPECT_EQ(call.op, Op::Syscall);
  EXPECT_TRUE(call.writes(Reg::Rcx));
  EXPECT_TRUE(call.writes(Reg::R11));
  Instruction push = decoded({0x53});
  EXPECT_TRUE(push.reads(Reg::Rbx));
  EXPECT_TRUE(push.writes(Reg::Rsp));
}

TEST(Decode, FormatsInAtt) {
  const uint8_t bytes[] = {0x48, 0x89, 0xf8};
  EXPECT_EQ(format(bytes, VAddr(0x401000)), "mov %rdi, %rax");
  const uint8_t bad[] = {0x06};
  EXPECT_EQ(format(bad, VAddr(0x401000)), "(bad)");
}

} // namespace

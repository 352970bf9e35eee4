// SPDX-License-Identifier: BSD-3-Clause
//
// FUTEX_WAKE_OP's operations and conditions against the definition in futex(2), and the spread of the hash.
#include "kernel/sched/FutexKey.h"
#include <algorithm>
#include <array>
#include <gtest/gtest.h>

using namespace osv;
using namespace osv::futex;

namespace {

uint32_t apply(uint32_t op, uint32_t old) {
  Result<uint32_t> r = applyOperation(op, old);
  EXPECT_TRUE(r.ok());
  return *r;
}
bool meets(uint32_t op, uint32_t old) {
  Result<bool> r = meetsCondition(op, old);
  EXPECT_TRUE(r.ok());
  return *r;
}
uint32_t encode(int op, int oparg, int cmp, int cmparg) {
  return static_cast<uint32_t>(FUTEX_OP(op, oparg, cmp, cmparg));
}

TEST(FutexOp, Operations) {
  EXPECT_EQ(apply(encode(FUTEX_OP_SET, 5, 0, 0), 77), 5u);
  EXPECT_EQ(apply(encode(FUTEX_OP_ADD, 5, 0, 0), 77), 82u);
  EXPECT_EQ(apply(encode(FUTEX_OP_OR, 6, 0, 0), 1), 7u);
  EXPECT_EQ(apply(encode(FUTEX_OP_ANDN, 6, 0, 0), 7), 1u);
  EXPECT_EQ(apply(encode(FUTEX_OP_XOR, 6, 0, 0), 3), 5u);
}

TEST(FutexOp, ArgumentIsSigned12Bits) {
  EXPECT_EQ(apply(encode(FUTEX_OP_ADD, -1, 0, 0), 10), 9u);
  EXPECT_EQ(apply(encode(FUTEX_OP_SET, 0x7ff, 0, 0), 0), 0x7ffu);
  EXPECT_EQ(apply(encode(FUTEX_OP_SET, 0x800, 0, 0), 0), 0xfffff800u);
}

TEST(FutexOp, ShiftedArgument) {
  EXPECT_EQ(apply(encode(FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT, 31, 0, 0), 1), 0x80000001u);
  EXPECT_EQ(apply(encode(FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT, 0, 0, 0), 9), 1u);
}

TEST(FutexOp, Conditions) {
  EXPECT_TRUE(meets(encode(0, 0, FUTEX_OP_CMP_EQ, 3), 3));
  EXPECT_FALSE(meets(encode(0, 0, FUTEX_OP_CMP_EQ, 3), 4));
  EXPECT_TRUE(meets(encode(0, 0, FUTEX_OP_CMP_NE, 3), 4));
  EXPECT_TRUE(meets(encode(0, 0, FUTEX_OP_CMP_LT, 0), 0xffffffff)) << "signed";
  EXPECT_FALSE(meets(encode(0, 0, FUTEX_OP_CMP_GT, -1), 0xffffffff));
  EXPECT_TRUE(meets(encode(0, 0, FUTEX_OP_CMP_GE, -1), 0xffffffff));
  EXPECT_TRUE(meets(encode(0, 0, FUTEX_OP_CMP_LE, -1), 0xfffffffe));
}

TEST(FutexOp, UnknownIsEnosys) {
  EXPECT_EQ(applyOperation(5u << 28, 0).error(), Errno::NoSys);
  EXPECT_EQ(applyOperation(7u << 28, 0).error(), Errno::NoSys);
  EXPECT_EQ(meetsCondition(6u << 24, 0).error(), Errno::NoSys);
  EXPECT_EQ(meetsCondition(15u << 24, 0).error(), Errno::NoSys);
}

/// The largest bucket of 64 K words at the given distance: no more than four times the average.
void expectSpread(uint64_t distance) {
  std::array<unsigned, 1u << kBucketBits> count{};
  constexpr unsigned kWords = 1 << 16;
  for (uint64_t i = 0; i < kWords; i++) {
    unsigned h = hashOf({0xffff800000123440, 0x7f0000000000 + i * distance});
    ASSERT_LT(h, count.size());
    count[h]++;
  }
  EXPECT_LE(*std::max_element(count.begin(), count.end()), 4 * kWords / count.size()) << distance;
}

TEST(FutexKey, HashSpreadsWordsLinesPagesAndStacks) {
  for (uint64_t distance : {4, 8, 40, 64, 4096, 8192, 65536, 2 << 20, 8 << 20, (8 << 20) + 4096})
    expectSpread(distance);
}

} // namespace

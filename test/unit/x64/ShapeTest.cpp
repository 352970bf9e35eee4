// SPDX-License-Identifier: BSD-3-Clause
//
// The fast scan against the full decoder: whatever Zydis decodes has the same length and flow in Shape, and the trait
// that makes an analysis look at it. Over random bytes (with prefixes made likely) and over the code of this program.
#include "rewriter/x64/Shape.h"
#include "rewriter/x64/Decode.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include <gtest/gtest.h>
#include <random>

using namespace llvm;
using namespace osv;
using namespace osv::x64;

namespace {

Flow expectedFlow(const Instruction &in) {
  switch (in.op) {
  case Op::Jcc:
    return Flow::Jcc;
  case Op::Jmp:
    return in.operands[0].isImm() ? Flow::Jmp : Flow::IndirectJmp;
  case Op::Call:
    return in.operands[0].isImm() ? Flow::Call : Flow::IndirectCall;
  case Op::Ret:
  case Op::Iret:
    return Flow::Return;
  case Op::Hlt:
    return Flow::Stop;
  default:
    break;
  }
  StringRef name = in.mnemonic();
  if (name == "xbegin")
    return Flow::Jcc;
  if (name.starts_with("sysret") || name.starts_with("sysexit"))
    return Flow::Return;
  if (name == "ud0" || name == "ud1" || name == "ud2")
    return Flow::Stop;
  return Flow::Next;
}

/// Instructions that the privilege analysis must be told about.
bool mustBeSensitive(const Instruction &in) {
  switch (in.op) {
  case Op::Hlt:
  case Op::In:
  case Op::Out:
  case Op::Cli:
  case Op::Sti:
  case Op::Int:
  case Op::Int3:
  case Op::Popf:
  case Op::Iret:
  case Op::Swapgs:
  case Op::Sysenter:
  case Op::Rdfsbase:
  case Op::Rdgsbase:
  case Op::Wrfsbase:
  case Op::Wrgsbase:
  case Op::Wrpkru:
  case Op::Rdpkru:
    return true;
  default:
    return in.isPrivileged || (in.operands.size() && in.operands[0].isSegmentRegister() && in.operands[0].isWritten);
  }
}

std::string bytesOf(ArrayRef<uint8_t> bytes) { return toHex(bytes.take_front(15), /*LowerCase=*/true); }

/// Whether Zydis decodes it; compares when it does.
bool compare(ArrayRef<uint8_t> bytes) {
  VAddr addr(0x401000);
  std::optional<Instruction> in = decode(bytes, addr);
  if (!in)
    return false;
  Shape shape = scan(bytes, addr);
  EXPECT_EQ(unsigned(shape.length), unsigned(in->length)) << bytesOf(bytes) << ' ' << format(bytes, addr);
  EXPECT_EQ(int(shape.flow), int(expectedFlow(*in))) << bytesOf(bytes) << ' ' << format(bytes, addr);
  for (const Operand &operand : in->operands) {
    if (!operand.isMem() || (operand.seg != Seg::Fs && operand.seg != Seg::Gs))
      continue;
    bool isHint = in->op == Op::Nop || in->mnemonic().starts_with("prefetch") || in->mnemonic() == "cldemote";
    bool isAccess = (operand.isRead || operand.isWritten) && !isHint;
    EXPECT_TRUE(!isAccess || (shape.traits & (operand.seg == Seg::Fs ? kFs : kGs)))
        << bytesOf(bytes) << ' ' << format(bytes, addr);
  }
  EXPECT_EQ(in->op == Op::Syscall, (shape.traits & kSyscall) != 0) << bytesOf(bytes);
  EXPECT_TRUE(!mustBeSensitive(*in) || (shape.traits & kSensitive)) << bytesOf(bytes) << ' ' << format(bytes, addr);
  if (shape.flow == Flow::Jcc || shape.flow == Flow::Jmp || shape.flow == Flow::Call)
    EXPECT_EQ(shape.value, uint64_t(in->operands.back().value)) << bytesOf(bytes);
  return true;
}

TEST(Shape, AgreesWithZydisOnRandomBytes) {
  std::mt19937_64 random(20261123);
  constexpr uint8_t kPrefixes[] = {0x66, 0xf2, 0xf3, 0x48, 0x0f, 0x64, 0x65, 0xc4, 0xc5, 0x62, 0x67, 0xf0, 0x8f, 0x41};
  unsigned decoded = 0;
  for (unsigned i = 0; i < 2'000'000; i++) {
    uint8_t bytes[16];
    for (uint8_t &byte : bytes)
      byte = uint8_t(random());
    unsigned prefixes = random() % 3;
    for (unsigned k = 0; k < prefixes; k++)
      bytes[k] = kPrefixes[random() % std::size(kPrefixes)];
    decoded += compare(bytes);
  }
  EXPECT_GT(decoded, 500'000u);
}

TEST(Shape, AgreesWithZydisOnThisProgram) {
  auto file = MemoryBuffer::getFile("/proc/self/exe", /*IsText=*/false, /*RequiresNullTerminator=*/false);
  ASSERT_TRUE(bool(file));
  ArrayRef<uint8_t> bytes(reinterpret_cast<const uint8_t *>((*file)->getBufferStart()), (*file)->getBufferSize());
  bytes = bytes.take_front(4 << 20);
  for (size_t at = 0; at + 16 <= bytes.size() && !HasFailure(); at++)
    compare(bytes.drop_front(at));
}

TEST(Shape, NeverReadsPastTheEnd) {
  const uint8_t longest[] = {0x66, 0x67, 0x48, 0xc7, 0x84, 0x98, 1, 2, 3, 4, 5, 6, 7, 8};
  ArrayRef<uint8_t> all(longest);
  unsigned length = scan(all, VAddr(0)).length;
  ASSERT_EQ(length, 14u);
  for (unsigned cut = 0; cut < length; cut++) {
    std::vector<uint8_t> copy(longest, longest + cut); // its own allocation, for the sanitizers
    EXPECT_EQ(scan(copy, VAddr(0)).flow, Flow::Invalid) << cut;
  }
}

TEST(Shape, TellsWhatMayBeAnAddress) {
  const uint8_t lea[] = {0x48, 0x8d, 0x05, 0x10, 0x00, 0x00, 0x00}; // lea 0x10(%rip), %rax
  Shape shape = scan(lea, VAddr(0x1000));
  EXPECT_EQ(shape.traits, kRef);
  EXPECT_EQ(shape.value, 0x1017u);
  const uint8_t mov[] = {0xbf, 0x78, 0x56, 0x34, 0x12}; // movl $0x12345678, %edi
  shape = scan(mov, VAddr(0x1000));
  EXPECT_EQ(shape.traits, kImmRef);
  EXPECT_EQ(shape.value, 0x12345678u);
}

} // namespace

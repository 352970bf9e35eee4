// SPDX-License-Identifier: BSD-3-Clause
//
// The opcode maps of x86-64 (Intel SDM volume 2, appendix A) as flags per opcode byte: what follows the opcode, and
// what it does to control flow. VEX, EVEX and XOP instructions use the maps by number.
#include "rewriter/x64/Shape.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Endian.h"
#include <array>

using namespace llvm;
using namespace llvm::support::endian;

namespace osv::x64 {

namespace {

enum : uint32_t {
  kBad = 1,         // undefined in 64-bit mode
  kModRM = 2,       //
  kImm8 = 4,        //
  kImm16 = 8,       //
  kImmZ = 16,       // 4 bytes, 2 with an operand-size prefix
  kImmV = 32,       // 8 bytes with REX.W, else as kImmZ
  kMoffs = 64,      // 8 bytes of address, 4 with an address-size prefix
  kRel32 = 128,     // 4 bytes whatever the prefixes say (Intel)
  kLook = 256,      // kSensitive
  kNoAccess = 512,  // has a memory operand, but does not access it
  kImplicit = 1024, // accesses memory without ModRM, through the overridable segment
  kRefine = 2048,   // ModRM or a prefix changes the picture
  kVector = 4096,   // begins VEX, EVEX or XOP, always or perhaps
  kPrefix = 8192,   //
  kTakes = 16384,   // may take an address: lea, and moves and pushes of immediates
  kFlowShift = 16,
  kSized = kImm8 | kImm16 | kImmZ | kImmV | kMoffs | kRel32,
};

constexpr uint32_t flow(Flow f) { return uint32_t(f) << kFlowShift; }

using Map = std::array<uint32_t, 256>;

constexpr void fill(Map &map, unsigned from, unsigned to, uint32_t flags) {
  for (unsigned i = from; i <= to; i++)
    map[i] = flags;
}

constexpr Map makeOneByte() {
  Map m{};
  for (unsigned row = 0; row < 0x40; row += 8) { // add, or, adc, sbb, and, sub, xor, cmp
    fill(m, row, row + 3, kModRM);
    m[row + 4] = kImm8;
    m[row + 5] = kImmZ;
    fill(m, row + 6, row + 7, kBad);
  }
  fill(m, 0x60, 0x62, kBad);
  m[0x63] = kModRM; // movsxd
  m[0x68] = kImmZ;
  m[0x69] = kModRM | kImmZ;
  m[0x6a] = kImm8;
  m[0x6b] = kModRM | kImm8;
  fill(m, 0x6c, 0x6f, kLook | kImplicit); // ins, outs
  fill(m, 0x70, 0x7f, kImm8 | flow(Flow::Jcc));
  m[0x80] = kModRM | kImm8;
  m[0x81] = kModRM | kImmZ;
  m[0x82] = kBad;
  m[0x83] = kModRM | kImm8;
  fill(m, 0x84, 0x8c, kModRM);
  m[0x8d] = kModRM | kNoAccess; // lea
  m[0x8e] = kModRM | kLook;     // mov to a segment register
  m[0x8f] = kModRM;
  m[0x9a] = kBad;
  m[0x9d] = kLook; // popf
  fill(m, 0xa0, 0xa3, kMoffs);
  fill(m, 0xa4, 0xa7, kImplicit);
  m[0xa8] = kImm8;
  m[0xa9] = kImmZ;
  fill(m, 0xac, 0xad, kImplicit);
  fill(m, 0xb0, 0xb7, kImm8);
  fill(m, 0xb8, 0xbf, kImmV);
  fill(m, 0xc0, 0xc1, kModRM | kImm8);
  m[0xc2] = kImm16 | flow(Flow::Return);
  m[0xc3] = flow(Flow::Return);
  m[0xc6] = kModRM | kImm8;
  m[0xc7] = kModRM | kImmZ;
  m[0xc8] = kImm16 | kImm8; // enter
  m[0xca] = kImm16 | kLook | flow(Flow::Return);
  m[0xcb] = kLook | flow(Flow::Return);
  m[0xcc] = kLook;
  m[0xcd] = kImm8 | kLook;
  m[0xce] = kBad;
  m[0xcf] = kLook | flow(Flow::Return);
  fill(m, 0xd0, 0xd3, kModRM);
  fill(m, 0xd4, 0xd6, kBad);
  m[0xd7] = kImplicit; // xlat
  fill(m, 0xd8, 0xdf, kModRM);
  fill(m, 0xe0, 0xe3, kImm8 | flow(Flow::Jcc)); // loop, jrcxz
  fill(m, 0xe4, 0xe7, kImm8 | kLook);           // in, out
  m[0xe8] = kRel32 | flow(Flow::Call);
  m[0xe9] = kRel32 | flow(Flow::Jmp);
  m[0xea] = kBad;
  m[0xeb] = kImm8 | flow(Flow::Jmp);
  fill(m, 0xec, 0xef, kLook);
  m[0xf1] = kLook;
  m[0xf4] = kLook | flow(Flow::Stop); // hlt
  m[0xf6] = m[0xf7] = kModRM;         // test has an immediate, the others do not
  m[0xfa] = m[0xfb] = kLook;          // cli, sti
  m[0xfe] = m[0xff] = kModRM;
  for (unsigned opcode : {0xf6, 0xf7, 0xfe, 0xff, 0xc7, 0x8d})
    m[opcode] |= kRefine;
  for (unsigned opcode : {0xc4, 0xc5, 0x62, 0x8f})
    m[opcode] |= kVector;
  for (unsigned prefix : {0x66, 0x67, 0xf2, 0xf3, 0x64, 0x65, 0xf0, 0x26, 0x2e, 0x36, 0x3e})
    m[prefix] = kPrefix;
  fill(m, 0x40, 0x4f, kPrefix); // REX
  for (unsigned opcode : {0x68, 0x8d, 0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf, 0xc7})
    m[opcode] |= kTakes;
  return m;
}

constexpr Map makeTwoByte() {
  Map m{};
  fill(m, 0x00, 0x01, kModRM | kLook); // descriptor tables, swapgs, wrpkru, virtualisation
  fill(m, 0x02, 0x03, kModRM);
  m[0x04] = kBad;
  fill(m, 0x06, 0x09, kLook); // clts, sysret, invd, wbinvd
  m[0x07] |= flow(Flow::Return);
  m[0x0a] = kBad;
  m[0x0b] = flow(Flow::Stop); // ud2
  m[0x0c] = kBad;
  m[0x0d] = kModRM | kNoAccess;
  m[0x0f] = kModRM | kImm8; // 3DNow!
  fill(m, 0x10, 0x17, kModRM);
  fill(m, 0x18, 0x1f, kModRM | kNoAccess); // prefetches and nops
  m[0x1a] = m[0x1b] = kModRM;              // nops too, unless MPX is there
  fill(m, 0x20, 0x23, kModRM | kLook);     // mov of control and debug registers
  fill(m, 0x24, 0x27, kBad);
  fill(m, 0x28, 0x2f, kModRM);
  m[0x30] = m[0x32] = m[0x33] = m[0x34] = m[0x37] = kLook; // wrmsr, rdmsr, rdpmc, sysenter, getsec
  m[0x35] = kLook | flow(Flow::Return);                    // sysexit
  m[0x36] = kBad;
  m[0x39] = kBad;
  fill(m, 0x3b, 0x3f, kBad);
  fill(m, 0x40, 0x6f, kModRM);
  fill(m, 0x70, 0x73, kModRM | kImm8);
  fill(m, 0x74, 0x76, kModRM);
  fill(m, 0x78, 0x79, kModRM | kLook); // vmread, vmwrite
  fill(m, 0x7a, 0x7b, kBad);
  fill(m, 0x7c, 0x7f, kModRM);
  fill(m, 0x80, 0x8f, kRel32 | flow(Flow::Jcc));
  fill(m, 0x90, 0x9f, kModRM);
  m[0xa1] = m[0xa9] = m[0xaa] = kLook; // pop %fs, pop %gs, rsm
  m[0xa3] = m[0xa5] = m[0xab] = m[0xad] = m[0xae] = m[0xaf] = kModRM;
  m[0xa4] = m[0xac] = kModRM | kImm8;
  fill(m, 0xa6, 0xa7, kBad);
  fill(m, 0xb0, 0xb8, kModRM);
  m[0xb2] = m[0xb4] = m[0xb5] = kModRM | kLook; // lss, lfs, lgs
  m[0xb9] = kModRM | flow(Flow::Stop);          // ud1
  m[0xba] = kModRM | kImm8;
  fill(m, 0xbb, 0xc1, kModRM);
  m[0xc2] = m[0xc4] = m[0xc5] = m[0xc6] = kModRM | kImm8;
  m[0xc3] = m[0xc7] = kModRM;
  fill(m, 0xd0, 0xfe, kModRM);
  m[0xff] = kModRM | flow(Flow::Stop); // ud0
  for (unsigned opcode : {0x78, 0x79, 0xae, 0xc7, 0x01})
    m[opcode] |= kRefine;
  return m;
}

constexpr Map kOneByte = makeOneByte();
constexpr Map kTwoByte = makeTwoByte();

struct Prefixes {
  bool operandSize = false, addressSize = false, rexW = false;
  uint8_t repeat = 0; // 0xf2 or 0xf3
  uint8_t segment = 0;
};

/// Reads bytes without looking for the end, which is checked once, at last: kReach can be read in any case.
struct Cursor {
  static constexpr unsigned kReach = 24; ///< 15 prefixes, two escapes, a map, an opcode, ModRM, SIB

  const uint8_t *bytes;
  unsigned at = 0;

  uint8_t peek() const { return bytes[at]; }
  uint8_t take() { return bytes[at++]; }
};

/// Skips what follows a ModRM byte with mod != 3; `isRip` when it is RIP-relative. The displacement ends the skip.
bool skipMemory(Cursor &c, uint8_t modrm) {
  unsigned mod = modrm >> 6, rm = modrm & 7;
  bool isRip = mod == 0 && rm == 5;
  unsigned disp = mod == 1 ? 1 : mod == 2 || isRip ? 4 : 0;
  if (rm == 4 && (c.take() & 7) == 5 && mod == 0)
    disp = 4;
  c.at += disp;
  return isRip;
}

/// The one-byte opcodes whose ModRM.reg changes the picture.
uint32_t refineOneByte(uint8_t opcode, uint8_t modrm, uint32_t flags) {
  unsigned reg = (modrm >> 3) & 7;
  switch (opcode) {
  case 0xf6:
    return reg < 2 ? flags | kImm8 : flags;
  case 0xf7:
    return reg < 2 ? flags | kImmZ : flags;
  case 0xfe:
    return reg < 2 ? flags : kBad;
  case 0xff: {
    constexpr uint32_t kGroup5[8] = {0,
                                     0,
                                     flow(Flow::IndirectCall),
                                     kLook | flow(Flow::IndirectCall),
                                     flow(Flow::IndirectJmp),
                                     kLook | flow(Flow::IndirectJmp),
                                     0,
                                     kBad};
    return flags | kGroup5[reg];
  }
  case 0xc7: // xbegin
    return modrm == 0xf8 ? flags | flow(Flow::Jcc) : flags;
  case 0x8d:
    return modrm >= 0xc0 ? kBad : flags;
  default:
    return flags;
  }
}

uint32_t refineTwoByte(uint8_t opcode, uint8_t modrm, const Prefixes &prefixes, uint32_t flags) {
  unsigned reg = (modrm >> 3) & 7;
  bool isRegister = modrm >= 0xc0;
  switch (opcode) {
  case 0x78: // SSE4a's extrq and insertq have two immediates
    return prefixes.operandSize || prefixes.repeat == 0xf2 ? kModRM | kImm16 : flags;
  case 0x79:
    return prefixes.operandSize || prefixes.repeat == 0xf2 ? kModRM : flags;
  case 0xae: // rdfsbase, rdgsbase, wrfsbase, wrgsbase; clrssbsy
    return prefixes.repeat == 0xf3 && (isRegister ? reg < 4 : reg == 6) ? flags | kLook : flags;
  case 0xc7: // privileged: xrstors, xsaves, and the memory forms of /6 and /7 (vmptrld and friends); and senduipi
    if (isRegister)
      return reg >= 6 && prefixes.repeat == 0xf3 ? flags | kLook : flags;
    return reg == 3 || reg >= 5 ? flags | kLook : flags;
  case 0x01: // xgetbv, xtest, xend, rdtscp and clzero are harmless
    if (modrm == 0xd0 || modrm == 0xd5 || modrm == 0xd6 || modrm == 0xf9 || modrm == 0xfc)
      return flags & ~kLook;
    return flags;
  default:
    return flags;
  }
}

/// Skips the rest of a VEX, EVEX or XOP instruction; the cursor is behind the byte that begins it. False when it is
/// none.
bool scanVector(Cursor &c, uint8_t begin, bool &hasMemory) {
  bool isXop = begin == 0x8f, isEvex = begin == 0x62;
  unsigned map = 1;
  if (isEvex) {
    uint8_t p0 = c.take(), p1 = c.take();
    c.take();
    if ((p0 & 8) || !(p1 & 4))
      return false;
    map = p0 & 7;
  } else {
    if (begin != 0xc5)
      map = c.take() & 0x1f;
    c.take();
  }
  uint8_t opcode = c.take();
  unsigned imm = 0;
  if (isXop) {
    if (map < 8 || map > 10)
      return false;
    imm = map == 8 ? 1 : map == 10 ? 4 : 0;
  } else if (map == 1) {
    if (opcode == 0x77 && !isEvex) // vzeroupper
      return true;
    imm = (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6);
  } else if (map == 3) {
    imm = 1;
  } else if (map != 2 && !(isEvex && (map == 5 || map == 6))) {
    return false;
  }
  uint8_t modrm = c.take();
  if (modrm < 0xc0) {
    skipMemory(c, modrm);
    hasMemory = true;
  }
  c.at += imm;
  return true;
}

/// A REX prefix counts only right before the opcode, so that any other cancels it.
void notePrefix(Prefixes &prefixes, uint8_t byte) {
  if ((byte & 0xf0) == 0x40) {
    prefixes.rexW = byte & 8;
    return;
  }
  prefixes.rexW = false;
  if (byte == 0x66)
    prefixes.operandSize = true;
  else if (byte == 0x67)
    prefixes.addressSize = true;
  else if (byte == 0xf2 || byte == 0xf3)
    prefixes.repeat = byte;
  else if (byte == 0x64 || byte == 0x65) // the other segments are ignored in 64-bit mode
    prefixes.segment = byte;
}

/// The displacement of a branch: 1, 4, or for a prefixed xbegin 2 bytes.
int64_t relative(const uint8_t *at, unsigned size) {
  return size == 1 ? int8_t(*at) : size == 2 ? int16_t(read16le(at)) : int32_t(read32le(at));
}

uint8_t segmentTrait(uint8_t segment) { return segment == 0x64 ? kFs : segment == 0x65 ? kGs : 0; }

} // namespace

namespace {
/// The instruction at `bytes`, where kReach bytes can be read, of which `size` count.
Shape scanReadable(const uint8_t *bytes, size_t size, VAddr addr) {
  auto fits = [size](const Cursor &c) { return c.at <= std::min<size_t>(size, 15); };
  Cursor c{bytes};
  Prefixes prefixes;
  uint8_t opcode = c.take();
  uint32_t flags = kOneByte[opcode];
  for (; flags & kPrefix; flags = kOneByte[opcode = c.take()]) {
    notePrefix(prefixes, opcode);
    if (c.at >= 15)
      return Shape();
  }
  Shape shape;
  if ((flags & kVector) && (opcode != 0x8f || (c.peek() & 0x1f) >= 8)) [[unlikely]] {
    bool hasMemory = false;
    if (!scanVector(c, opcode, hasMemory) || !fits(c))
      return shape;
    shape.length = c.at;
    shape.flow = Flow::Next;
    if (hasMemory)
      shape.traits = segmentTrait(prefixes.segment);
    return shape;
  }

  bool isTwoByte = opcode == 0x0f;
  if (isTwoByte) {
    opcode = c.take();
    if (opcode == 0x38) {
      uint8_t third = c.take();
      flags = kModRM | (third >= 0x80 && third <= 0x82 ? kLook : 0); // invept, invvpid, invpcid
    } else if (opcode == 0x3a) {
      c.take();
      flags = kModRM | kImm8;
    } else {
      flags = kTwoByte[opcode];
      if (opcode == 0x05)
        shape.traits |= kSyscall;
      else if (opcode == 0xa2)
        shape.traits |= kCpuid;
    }
  }

  bool isRip = false, hasMemory = flags & (kMoffs | kImplicit);
  unsigned dispEnd = 0;
  if (flags & kModRM) {
    uint8_t modrm = c.take();
    if (flags & kRefine)
      flags = isTwoByte ? refineTwoByte(opcode, modrm, prefixes, flags) : refineOneByte(opcode, modrm, flags);
    bool isMoveCr = isTwoByte && opcode >= 0x20 && opcode <= 0x23; // always registers, whatever mod says
    if (modrm < 0xc0 && !isMoveCr) {
      isRip = skipMemory(c, modrm);
      dispEnd = c.at;
      hasMemory = !(flags & kNoAccess);
    }
  }
  if (flags & kBad)
    return Shape();
  unsigned immAt = c.at;
  unsigned zSize = prefixes.operandSize && !prefixes.rexW ? 2 : 4;
  if (flags & kSized) {
    if (flags & kImm16)
      c.at += 2;
    if (flags & kImm8)
      c.at += 1;
    if (flags & kRel32)
      c.at += 4;
    if (flags & kImmZ)
      c.at += zSize;
    if (flags & kImmV)
      c.at += prefixes.rexW ? 8 : zSize;
    if (flags & kMoffs)
      c.at += prefixes.addressSize ? 4 : 8;
  }
  if (!fits(c))
    return Shape();

  shape.length = c.at;
  shape.flow = Flow(flags >> kFlowShift);
  if (hasMemory)
    shape.traits |= segmentTrait(prefixes.segment);
  if (flags & kLook)
    shape.traits |= kSensitive;
  VAddr next = addr + c.at;
  switch (shape.flow) {
  case Flow::Jcc:
  case Flow::Jmp:
  case Flow::Call:
    shape.value = next.raw() + relative(&bytes[immAt], c.at - immAt);
    break;
  case Flow::Next:
    if (!(flags & kTakes))
      break;
    if (opcode == 0x8d && isRip) {
      shape.traits |= kRef;
      shape.value = next.raw() + int64_t(int32_t(read32le(&bytes[dispEnd - 4])));
    } else if ((flags & kImmV) && prefixes.rexW) {
      shape.traits |= kImmRef;
      shape.value = read64le(&bytes[immAt]);
    } else if (opcode != 0x8d && zSize == 4) {
      shape.traits |= kImmRef;
      shape.value = read32le(&bytes[immAt]);
    }
    if (prefixes.rexW && (shape.traits & kImmRef) && (shape.value & 0xfffff000) == 0xff600000)
      shape.traits |= kVsyscall;
    break;
  default:
    break;
  }
  return shape;
}
} // namespace

Shape scan(ArrayRef<uint8_t> bytes, VAddr addr) {
  if (bytes.size() >= Cursor::kReach) [[likely]]
    return scanReadable(bytes.data(), bytes.size(), addr);
  uint8_t padded[Cursor::kReach] = {};
  llvm::copy(bytes, padded);
  return scanReadable(padded, bytes.size(), addr);
}

} // namespace osv::x64

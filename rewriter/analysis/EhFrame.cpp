// SPDX-License-Identifier: BSD-3-Clause
//
// Function bounds and landing pads from .eh_frame and .gcc_except_table (Linux Standard Base, "Exception Frames").
//
// Nearly every function of a static C, C++ or Rust program has an FDE, also in a stripped file, and a stripped file
// without section headers still has PT_GNU_EH_FRAME, which leads to .eh_frame. Damage ends the reading: what was read
// is used.
#include "rewriter/analysis/Roots.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/BinaryFormat/Dwarf.h"
#include "llvm/Support/Endian.h"

using namespace llvm;
using namespace llvm::dwarf;

namespace osv::analysis {

uint64_t ByteReader::take(unsigned size) {
  if (size > bytes.size() - at) {
    failed = true;
    at = bytes.size();
    return 0;
  }
  uint64_t value = 0;
  for (unsigned i = 0; i < size; i++)
    value |= uint64_t(bytes[at + i]) << (8 * i);
  at += size;
  return value;
}

uint64_t ByteReader::uleb() {
  uint64_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    uint64_t byte = take(1);
    if (shift < 64)
      value |= (byte & 0x7f) << shift;
    if (!(byte & 0x80) || failed)
      return value;
  }
}

int64_t ByteReader::sleb() {
  uint64_t value = 0;
  for (unsigned shift = 0;;) {
    uint64_t byte = take(1);
    if (shift < 64)
      value |= (byte & 0x7f) << shift;
    shift += 7;
    if (!(byte & 0x80) || failed)
      return shift < 64 && (byte & 0x40) ? int64_t(value | ~uint64_t(0) << shift) : int64_t(value);
  }
}

StringRef ByteReader::string() {
  StringRef rest = toStringRef(bytes.drop_front(at));
  size_t end = rest.find('\0');
  if (end == StringRef::npos) {
    failed = true;
    at = bytes.size();
    return {};
  }
  at += end + 1;
  return rest.take_front(end);
}

namespace {

struct Cie {
  uint8_t pointerEncoding = DW_EH_PE_absptr, lsdaEncoding = DW_EH_PE_omit;
  bool hasAugmentation = false, isSignalFrame = false, valid = false;
};

unsigned encodedSize(uint8_t encoding) {
  switch (encoding & 0x0f) {
  case DW_EH_PE_udata2:
  case DW_EH_PE_sdata2:
    return 2;
  case DW_EH_PE_udata4:
  case DW_EH_PE_sdata4:
    return 4;
  default:
    return 8;
  }
}

/// A pointer as .eh_frame encodes it; `here` is its own address. 0 when it is null or indirect.
uint64_t takeEncoded(ByteReader &reader, uint8_t encoding, VAddr here) {
  if (encoding == DW_EH_PE_omit)
    return 0;
  int64_t value;
  switch (encoding & 0x0f) {
  case DW_EH_PE_uleb128:
    value = reader.uleb();
    break;
  case DW_EH_PE_sleb128:
    value = reader.sleb();
    break;
  case DW_EH_PE_sdata2:
    value = int16_t(reader.take(2));
    break;
  case DW_EH_PE_sdata4:
    value = int32_t(reader.take(4));
    break;
  default:
    value = reader.take(encodedSize(encoding));
  }
  if (value == 0 || (encoding & DW_EH_PE_indirect))
    return 0;
  switch (encoding & 0x70) {
  case DW_EH_PE_absptr:
    return value;
  case DW_EH_PE_pcrel:
    return here.raw() + value;
  default:
    return 0;
  }
}

Cie readCie(ArrayRef<uint8_t> body) {
  Cie cie;
  ByteReader reader(body);
  uint8_t version = reader.take(1);
  StringRef augmentation = reader.string();
  if (version == 4)
    reader.take(2);
  reader.uleb(); // code alignment
  reader.sleb(); // data alignment
  version == 1 ? reader.take(1) : reader.uleb();
  if (augmentation.consume_front("z")) {
    cie.hasAugmentation = true;
    reader.uleb();
    for (char c : augmentation) {
      if (c == 'R') {
        cie.pointerEncoding = reader.take(1);
      } else if (c == 'L') {
        cie.lsdaEncoding = reader.take(1);
      } else if (c == 'P') {
        uint8_t encoding = reader.take(1);
        reader.take(encodedSize(encoding));
      } else if (c == 'S') {
        cie.isSignalFrame = true;
      } else if (c != 'B') {
        return cie;
      }
    }
  } else if (!augmentation.empty()) {
    return cie;
  }
  cie.valid = !reader.failed;
  return cie;
}

/// The landing pads of one function's LSDA.
void addLandingPads(const elf::Image &image, VAddr lsda, AddrRange function, Roots &roots) {
  ArrayRef<uint8_t> bytes = image.bytesFrom(lsda);
  ByteReader reader(bytes);
  uint8_t startEncoding = reader.take(1);
  uint64_t landingBase = function.begin.raw();
  if (startEncoding != DW_EH_PE_omit)
    landingBase = takeEncoded(reader, startEncoding, lsda + reader.position());
  uint8_t typeEncoding = reader.take(1);
  if (typeEncoding != DW_EH_PE_omit)
    reader.uleb();
  uint8_t callEncoding = reader.take(1);
  uint64_t tableSize = reader.uleb();
  size_t end = reader.position() + tableSize;
  // Entries have at least four bytes, so a damaged size cannot keep us busy for longer than the file is.
  while (!reader.failed && tableSize <= bytes.size() && reader.position() < end) {
    uint8_t plain = callEncoding & 0x0f;
    takeEncoded(reader, plain, VAddr());
    takeEncoded(reader, plain, VAddr());
    uint64_t pad = takeEncoded(reader, plain, VAddr());
    reader.uleb();
    if (pad && !reader.failed && function.contains(VAddr(landingBase + pad)))
      roots.strict.push_back(VAddr(landingBase + pad));
  }
}

struct Location {
  VAddr addr;
  ArrayRef<uint8_t> bytes;
};

std::optional<Location> findEhFrame(const elf::Image &image) {
  if (const elf::Section *section = image.sectionNamed(".eh_frame"))
    return Location{section->addr, section->bytes};
  if (!image.ehFrameHdr)
    return std::nullopt;
  VAddr header = image.ehFrameHdr->begin;
  ByteReader reader(image.bytesFrom(header));
  if (reader.take(1) != 1)
    return std::nullopt;
  uint8_t encoding = reader.take(1);
  reader.take(2);
  VAddr frame(takeEncoded(reader, encoding, header + 4));
  ArrayRef<uint8_t> bytes = image.bytesFrom(frame);
  if (reader.failed || bytes.empty())
    return std::nullopt;
  return Location{frame, bytes};
}

} // namespace

void addEhFrame(const elf::Image &image, Roots &roots) {
  std::optional<Location> frame = findEhFrame(image);
  if (!frame)
    return;
  DenseMap<uint64_t, Cie> cies;
  ArrayRef<uint8_t> bytes = frame->bytes;
  size_t at = 0;
  while (at + 8 <= bytes.size()) {
    uint64_t length = support::endian::read32le(&bytes[at]);
    if (length == 0) { // the end of one object file's part; crtend.o's is the last
      at += 4;
      if (image.sections.empty())
        break;
      continue;
    }
    size_t start = at + 4;
    if (length < 4 || length >= 0xfffffff0 || length > bytes.size() - start)
      break;
    at = start + length;
    uint32_t ciePointer = support::endian::read32le(&bytes[start]);
    ArrayRef<uint8_t> body = bytes.slice(start + 4, length - 4);
    if (ciePointer == 0) {
      cies[start - 4] = readCie(body);
      continue;
    }
    auto cie = ciePointer <= start ? cies.find(start - ciePointer) : cies.end();
    if (cie == cies.end() || !cie->second.valid)
      continue;
    VAddr bodyAddr = frame->addr + (start + 4);
    ByteReader reader(body);
    VAddr begin(takeEncoded(reader, cie->second.pointerEncoding, bodyAddr));
    uint64_t size = takeEncoded(reader, cie->second.pointerEncoding & 0x0f, VAddr());
    if (reader.failed || size == 0 || !image.isExecutable(begin) || begin.raw() + size < begin.raw() ||
        !image.isExecutable(begin + (size - 1)))
      continue;
    // Old unwinders look up the byte before a return address even where nothing was called, so glibc's FDE of the code
    // that signal handlers return to begins in the padding before it.
    static constexpr uint8_t kSigReturn[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05}; // mov $15, %rax; syscall
    if (cie->second.isSignalFrame && size > 1 &&
        image.bytesFrom(begin + 1).take_front(sizeof kSigReturn) == ArrayRef(kSigReturn)) {
      begin = begin + 1;
      size--;
    }
    AddrRange range{begin, begin + size};
    roots.functions.push_back({range, {}, FunctionSource::Fde});
    if (!cie->second.hasAugmentation || cie->second.lsdaEncoding == DW_EH_PE_omit)
      continue;
    reader.uleb();
    VAddr lsdaHere = bodyAddr + reader.position();
    if (uint64_t lsda = takeEncoded(reader, cie->second.lsdaEncoding, lsdaHere); lsda && !reader.failed)
      addLandingPads(image, VAddr(lsda), range, roots);
  }
}

} // namespace osv::analysis

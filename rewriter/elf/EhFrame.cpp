// SPDX-License-Identifier: BSD-3-Clause
//
// The reader of .eh_frame; see EhFrame.h.
#include "rewriter/elf/EhFrame.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/BinaryFormat/Dwarf.h"
#include "llvm/Support/Endian.h"

using namespace llvm;
using namespace llvm::dwarf;

namespace osv::elf {

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

static unsigned encodedSize(uint8_t encoding) {
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

/// Nothing when it has an augmentation that is not understood.
static std::optional<Cie> readCie(ArrayRef<uint8_t> body) {
  Cie cie;
  cie.pointerEncoding = DW_EH_PE_absptr;
  cie.lsdaEncoding = DW_EH_PE_omit;
  ByteReader reader(body);
  cie.version = reader.take(1);
  StringRef augmentation = reader.string();
  if (cie.version == 4)
    reader.take(2);
  cie.codeAlign = reader.uleb();
  cie.dataAlign = reader.sleb();
  cie.returnRegister = cie.version == 1 ? reader.take(1) : reader.uleb();
  if (augmentation.consume_front("z")) {
    cie.hasAugmentation = true;
    uint64_t size = reader.uleb();
    size_t begin = reader.position();
    for (char c : augmentation) {
      if (c == 'R')
        cie.pointerEncoding = reader.take(1);
      else if (c == 'L')
        cie.lsdaEncoding = reader.take(1);
      else if (c == 'P')
        reader.take(encodedSize(reader.take(1)));
      else if (c == 'S')
        cie.isSignalFrame = true;
      else
        return std::nullopt;
    }
    reader.seek(begin);
    reader.skip(size);
  } else if (!augmentation.empty()) {
    return std::nullopt;
  }
  if (reader.failed)
    return std::nullopt;
  cie.initial = body.drop_front(reader.position());
  return cie;
}

/// `addr` is that of `body`.
static std::optional<Fde> readFde(const Cie &cie, ArrayRef<uint8_t> body, VAddr addr) {
  ByteReader reader(body);
  VAddr begin(takeEncoded(reader, cie.pointerEncoding, addr));
  uint64_t size = takeEncoded(reader, cie.pointerEncoding & 0x0f, VAddr());
  if (reader.failed || size == 0 || begin.raw() + size < begin.raw())
    return std::nullopt;
  Fde fde{{begin, begin + size}, cie, {}, VAddr()};
  if (cie.hasAugmentation) {
    uint64_t length = reader.uleb();
    size_t at = reader.position();
    if (cie.lsdaEncoding != DW_EH_PE_omit)
      fde.lsda = VAddr(takeEncoded(reader, cie.lsdaEncoding, addr + at));
    if (reader.failed)
      fde.lsda = VAddr();
    reader.seek(at);
    reader.skip(length);
  }
  fde.program = body.drop_front(reader.position());
  return fde;
}

namespace {
struct Location {
  VAddr addr;
  ArrayRef<uint8_t> bytes;
};
} // namespace

static std::optional<Location> findEhFrame(const Image &image) {
  if (const Section *section = image.sectionNamed(".eh_frame"))
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

void forEachFde(const Image &image, function_ref<void(const Fde &)> f) {
  std::optional<Location> frame = findEhFrame(image);
  if (!frame)
    return;
  DenseMap<uint64_t, std::optional<Cie>> cies;
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
    if (cie == cies.end() || !cie->second)
      continue;
    if (std::optional<Fde> fde = readFde(*cie->second, body, frame->addr + (start + 4)))
      f(*fde);
  }
}

} // namespace osv::elf

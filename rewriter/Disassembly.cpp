// SPDX-License-Identifier: BSD-3-Clause
//
// Lays out lines of disassembly; see Disassembly.h.
#include "rewriter/Disassembly.h"
#include "rewriter/x64/Decode.h"
#include "llvm/ADT/STLExtras.h"

using namespace llvm;

namespace osv {

std::string disassemblyLine(const CodeMap &map, VAddr addr, bool isMarked) {
  constexpr unsigned kByteColumns = 27; // nine bytes; longer instructions push their text to the right
  ArrayRef<uint8_t> bytes = map.bytesFrom(addr);
  std::string text;
  raw_string_ostream os(text);
  os << (isMarked ? "  > " : "    ") << utohexstr(addr.raw(), /*LowerCase=*/true) << ":  ";
  std::string hexBytes;
  for (uint8_t byte : bytes.take_front(map.shapeAt(addr).length))
    hexBytes += toHex(ArrayRef(byte), /*LowerCase=*/true) + " ";
  os << left_justify(hexBytes, kByteColumns) << ' ' << x64::format(bytes, addr);
  return text;
}

std::vector<std::string> disassembleAround(const CodeMap &map, VAddr addr, unsigned before, unsigned after) {
  std::vector<std::string> lines;
  VAddr at = addr;
  for (unsigned i = 0; i < before; i++) {
    std::optional<VAddr> previous = map.previousInstruction(at, /*wide=*/true);
    if (!previous || map.functionAt(*previous) != map.functionAt(addr))
      break;
    at = *previous;
    lines.insert(lines.begin(), disassemblyLine(map, at, false));
  }
  lines.push_back(disassemblyLine(map, addr, true));
  at = addr;
  for (unsigned i = 0; i < after; i++) {
    at += map.shapeAt(at).length;
    if (!map.isPossibleStart(at) || map.functionAt(at) != map.functionAt(addr))
      break;
    lines.push_back(disassemblyLine(map, at, false));
  }
  return lines;
}

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// The lines of disassembly that findings, reports and --explain-site show: address, bytes and AT&T text, with `>`
// before the instruction in question.
#pragma once
#include "rewriter/CodeMap.h"
#include <string>
#include <vector>

namespace osv {

/// The instruction at `addr` with up to `before` known ones before and `after` ones behind it.
std::vector<std::string> disassembleAround(const CodeMap &map, VAddr addr, unsigned before = 2, unsigned after = 1);

/// One line: "  > 401a28:  65 48 89 04 25 10 00 00 00  mov %rax, %gs:0x10".
std::string disassemblyLine(const CodeMap &map, VAddr addr, bool isMarked);

} // namespace osv

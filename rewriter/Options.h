// SPDX-License-Identifier: BSD-3-Clause
//
// The command line as data. Parsing prints nothing and touches no file but the program's own directory.
#pragma once
#include "rewriter/Context.h"

namespace osv {

struct CommandLine {
  Options opts;
  std::vector<std::string> inputs;       ///< one, or with --check at least one
  std::vector<std::string> warningFlags; ///< each without its -W; known to be valid
  unsigned errorLimit = 20;
  bool help = false, version = false; ///< nothing else is to be done
};

/// Fails with a message for the user: status 2.
llvm::Expected<CommandLine> parseCommandLine(int argc, char **argv);
void printHelp(llvm::raw_ostream &os);

} // namespace osv

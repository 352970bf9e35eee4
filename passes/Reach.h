// SPDX-License-Identifier: BSD-3-Clause
//
// What may a function, and all that it calls, touch? The one analysis behind GateCheck (code that runs before the TLS
// switch must not touch some things) and TlsSwitch (code that touches no TLS needs no switch).
//
// It sees one module. A callee of another module counts as clean when its declaration is annotated `osv.pre_switch`:
// its own module holds it to that. Everything else that cannot be seen (another extern function, a call through a
// pointer) counts as touching. Functions in assembly are annotated on their declaration by whoever reviewed them.
#pragma once
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/IR/InstrTypes.h"
#include "llvm/IR/Module.h"
#include <string>

namespace osv {

inline constexpr llvm::StringLiteral kPreSwitch = "osv.pre_switch"; ///< may run before the switch to kernel TLS
inline constexpr llvm::StringLiteral kAppEntry = "osv.app_entry";   ///< called by the program, with its FS loaded

/// The compiler makes calls of these by itself. They are trusted as callees; GateCheck makes roots of their
/// definitions.
inline constexpr llvm::StringLiteral kCompilerCallees[] = {"memcpy", "memmove", "memset", "memcmp", "bcmp"};

/// Functions and variables of `module` with `__attribute__((annotate(text)))`, on a definition or a used declaration.
llvm::DenseSet<const llvm::GlobalValue *> annotated(const llvm::Module &module, llvm::StringRef text);

enum Concern : unsigned {
  kTouchFs = 1, ///< `thread_local` variables, FS-relative memory, the stack protector's guard when it is at FS
  kTouchGs = 2, ///< GS-relative memory other than the gate block
  kTouchFp = 4, ///< x87, SSE and AVX registers, explicitly or because the function was compiled with them
};

/// One thing that `concerns` forbid, found on the way from a root.
struct Touch {
  std::string place; ///< "file:line: " or empty
  std::string what;  ///< a clause without subject: "reads thread-local 'x'"
  std::string chain; ///< "'root', which calls 'f' (file:line), which calls ..."
};

class Reach {
public:
  Reach(const llvm::Module &module, unsigned concerns);

  /// Calls `report` for each touch in `root` and all that it calls, breadth first: the chain is a shortest one. Stops
  /// when `report` returns false.
  void visit(const llvm::Function &root, llvm::function_ref<bool(const Touch &)> report) const;

private:
  const llvm::Module &module;
  unsigned concerns;
  llvm::DenseSet<const llvm::GlobalValue *> preSwitch;

  std::string attributeTouch(const llvm::Function &function) const;
  std::string instructionTouch(const llvm::Instruction &instruction) const;
  std::string callTouch(const llvm::CallBase &call) const;
  std::string segmentTouch(const llvm::Value &pointer) const;
};

} // namespace osv

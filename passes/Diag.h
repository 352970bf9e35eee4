// SPDX-License-Identifier: BSD-3-Clause
//
// An error of one of our passes, reported through the LLVMContext: clang prints it as its own and fails the
// compilation, opt prints it and ends with status 1. The text carries the pass's name and the place, "pass: file:line:
// message".
#pragma once
#include "llvm/ADT/Twine.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/LLVMContext.h"
#include <string>

namespace osv {

class PassError : public llvm::DiagnosticInfo {
public:
  PassError(const llvm::Twine &message) : DiagnosticInfo(kind(), llvm::DS_Error), message(message.str()) {}
  void print(llvm::DiagnosticPrinter &printer) const override { printer << message; }

private:
  std::string message;
  static int kind() {
    static const int kind = llvm::getNextAvailablePluginDiagnosticKind();
    return kind;
  }
};

} // namespace osv

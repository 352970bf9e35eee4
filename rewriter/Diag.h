// SPDX-License-Identifier: BSD-3-Clause
//
// Diagnostics: the only code of the tool that prints about an input.
//
// A finding is a message with a stable id, the address it is about, and notes. Stages call `Diag::report` and go on, so
// that a user sees all that is wrong in one run; the driver looks at `errorCount()` at the joints between stages and
// calls `flush` at the end, which prints the findings sorted by address (those without an address first), so that two
// runs print the same however many threads worked. Something that ends a stage is returned as an `llvm::Error` made by
// `findingError` and given to `Diag::report(Error)` by the driver.
//
// Style (see docs/diagnostics.md): the message is lower case without a final period, 'quotes' round names, 0x hex for
// numbers.
#pragma once
#include "rewriter/elf/Address.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include <array>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace osv {

enum class DiagId : unsigned {
#define DIAG(Name, Id, Severity, Explanation) Name,
#include "rewriter/Diagnostics.def"
};
inline constexpr unsigned kNumDiags = 0
#define DIAG(Name, Id, Severity, Explanation) +1
#include "rewriter/Diagnostics.def"
    ;

enum class Severity : uint8_t { Off, Remark, Warning, Error, Fatal };

struct DiagInfo {
  llvm::StringRef id;
  Severity severity; ///< default
  llvm::StringRef explanation;
};
const DiagInfo &diagInfo(DiagId id);
std::optional<DiagId> findDiag(llvm::StringRef id);

/// A line `name: note: text` under a finding, followed by verbatim lines (a disassembly, each without its newline).
struct DiagNote {
  std::string text;
  std::vector<std::string> lines;
};

struct Finding {
  DiagId id;
  std::optional<VAddr> address;
  std::string message;
  std::string function; ///< for reports; the place in the text output is a note
  std::vector<DiagNote> notes;

  Finding(DiagId id, const llvm::Twine &message) : id(id), message(message.str()) {}
  Finding(DiagId id, VAddr address, const llvm::Twine &message) : id(id), address(address), message(message.str()) {}
  Finding &note(const llvm::Twine &text, std::vector<std::string> lines = {}) {
    notes.push_back({text.str(), std::move(lines)});
    return *this;
  }
};

/// A finding on its way up through `llvm::Error`.
class FindingError : public llvm::ErrorInfo<FindingError> {
public:
  static char ID;
  explicit FindingError(Finding finding) : finding(std::move(finding)) {}
  void log(llvm::raw_ostream &os) const override { os << finding.message; }
  std::error_code convertToErrorCode() const override { return llvm::inconvertibleErrorCode(); }
  Finding finding;
};
llvm::Error findingError(Finding finding);
llvm::Error findingError(DiagId id, const llvm::Twine &message);

class Diag {
public:
  /// `name` is the input as the user wrote it; it begins every line.
  explicit Diag(llvm::StringRef name = "osv-rewrite") : name(name) {}

  /// One -W flag without its -W: "id", "no-id", "error=id", "no-error=id", "error". Fails with a usage message.
  llvm::Error applyFlag(llvm::StringRef flag);
  void setErrorLimit(unsigned limit) { errorLimit = limit; } ///< 0: no limit
  void setName(llvm::StringRef input) { name = input.str(); }
  llvm::StringRef inputName() const { return name; }

  /// Thread-safe. A finding whose severity is Off is dropped.
  void report(Finding finding);
  /// For errors that ended a stage. What is no FindingError is reported under `fallback`.
  void report(llvm::Error error, DiagId fallback);

  Severity severityOf(DiagId id) const { return severities[unsigned(id)]; }
  bool isEnabled(DiagId id) const { return severityOf(id) != Severity::Off; }
  unsigned errorCount() const { return errors; }
  bool hasErrors() const { return errors != 0; }

  /// All findings in the order in which they are printed.
  std::vector<const Finding *> sorted() const;
  /// Prints everything collected and forgets it; errorCount() stays. `os` decides about colours (see `wantColours`).
  void flush(llvm::raw_ostream &os);

private:
  void print(llvm::raw_ostream &os, const Finding &finding) const;
  void printHead(llvm::raw_ostream &os, Severity severity) const;

  std::string name;
  std::array<Severity, kNumDiags> severities = defaultSeverities();
  static std::array<Severity, kNumDiags> defaultSeverities();
  unsigned errorLimit = 20;
  unsigned errors = 0;
  std::deque<Finding> findings;
  mutable std::mutex mutex;
};

/// Colours only on a terminal, and not when NO_COLOR is set (https://no-color.org).
bool wantColours(llvm::raw_ostream &os);

/// A broken promise of our own code; says where and ends the process with status 3. Never used for input.
[[noreturn]] void verifyFailed(const char *condition, const char *file, int line);
#define VERIFY(condition)                                                                                              \
  do {                                                                                                                 \
    if (!(condition)) [[unlikely]]                                                                                     \
      ::osv::verifyFailed(#condition, __FILE__, __LINE__);                                                             \
  } while (0)

} // namespace osv

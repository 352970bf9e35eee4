// SPDX-License-Identifier: BSD-3-Clause
//
// Collects findings and prints them in the form of a compiler; see Diag.h for the rules. Colours follow clang: bold red
// errors, bold magenta warnings, bold cyan notes.
#include "rewriter/Diag.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/WithColor.h"
#include <algorithm>
#include <cstdlib>

using namespace llvm;

namespace osv {

static const DiagInfo kDiagTable[] = {
#define DIAG(Name, Id, Sev, Explanation) {Id, Severity::Sev, Explanation},
#include "rewriter/Diagnostics.def"
};

const DiagInfo &diagInfo(DiagId id) { return kDiagTable[unsigned(id)]; }

std::optional<DiagId> findDiag(StringRef id) {
  for (unsigned i = 0; i < kNumDiags; i++)
    if (kDiagTable[i].id == id)
      return DiagId(i);
  return std::nullopt;
}

char FindingError::ID;

Error findingError(Finding finding) { return make_error<FindingError>(std::move(finding)); }
Error findingError(DiagId id, const Twine &message) { return findingError(Finding(id, message)); }

std::array<Severity, kNumDiags> Diag::defaultSeverities() {
  std::array<Severity, kNumDiags> all;
  for (unsigned i = 0; i < kNumDiags; i++)
    all[i] = kDiagTable[i].severity;
  return all;
}

Error Diag::applyFlag(StringRef flag) {
  StringRef id = flag;
  bool negative = id.consume_front("no-");
  if (id == "error") { // all warnings, or back to each one's default
    for (unsigned i = 0; i < kNumDiags; i++)
      if (kDiagTable[i].severity == Severity::Warning)
        severities[i] = negative ? Severity::Warning : Severity::Error;
    return Error::success();
  }
  bool error = id.consume_front("error=");
  std::optional<DiagId> found = findDiag(id);
  if (!found)
    return createStringError("unknown diagnostic '" + id + "' in '-W" + flag + "'");
  Severity &severity = severities[unsigned(*found)];
  Severity byDefault = diagInfo(*found).severity;
  if (byDefault == Severity::Fatal) {
    if (negative)
      return createStringError("'-W" + flag + "': this error cannot be switched off");
  } else if (error) {
    severity = negative ? std::min(byDefault, Severity::Warning) : Severity::Error;
  } else if (!negative) {
    severity = std::max(severity, Severity::Warning);
  } else if (byDefault == Severity::Error) {
    return createStringError("'-W" + flag + "': this error cannot be switched off; '-Wno-error=" + id +
                             "' makes it a warning");
  } else {
    severity = Severity::Off;
  }
  return Error::success();
}

void Diag::report(Finding finding) {
  Severity severity = severityOf(finding.id);
  if (severity == Severity::Off)
    return;
  std::lock_guard guard(mutex);
  errors += severity >= Severity::Error;
  findings.push_back(std::move(finding));
}

void Diag::report(Error error, DiagId fallback) {
  handleAllErrors(
      std::move(error), [&](FindingError &e) { report(std::move(e.finding)); },
      [&](ErrorInfoBase &e) { report(Finding(fallback, e.message())); });
}

std::vector<const Finding *> Diag::sorted() const {
  std::vector<const Finding *> order;
  for (const Finding &finding : findings)
    order.push_back(&finding);
  // An absent address compares less than any present one.
  llvm::sort(order, [](const Finding *a, const Finding *b) {
    return std::tie(a->address, a->id, a->message) < std::tie(b->address, b->id, b->message);
  });
  return order;
}

void Diag::printHead(raw_ostream &os, Severity severity) const {
  struct Look {
    const char *word;
    raw_ostream::Colors colour;
  };
  Look look = severity >= Severity::Error     ? Look{"error", raw_ostream::RED}
              : severity == Severity::Warning ? Look{"warning", raw_ostream::MAGENTA}
                                              : Look{"note", raw_ostream::CYAN};
  os.changeColor(raw_ostream::SAVEDCOLOR, /*Bold=*/true) << name << ": ";
  os.changeColor(look.colour, /*Bold=*/true) << look.word << ": ";
  os.resetColor();
}

void Diag::print(raw_ostream &os, const Finding &finding) const {
  Severity severity = severityOf(finding.id);
  printHead(os, severity);
  os.changeColor(raw_ostream::SAVEDCOLOR, severity >= Severity::Warning) << finding.message;
  os.resetColor() << " [" << diagInfo(finding.id).id << "]\n";
  for (const DiagNote &note : finding.notes) {
    printHead(os, Severity::Remark);
    os << note.text << '\n';
    for (const std::string &line : note.lines)
      os << line << '\n';
  }
}

void Diag::flush(raw_ostream &os) {
  unsigned printedErrors = 0, hidden = 0;
  for (const Finding *finding : sorted()) {
    if (severityOf(finding->id) >= Severity::Error && errorLimit && ++printedErrors > errorLimit) {
      hidden++;
      continue;
    }
    print(os, *finding);
  }
  if (hidden) {
    printHead(os, Severity::Remark);
    os << hidden << " more error" << (hidden == 1 ? "" : "s") << " not shown (use --error-limit=0 to see all)\n";
  }
  findings.clear();
  os.flush();
}

bool wantColours(raw_ostream &os) {
  const char *no = std::getenv("NO_COLOR");
  return os.is_displayed() && os.has_colors() && !(no && *no);
}

void verifyFailed(const char *condition, const char *file, int line) {
  errs() << "osv-rewrite: internal error: '" << condition << "' does not hold at " << file << ':' << line << '\n';
  errs().flush();
#ifdef OSV_FUZZ
  std::abort(); // libFuzzer saves the input
#endif
  std::_Exit(3);
}

} // namespace osv

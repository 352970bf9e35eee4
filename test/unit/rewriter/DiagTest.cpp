// SPDX-License-Identifier: BSD-3-Clause
//
// Form and order of diagnostics, -W flags, --error-limit.
#include "rewriter/Diag.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

using namespace osv;
using testing::HasSubstr;

namespace {

std::string flush(Diag &diag) {
  std::string text;
  llvm::raw_string_ostream os(text);
  diag.flush(os);
  return text;
}

std::string applyFlag(Diag &diag, llvm::StringRef flag) { return llvm::toString(diag.applyFlag(flag)); }

TEST(Diag, FormAndOrder) {
  Diag diag("prog");
  diag.report(Finding(DiagId::WritableCode, VAddr(0x2000), "second").note("at 0x2000", {"> 2000: cc  int3"}));
  diag.report(Finding(DiagId::WritableCode, VAddr(0x1000), "first"));
  diag.report(Finding(DiagId::NotElf, "no address"));
  EXPECT_EQ(flush(diag), "prog: error: no address [not-elf]\n"
                         "prog: warning: first [writable-code]\n"
                         "prog: warning: second [writable-code]\n"
                         "prog: note: at 0x2000\n"
                         "> 2000: cc  int3\n");
  EXPECT_EQ(diag.errorCount(), 1u);
  EXPECT_EQ(flush(diag), "");
}

TEST(Diag, Colours) {
  Diag diag("prog");
  diag.report(Finding(DiagId::NotElf, "message"));
  std::string text;
  llvm::raw_string_ostream os(text);
  os.enable_colors(true);
  diag.flush(os);
  EXPECT_EQ(text, "\033[1mprog: \033[0;1;31merror: \033[0m\033[1mmessage\033[0m [not-elf]\n");
}

TEST(Diag, Flags) {
  Diag diag("prog");
  EXPECT_EQ(applyFlag(diag, "no-exec-stack"), "");
  EXPECT_FALSE(diag.isEnabled(DiagId::ExecStack));
  diag.report(Finding(DiagId::ExecStack, "hidden"));
  EXPECT_EQ(applyFlag(diag, "exec-stack"), "");
  EXPECT_EQ(diag.severityOf(DiagId::ExecStack), Severity::Warning);
  EXPECT_EQ(applyFlag(diag, "error=exec-stack"), "");
  diag.report(Finding(DiagId::ExecStack, "shown"));
  EXPECT_EQ(flush(diag), "prog: error: shown [exec-stack]\n");
  EXPECT_EQ(applyFlag(diag, "no-error=exec-stack"), "");
  EXPECT_EQ(diag.severityOf(DiagId::ExecStack), Severity::Warning);
  EXPECT_EQ(applyFlag(diag, "error"), "");
  EXPECT_EQ(diag.severityOf(DiagId::WritableCode), Severity::Error);
  EXPECT_EQ(applyFlag(diag, "no-error"), "");
  EXPECT_EQ(diag.severityOf(DiagId::WritableCode), Severity::Warning);
  EXPECT_THAT(applyFlag(diag, "no-not-elf"), HasSubstr("cannot be switched off"));
  EXPECT_THAT(applyFlag(diag, "nonsense"), HasSubstr("unknown diagnostic 'nonsense'"));
}

TEST(Diag, ErrorLimit) {
  Diag diag("prog");
  diag.setErrorLimit(2);
  for (unsigned i = 0; i < 5; i++)
    diag.report(Finding(DiagId::BadDynamic, VAddr(i), "e" + llvm::Twine(i)));
  diag.report(Finding(DiagId::ExecStack, VAddr(9), "a warning"));
  EXPECT_EQ(flush(diag), "prog: error: e0 [bad-dynamic]\nprog: error: e1 [bad-dynamic]\n"
                         "prog: warning: a warning [exec-stack]\n"
                         "prog: note: 3 more errors not shown (use --error-limit=0 to see all)\n");
  EXPECT_EQ(diag.errorCount(), 5u);
}

} // namespace

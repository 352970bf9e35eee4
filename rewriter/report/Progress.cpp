// SPDX-License-Identifier: BSD-3-Clause
//
// The thread sleeps until a second has passed; most runs are over by then.
#include "rewriter/report/Progress.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace osv::report {

Progress::Progress(StringRef input) : input(input) {
  if (errs().is_displayed())
    thread = std::thread([this] { run(); });
}

void Progress::enter(const char *now) {
  std::lock_guard guard(mutex);
  stage = now;
}

void Progress::finish() {
  if (!thread.joinable())
    return;
  {
    std::lock_guard guard(mutex);
    done = true;
  }
  changed.notify_all();
  thread.join();
}

void Progress::run() {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex);
  bool shown = false;
  for (auto pause = 1000ms; !changed.wait_for(lock, pause, [&] { return done; }); pause = 200ms) {
    std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    errs() << "\r\033[K" << input << ": " << stage << ' ' << format("%.1f", elapsed.count()) << " s";
    errs().flush();
    shown = true;
  }
  if (shown)
    errs() << "\r\033[K";
  errs().flush();
}

} // namespace osv::report

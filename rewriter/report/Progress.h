// SPDX-License-Identifier: BSD-3-Clause
//
// Tells somebody at a terminal that a long run is alive: after a second, one line on the error stream that names what
// is being done and for how long, rewritten in place and wiped out at the end. Nothing when the stream is no terminal.
#pragma once
#include "llvm/ADT/StringRef.h"
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace osv::report {

class Progress {
public:
  explicit Progress(llvm::StringRef input);
  ~Progress() { finish(); }
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  /// What is done from now on: "looking for code".
  void enter(const char *stage);
  /// Wipes the line out; whoever prints calls this first.
  void finish();

private:
  void run();

  std::string input;
  std::mutex mutex;
  std::condition_variable changed;
  const char *stage = "reading";
  bool done = false;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  std::thread thread; ///< only at a terminal
};

} // namespace osv::report

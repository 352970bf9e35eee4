// SPDX-License-Identifier: BSD-3-Clause
//
// Runs a function on all cores. The stages use threads only for work whose result does not depend on the order.
#pragma once
#include "llvm/ADT/STLFunctionalExtras.h"
#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace osv::analysis {

/// How many threads are worth having for `items` of work.
inline unsigned threadsFor(size_t items, size_t itemsPerThread) {
  unsigned cores = std::clamp(std::thread::hardware_concurrency(), 1u, 16u);
  return unsigned(std::clamp<size_t>(items / std::max<size_t>(itemsPerThread, 1), 1, cores));
}

/// Calls `work(thread)` once on each of `threads` threads, this one included, and waits for all.
inline void onThreads(unsigned threads, llvm::function_ref<void(unsigned)> work) {
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; i++)
    others.emplace_back([&work, i] { work(i); });
  work(0);
  for (std::thread &thread : others)
    thread.join();
}

/// Calls `work(thread, begin, end)` for pieces of [0, items) of at most `grain`, on `threads` threads.
inline void forPieces(unsigned threads, size_t items, size_t grain,
                      llvm::function_ref<void(unsigned, size_t, size_t)> work) {
  std::atomic<size_t> next = 0;
  onThreads(threads, [&](unsigned thread) {
    for (size_t begin; (begin = next.fetch_add(grain)) < items;)
      work(thread, begin, std::min(items, begin + grain));
  });
}

/// std::sort; with many items each half on a thread of its own.
template <typename T> void sortOnThreads(std::vector<T> &items) {
  if (threadsFor(items.size(), 1 << 15) == 1) {
    std::sort(items.begin(), items.end());
    return;
  }
  auto middle = items.begin() + items.size() / 2;
  onThreads(2, [&](unsigned half) { std::sort(half ? middle : items.begin(), half ? items.end() : middle); });
  std::vector<T> sorted(items.size());
  std::merge(items.begin(), middle, middle, items.end(), sorted.begin());
  items = std::move(sorted);
}

} // namespace osv::analysis

// C++: std::async, futures, exceptions thrown across 64 frames in 8 threads, thread_local with destructors, call_once.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, runtime-fs, qemu, glibc-static
// RUN: g++ -O1 -static -pthread %s -o %t && %python %tools/same.py --build %build %t
#include <atomic>
#include <chrono>
#include <cstdio>
#include <future>
#include <mutex>
#include <numeric>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static std::atomic<int> destroyed{0}, unwound{0};

struct PerThread {
  std::string text = "a string that is too long for the small buffer of std::string";
  ~PerThread() { destroyed++; }
};
static thread_local PerThread perThread;

struct Frame {
  ~Frame() { unwound++; }
};

__attribute__((noinline)) int descend(int depth, int value) {
  Frame f;
  if (depth == 0)
    throw std::runtime_error("from the depth: " + std::to_string(value));
  return descend(depth - 1, value) + 1;
}

static int throwing(int me) {
  int caught = 0;
  for (int i = 0; i < 200; i++) {
    try {
      descend(63, me);
    } catch (const std::runtime_error &e) {
      caught += e.what() == "from the depth: " + std::to_string(me);
    }
  }
  perThread.text += std::to_string(me);
  return caught;
}

static long sumOf(const std::vector<int> &v, size_t from, size_t to) {
  if (to - from < 1000)
    return std::accumulate(v.begin() + static_cast<long>(from), v.begin() + static_cast<long>(to), 0l);
  size_t middle = (from + to) / 2;
  auto half = std::async(std::launch::async, sumOf, std::cref(v), from, middle);
  return sumOf(v, middle, to) + half.get();
}

int main() {
  std::vector<std::thread> threads;
  std::atomic<int> caught{0};
  for (int i = 0; i < 8; i++)
    threads.emplace_back([&, i] { caught += throwing(i); });
  for (auto &t : threads)
    t.join();
  std::printf("caught %d, unwound %d, destroyed %d\n", caught.load(), unwound.load(), destroyed.load());

  std::vector<int> v(50000);
  std::iota(v.begin(), v.end(), 1);
  std::printf("sum %ld\n", sumOf(v, 0, v.size()));

  auto failing = std::async(std::launch::async, []() -> int { throw std::out_of_range("out"); });
  try {
    failing.get();
  } catch (const std::out_of_range &e) {
    std::printf("future: %s\n", e.what());
  }
  std::promise<int> promise;
  std::thread later([&] { promise.set_value(42); });
  std::printf("promise: %d\n", promise.get_future().get());
  later.join();

  std::once_flag once;
  std::atomic<int> calls{0};
  std::shared_mutex shared;
  long guarded = 0;
  threads.clear();
  for (int i = 0; i < 8; i++)
    threads.emplace_back([&, i] {
      std::call_once(once, [&] { calls++; });
      for (int k = 0; k < 500; k++) {
        if ((k + i) % 4 == 0) {
          std::unique_lock lock(shared);
          guarded++;
        } else {
          std::shared_lock lock(shared);
          (void)guarded;
        }
      }
    });
  for (auto &t : threads)
    t.join();
  std::printf("once %d, guarded %ld\n", calls.load(), guarded);
  std::timed_mutex timed;
  timed.lock();
  std::thread trying([&] {
    auto begin = std::chrono::steady_clock::now();
    bool got = timed.try_lock_for(std::chrono::milliseconds(2));
    std::printf("timed: %d, waited %d\n", got,
                std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(2));
  });
  trying.join();
  timed.unlock();
  return 0;
}

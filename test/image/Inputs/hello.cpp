// SPDX-License-Identifier: BSD-3-Clause
// C++ hello: iostream, exceptions through frames, thread_local with constructors and destructors, joined threads, mutex, futures.
#include <atomic>
#include <condition_variable>
#include <future>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static std::atomic<int> made, gone;
struct Local {
  int value;
  Local() : value(100 + made++) {}
  ~Local() { ++gone; }
};
static thread_local Local local;
static thread_local std::string name = "unnamed";

static int descend(int depth) {
  std::string text(depth, 'x');
  if (depth == 0)
    throw std::runtime_error("bottom");
  return descend(depth - 1) + int(text.size());
}

int main(int argc, char **argv) {
  std::cout << "hello from C++ " << argc << std::endl;
  try {
    descend(20);
  } catch (const std::exception &error) {
    std::cout << "caught " << error.what() << '\n';
  }
  std::vector<std::thread> threads;
  std::vector<int> sums(8);
  std::mutex mutex;
  std::map<int, int> seen;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      name = "thread " + std::to_string(i);
      try {
        descend(i);
      } catch (const std::runtime_error &) {
        std::lock_guard lock(mutex);
        ++seen[i];
      }
      for (int k = 0; k <= 1000; ++k)
        sums[i] += k * (local.value >= 100);
    });
  for (std::thread &thread : threads)
    thread.join();
  int total = 0;
  for (int sum : sums)
    total += sum;
  std::cout << "total " << total << " seen " << seen.size() << " made " << made << " gone " << gone << " " << name
            << '\n';
  std::condition_variable ready;
  int turn = 0;
  std::thread pong([&] {
    for (int i = 0; i < 100; ++i) {
      std::unique_lock lock(mutex);
      ready.wait(lock, [&] { return turn == 1; });
      turn = 0;
      ready.notify_all();
    }
  });
  for (int i = 0; i < 100; ++i) {
    std::unique_lock lock(mutex);
    turn = 1;
    ready.notify_all();
    ready.wait(lock, [&] { return turn == 0; });
  }
  pong.join();
  auto answer = std::async(std::launch::async, [] { return 42; });
  std::cout << "answer " << answer.get() << std::endl;
  std::cerr << "to cerr" << std::endl;
  return 17;
}

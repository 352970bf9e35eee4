// SPDX-License-Identifier: BSD-3-Clause
// The same program with the host's thread_local at FS and with KernelTls at GS, at every optimisation level, gives the same answers
// in eight threads at once: every kind of access, type and size.
// REQUIRES: plugin
// DEFINE: %{cc} = clang++ -std=c++20 -fno-pic -ffp-contract=off -pthread -I%S/Inputs -Wno-unused-command-line-argument
// DEFINE: %{gs} = -fplugin=%plugin -fpass-plugin=%plugin -mllvm -osv-tls=gs -DOSV_GS
// DEFINE: %{link} = -no-pie -fuse-ld=lld
// DEFINE: %{units} = %{link} %t.o %t2.o %t.driver.o -Wl,-T,%S/Inputs/ktls.ld
// RUN: %{cc} %{link} -O1 %s %S/Inputs/ktls-other.cpp %S/Inputs/ktls-driver.cpp -o %t.fs && %t.fs > %t.expected
// RUN: FileCheck %s < %t.expected
// RUN: %{cc} -O1 -DOSV_GS -c %S/Inputs/ktls-driver.cpp -o %t.driver.o
// RUN: %{cc} %{gs} -O0 -c %s -o %t.o && %{cc} %{gs} -O2 -c %S/Inputs/ktls-other.cpp -o %t2.o && %{cc} %{units} -o %t.gs && %t.gs > %t.out
// RUN: diff %t.expected %t.out
// RUN: %{cc} %{gs} -O1 -c %s -o %t.o && %{cc} %{gs} -O0 -c %S/Inputs/ktls-other.cpp -o %t2.o && %{cc} %{units} -o %t.gs && %t.gs > %t.out
// RUN: diff %t.expected %t.out
// RUN: %{cc} %{gs} -O2 -c %s -o %t.o && %{cc} %{gs} -O1 -c %S/Inputs/ktls-other.cpp -o %t2.o && %{cc} %{units} -o %t.gs && %t.gs > %t.out
// RUN: diff %t.expected %t.out
// RUN: llvm-objdump -d %t.o %t2.o | FileCheck %s --check-prefix=CODE --implicit-check-not=%fs:
// RUN: %{cc} %{gs} -O3 -march=native -c %s -o %t.o && %{cc} %{gs} -O3 -c %S/Inputs/ktls-other.cpp -o %t2.o && %{cc} %{units} -o %t.gs && %t.gs > %t.out
// RUN: diff %t.expected %t.out
// RUN: %{cc} %{gs} -Os -c %s -o %t.o && %{cc} %{gs} -Oz -c %S/Inputs/ktls-other.cpp -o %t2.o && %{cc} %{units} -o %t.gs && %t.gs > %t.out
// RUN: diff %t.expected %t.out
// CHECK: thread 0:
// CHECK: thread 7:
// CODE: %gs:
#include "ktls-shared.h"
#include <atomic>
#include <cstdarg>
#include <cstring>

#ifdef OSV_GS
extern "C" constinit thread_local uint64_t osv_gate_block[12] = {}; // GateBlock: self is the first word
#endif

namespace {

constinit thread_local uint64_t hash = 0;
void mix(uint64_t value) { hash = (hash ^ value) * 0x9e3779b97f4a7c15 + (hash >> 29); }

constinit thread_local int8_t byte = -3;
constinit thread_local uint16_t half = 40000;
constinit thread_local int32_t word = -70000;
constinit thread_local unsigned __int128 wide = 1;
constinit thread_local float single = 1.5f;
constinit thread_local double real = 2.25;
constinit thread_local long double extended = 3.125L;
constinit thread_local bool flag = true;
constinit thread_local const int fixed[4] = {9, 8, 7, 6};
constinit thread_local char text[40] = "the quick brown fox";
alignas(64) constinit thread_local uint64_t table[16] = {};
constinit thread_local uint64_t grid[5][7] = {};
constinit thread_local std::atomic<uint64_t> atomic{0};
constinit thread_local std::atomic<uint8_t> atomicByte{0};
constinit thread_local volatile int noisy = 0;
constinit thread_local unsigned other = 5, another = 6;

struct Shape {
  uint64_t id = 3;
  virtual uint64_t area() const { return id; }
};
struct Square : Shape {
  uint64_t side = 4;
  uint64_t area() const override { return side * side + id; }
};
struct Big {
  uint64_t part[24];
};
constinit thread_local Big big{};
constinit thread_local struct Small {
  uint32_t a, b, c;
} small{1, 2, 3};

__attribute__((noinline)) Small *smallAddress() { return &small; }
__attribute__((noinline)) void fill(char *to, size_t size, int value) { memset(to, value, size); }
__attribute__((noinline)) uint64_t sum(int count, ...) {
  va_list list;
  va_start(list, count);
  uint64_t total = 0;
  for (int i = 0; i < count; ++i)
    total += *va_arg(list, uint64_t *);
  va_end(list);
  return total;
}
__attribute__((noinline)) uint64_t *nextSlot() {
  static constinit thread_local unsigned next = 0;
  return &table[next++ % 16];
}

void scalars(uint64_t seed) {
  byte += static_cast<int8_t>(seed);
  half = static_cast<uint16_t>(half * 3 + byte);
  word ^= half << 3;
  wide = wide * 0x100000001b3 + word;
  single = single * 0.5f + byte;
  real = real / 3 + single;
  extended += real;
  flag = !flag;
  noisy = noisy + fixed[seed % 4];
  node.count += 3;
  node.flags ^= seed;
  mix(byte), mix(half), mix(word), mix(static_cast<uint64_t>(wide)), mix(static_cast<uint64_t>(wide >> 64));
  mix(static_cast<int64_t>(single * 1024)), mix(static_cast<int64_t>(extended * 1024)), mix(flag), mix(noisy);
  mix(node.count), mix(node.flags);
}

void arrays(uint64_t seed) {
  for (unsigned i = 0; i < 16; ++i)
    table[(i * 7 + seed) % 16] += i * seed + 1;
  for (uint64_t *slot = table; slot != table + 16; ++slot)
    mix(*slot);
  for (auto &row : grid)
    for (auto &cell : row)
      cell += seed++ ^ static_cast<uint64_t>(&cell - row);
  uint64_t(*row)[7] = &grid[seed % 5];
  (*row)[seed % 7] = hash;
  for (unsigned i = 0; i < 35; ++i)
    mix(grid[i / 7][i % 7]);
  *nextSlot() += 5;
  *nextSlot() ^= seed;
}

void copies(uint64_t seed) {
  Big local = big;
  for (auto &part : local.part)
    part += seed;
  big = local;
  Small copy = small;
  copy.b += seed;
  small = copy;
  smallAddress()->c += small.b;
  char buffer[40];
  memcpy(buffer, text, sizeof text);
  mix(memcmp(buffer, text, sizeof text));
  memmove(text + 1, text, 20);
  text[0] = static_cast<char>('a' + seed % 26);
  memset(text + 24, static_cast<int>(seed), 7);
  fill(text + 31, seed % 8, 'z');
  for (char c : text)
    mix(static_cast<unsigned char>(c));
  memcpy(&table[2], &big.part[3], 3 * sizeof(uint64_t));
  mix(small.a + small.b + small.c), mix(big.part[seed % 24]);
}

void pointers(uint64_t seed) {
  unsigned &which = seed % 2 ? other : another;
  ++which;
  unsigned stackWord = 3;
  unsigned *maybe = seed % 3 ? &other : &stackWord;
  *maybe += 7;
  mix(other), mix(another), mix(stackWord);
  mix(throughPointer(&shared, static_cast<unsigned>(seed)));
  mix(isMine(&shared)), mix(isMine(&table[1])), mix(addressOfShared() == &shared), mix(*addressOfShared());
  mix(sum(3, &shared, &table[seed % 16], &big.part[2])), mix(inlineCounter);
  node.next = &node;
  node.next->next->values[seed % 6] += shared;
  uint64_t *cursor = node.values;
  while (cursor < node.values + 6 && *cursor % 7 != 0)
    ++cursor;
  mix(cursor - node.values);
  auto add = [&total = shared](uint64_t value) { total += value; };
  add(seed), add(word);
  static constinit thread_local Square square;
  const Shape *shape = &square;
  asm volatile("" : "+r"(shape)); // the call stays virtual
  square.side += seed;
  mix(shape->area());
  asm volatile("addq %1, %0" : "+m"(shared) : "r"(seed) : "cc");
  mix(shared), mix(reinterpret_cast<uintptr_t>(&shared) - reinterpret_cast<uintptr_t>(addressOfShared()));
}

void atomics(uint64_t seed) {
  mix(atomic.fetch_add(seed)), mix(atomic.exchange(seed * 3));
  uint64_t expected = seed * 3;
  mix(atomic.compare_exchange_strong(expected, 11)), mix(expected);
  mix(atomic.compare_exchange_weak(expected, 12)), mix(expected);
  atomic |= 0x40, atomic &= ~2ull, ++atomicByte;
  mix(atomic.load(std::memory_order_relaxed)), mix(atomicByte.fetch_xor(static_cast<uint8_t>(seed)));
}

} // namespace

uint64_t work(uint64_t seed) {
  for (uint64_t round = 0; round < 2000; ++round) {
    uint64_t value = (seed + 1) * 77 + round;
    scalars(value);
    arrays(value);
    copies(value);
    pointers(value);
    atomics(value);
  }
  return hash;
}

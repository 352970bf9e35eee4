// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>

struct Node {
  Node *next = nullptr;
  uint64_t values[6] = {1, 2, 3, 4, 5, 6};
  uint32_t flags : 5 = 3;
  uint32_t count : 27 = 0;
};

extern constinit thread_local uint64_t shared;
extern constinit thread_local Node node;
inline constinit thread_local uint32_t inlineCounter = 1000; // one copy for both units, by COMDAT

uint64_t throughPointer(uint64_t *value, unsigned by);
bool isMine(const uint64_t *pointer);
uint64_t *addressOfShared();

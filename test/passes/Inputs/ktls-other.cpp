// SPDX-License-Identifier: BSD-3-Clause
//
// The other translation unit of kernel-tls_exec.cpp: defines what that one only declares, and sees its variables as
// extern.
#include "ktls-shared.h"

constinit thread_local uint64_t shared = 17;
constinit thread_local Node node{};

// A plain function that gets addresses of thread-local variables: it must see the caller's thread.
uint64_t throughPointer(uint64_t *value, unsigned by) { return *value += by + inlineCounter++; }

bool isMine(const uint64_t *pointer) { return pointer == &shared; }

uint64_t *addressOfShared() { return &shared; }

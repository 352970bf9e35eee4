// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <cstdint>

#define APP_ENTRY __attribute__((annotate("osv.app_entry")))

struct Wide {
  uint64_t values[6];
};

extern constinit thread_local uint64_t calls;
APP_ENTRY uint64_t count(uint64_t by);
APP_ENTRY Wide many(int a, long b, char c, int d, long e, short f, int g, long h, double i);
APP_ENTRY uint64_t pure(uint64_t value);

// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's heap: size-class slabs over the page allocator, behind `operator new(std::nothrow)` and `delete`. Plain
// `new` does not exist: running out of memory is a Result. 16-byte aligned (64 when the size is a multiple of 64). Any
// context; never sleeps.
#pragma once
#include "kernel/lib/Result.h"
#include <cstddef>
#include <new>
#include <utility>

namespace osv {
void *heapAlloc(size_t size, size_t align = 16);
void heapFree(void *p);

/// `TRY(make<T>(args...))`: a heap object or ENOMEM.
template <typename T, typename... As> Result<T *> make(As &&...as) {
  if (T *p = new (std::nothrow) T(std::forward<As>(as)...))
    return p;
  return Errno::NoMem;
}
} // namespace osv

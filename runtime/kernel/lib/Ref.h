// SPDX-License-Identifier: BSD-3-Clause
//
// Shared ownership: `RefCounted` holds the count in the object, `Ref<T>` is the owning pointer. The last `Ref` deletes
// the object (virtual destructor of T). Thread-safe; may be copied with interrupts off, but the last release may free
// memory.
#pragma once
#include "abi/Annotations.h"
#include <atomic>
#include <cstdint>
#include <utility>

namespace osv {

class RefCounted {
public:
  void retain() const { count.fetch_add(1, std::memory_order_relaxed); }
  /// True when the caller gave up the last reference and must delete the object.
  bool release() const { return count.fetch_sub(1, std::memory_order_acq_rel) == 1; }
  uint32_t refCount() const { return count.load(std::memory_order_relaxed); }

private:
  mutable std::atomic<uint32_t> count{1};
};

template <typename T> class Ref {
public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  Ref(const Ref &o) : p(o.p) {
    if (p)
      p->retain();
  }
  Ref(Ref &&o) : p(std::exchange(o.p, nullptr)) {}
  template <typename U> Ref(Ref<U> o) : p(o.leak()) {}
  ~Ref() { reset(); }
  Ref &operator=(Ref o) {
    std::swap(p, o.p);
    return *this;
  }
  /// Takes over the reference that `raw` was created with.
  static Ref adopt(T *raw) {
    Ref r;
    r.p = raw;
    return r;
  }
  static Ref share(T *raw) {
    if (raw)
      raw->retain();
    return adopt(raw);
  }
  /// Before the last reference deletes the object, `beforeDelete()` is called on it when it has one: the object is
  /// still whole then.
  void reset() {
    T *old = std::exchange(p, nullptr);
    if (old && old->release()) [[unlikely]]
      destroy(old);
  }
  T *leak() { return std::exchange(p, nullptr); }
  T *get() const { return p; }
  T *operator->() const { return p; }
  T &operator*() const { return *p; }
  explicit operator bool() const { return p; }
  bool operator==(const Ref &o) const { return p == o.p; }

private:
  OSV_COLD static void destroy(T *old) {
    if constexpr (requires { old->beforeDelete(); })
      old->beforeDelete();
    delete old;
  }

  T *p = nullptr;
};

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Spin locks, and the two ways to keep the running thread where it is: preemption off, interrupts off.
//
// `SpinLock` + `SpinGuard`: preemption is off while held; not for data that an interrupt handler takes. `IrqGuard`:
// interrupts off, and so no preemption either. `IrqSpinGuard`: that with a lock, for data shared with interrupt
// handlers. Never sleep, touch program memory (except by the `NoFault` calls of UserPtr.h) or allocate with `Wait`
// semantics while one is held. Lock order: docs/locking.md.
#pragma once
#include "abi/Annotations.h"
#include "abi/Gate.h"
#include "kernel/arch/Cpu.h"
#include <atomic>
#include <utility>

namespace osv {

/// A reschedule was asked for: does it, unless preemption or interrupts are off. In sched/.
OSV_COLD void preemptIfPossible();

inline void preemptDisable() {
  gate().preemptCount++;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}
/// Where preemption has become possible again: makes up for a reschedule that was asked for meanwhile.
inline void preemptIfAsked() {
  if (gate().work & kWorkReschedule) [[unlikely]]
    preemptIfPossible();
}
inline void preemptEnable() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  gate().preemptCount--;
  preemptIfAsked();
}
struct PreemptGuard {
  PreemptGuard() { preemptDisable(); }
  ~PreemptGuard() { preemptEnable(); }
  PreemptGuard(const PreemptGuard &) = delete;
};

/// A spin lock without any guard; use the guards below. Not fair, on purpose: the processors are virtual, and a queue
/// (ticket) lock stands still whenever the host has taken the processor away whose turn it is.
class SpinLock {
public:
  void lockRaw() {
    while (held.exchange(true, std::memory_order_acquire)) [[unlikely]]
      while (held.load(std::memory_order_relaxed))
        arch::pause();
  }
  void unlockRaw() { held.store(false, std::memory_order_release); }
  bool isLocked() const { return held.load(std::memory_order_relaxed); }

private:
  std::atomic<bool> held{false};
};

class SpinGuard {
public:
  explicit SpinGuard(SpinLock &l) : lock(l) {
    preemptDisable();
    lock.lockRaw();
  }
  ~SpinGuard() {
    lock.unlockRaw();
    preemptEnable();
  }
  SpinGuard(const SpinGuard &) = delete;

private:
  SpinLock &lock;
};

/// Interrupts off for the lifetime; restores what was before.
class IrqGuard {
public:
  IrqGuard() : flags(arch::saveAndDisableInterrupts()) {}
  ~IrqGuard() { arch::restoreInterrupts(flags); }
  IrqGuard(const IrqGuard &) = delete;

private:
  arch::IrqFlags flags;
};

class IrqSpinGuard {
public:
  explicit IrqSpinGuard(SpinLock &l) : lock(l), flags(arch::saveAndDisableInterrupts()) { lock.lockRaw(); }
  ~IrqSpinGuard() {
    lock.unlockRaw();
    if (arch::restoreInterrupts(flags))
      preemptIfAsked();
  }
  IrqSpinGuard(const IrqSpinGuard &) = delete;

private:
  SpinLock &lock;
  arch::IrqFlags flags;
};

/// The same for code that has them on anyway.
class IrqOffSpinGuard {
public:
  explicit IrqOffSpinGuard(SpinLock &l) : lock(l) {
    arch::disableInterrupts();
    lock.lockRaw();
  }
  ~IrqOffSpinGuard() {
    lock.unlockRaw();
    arch::enableInterrupts();
    preemptIfAsked();
  }
  IrqOffSpinGuard(const IrqOffSpinGuard &) = delete;

private:
  SpinLock &lock;
};

} // namespace osv

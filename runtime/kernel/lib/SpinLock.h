// SPDX-License-Identifier: BSD-3-Clause
//
// Spin locks, and the two ways to keep the running thread where it is: preemption off, interrupts off.
//
// `SpinLock` + `SpinGuard`: preemption is off while held; not for data that an interrupt handler takes. `IrqGuard`: interrupts
// off. `IrqSpinGuard`: both, for data shared with interrupt handlers. Never sleep, touch program memory (except by the
// `NoFault` calls of UserPtr.h) or allocate with `Wait` semantics while one is held. Lock order: docs/locking.md.
#pragma once
#include "abi/Gate.h"
#include "kernel/arch/Cpu.h"
#include <atomic>
#include <utility>

namespace osv {

/// Called when preemption is enabled again and a reschedule was asked for meanwhile. Interrupts on. In sched/.
void preemptNow();

inline void preemptDisable() {
  gate().preemptCount++;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}
inline void preemptEnable() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (--gate().preemptCount == 0 && (gate().work & kWorkReschedule) && arch::interruptsEnabled()) [[unlikely]]
    preemptNow();
}
struct PreemptGuard {
  PreemptGuard() { preemptDisable(); }
  ~PreemptGuard() { preemptEnable(); }
  PreemptGuard(const PreemptGuard &) = delete;
};

/// A fair (ticket) spin lock without any guard; use the guards below.
class SpinLock {
public:
  void lockRaw() {
    uint16_t mine = next.fetch_add(1, std::memory_order_relaxed);
    while (serving.load(std::memory_order_acquire) != mine)
      arch::pause();
  }
  void unlockRaw() { serving.store(static_cast<uint16_t>(serving.load(std::memory_order_relaxed) + 1), std::memory_order_release); }
  bool isLocked() const { return next.load(std::memory_order_relaxed) != serving.load(std::memory_order_relaxed); }

private:
  std::atomic<uint16_t> next{0}, serving{0};
};

class SpinGuard {
public:
  explicit SpinGuard(SpinLock &l) : lock(l) { preemptDisable(); lock.lockRaw(); }
  ~SpinGuard() { lock.unlockRaw(); preemptEnable(); }
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
  explicit IrqSpinGuard(SpinLock &l) : lock(l), flags(arch::saveAndDisableInterrupts()) { gate().preemptCount++; lock.lockRaw(); }
  ~IrqSpinGuard() {
    lock.unlockRaw();
    arch::restoreInterrupts(flags);
    preemptEnable();
  }
  IrqSpinGuard(const IrqSpinGuard &) = delete;

private:
  SpinLock &lock;
  arch::IrqFlags flags;
};

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Futexes: sleeping on a word of the program's memory until another thread wakes it. The design is told in Futex.cpp;
// the priority-inheritance kind is in FutexPi.cpp; the system calls' argument forms are syscalls/Futex.cpp's.
#pragma once
#include "kernel/lib/Result.h"
#include "kernel/lib/Types.h"
#include <cstdint>
#include <span>

namespace osv {
struct Thread;

/// Is the word named by its address in this process (FUTEX_PRIVATE_FLAG), or by what is mapped there?
enum class FutexScope : bool { Private, Shared };

/// Sleeps while the word is `expected`, until a wake whose bits meet `bits`; 0 then. EAGAIN (the word differs), EFAULT,
/// ETIMEDOUT, RestartSys.
Result<long> futexWait(VAddr word, FutexScope scope, uint32_t expected, uint32_t bits, Nanos deadline);
/// Wakes up to `n` waiters whose bits meet `bits`; the number woken. EFAULT for a shared word that is not mapped.
Result<long> futexWake(VAddr word, FutexScope scope, unsigned n, uint32_t bits = ~0u);
/// Wakes up to `n` and moves up to `moved` of the others to `target`. With `expected`, EAGAIN unless the word is that.
/// Returns the number woken and, in `*requeued`, moved.
Result<unsigned> futexRequeue(VAddr word, VAddr target, FutexScope scope, unsigned n, unsigned moved,
                              const uint32_t *expected, unsigned *requeued);
/// FUTEX_WAKE_OP: changes the word at `second` by the encoded operation, wakes `n` at `first`, and `n2` at `second`
/// when its old value meets the encoded condition. ENOSYS for an operation that does not exist.
Result<unsigned> futexWakeOp(VAddr first, VAddr second, FutexScope scope, unsigned n, unsigned n2, uint32_t op);

struct FutexVectorItem {
  VAddr word;
  FutexScope scope;
  uint32_t expected;
};
inline constexpr size_t kFutexVectorMax = 128;
/// futex_waitv: sleeps on all of them; the index of one that was woken.
Result<unsigned> futexWaitVector(std::span<const FutexVectorItem> items, Nanos deadline);

/// Priority inheritance futexes. EDEADLK, EPERM, ESRCH, EAGAIN, EINVAL, ETIMEDOUT as futex(2) has them.
Result<void> futexLockPi(VAddr word, FutexScope scope, Nanos deadline, bool tryOnly);
Result<void> futexUnlockPi(VAddr word, FutexScope scope);
/// Sleeps while the word is `expected`, until moved by futexRequeuePi to the PI lock at `lock`, and until it has that.
/// EAGAIN (also for a signal that comes while it waits for the lock), EINVAL, EFAULT, ETIMEDOUT, EDEADLK,
/// RestartNoIntr.
Result<void> futexWaitRequeuePi(VAddr word, FutexScope scope, uint32_t expected, VAddr lock, Nanos deadline);
/// The first waiter of `word` gets the PI lock if it is free; it and up to `moved` others else wait for it. The word
/// must be `expected` (EAGAIN), and all of them must wait to be moved to this lock (EINVAL). How many there were.
Result<unsigned> futexRequeuePi(VAddr word, VAddr lock, FutexScope scope, unsigned moved, uint32_t expected);
/// At boot, before any of these.
void initFutexes();
/// The thread ends: marks the locks on its robust list and those it owns by priority inheritance as owner-died. May
/// fault and sleep.
void futexThreadExit(Thread &t);

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// Fakes of the scheduler and of program memory for the file-system tests; memory itself is the real one over a
// pretended RAM (test/unit/mm/HostArch.cpp).
#include "HostKernel.h"
#include "../mm/HostArch.h"
#include "kernel/fs/FileTable.h"
#include "kernel/fs/Pipe.h"
#include "kernel/fs/Vfs.h"
#include "kernel/lib/Log.h"
#include "kernel/mm/AddressSpace.h"
#include "kernel/time/Time.h"
#include <cstdlib>
#include <cstring>

extern "C" osv::Result<void> (*const osv_unpack_rootfs)(osv::Dentry &, std::span<const uint8_t>) = osv::unpackCpio;

namespace osv {
namespace test {
std::function<bool()> onBlock;
unsigned blocked, brokenPipes;
void bringUp();
} // namespace test

// ---- Waiting. A lock that would have to wait is a bug of the code under test.

static Thread me;

void Mutex::lockSlow() { panic("a mutex is taken twice"); }
void Mutex::unlockSlow() { panic("a mutex is released that is not held"); }

void WaitQueue::wakeQueued(unsigned n, uint32_t events) {
  for (auto it = entries.begin(); it != entries.end() && n != 0;) {
    WaitEntry &e = *it++;
    if (e.notify) {
      n -= e.notify(e, events);
    } else {
      entries.erase(entries.iterator_to(e));
      e.state = WaitEntry::Woken;
      n--;
    }
  }
}
void WaitQueue::remove(WaitEntry &e) {
  if (e.state != WaitEntry::Queued)
    return;
  e.state = WaitEntry::Idle;
  entries.erase(entries.iterator_to(e));
}

void test::bringUp() {
  gate().thread = &me;
  bringUpMemory();
}

void Waiter::leave() { queue.remove(entry); }
Result<void> blockOnce(Nanos deadline, WaitMode) {
  test::blocked++;
  if (deadline != kForever)
    return Errno::TimedOut;
  return test::onBlock && test::onBlock() ? Result<void>() : Errno::RestartSys;
}
Result<void> Waiter::wait(SpinLock &held, Nanos deadline, WaitMode mode) {
  held.unlockRaw();
  auto r = sleep(deadline, mode);
  held.lockRaw();
  requeue();
  return r;
}
Result<void> Waiter::wait(Nanos deadline, WaitMode mode) {
  auto r = sleep(deadline, mode);
  requeue();
  return r;
}

// ---- Program memory: the test's own, but for one bad page.

namespace arch {
static bool isBad(const void *p) {
  auto a = reinterpret_cast<uint64_t>(p);
  return a >= test::kBadAddress && a < test::kBadAddress + kPageSize;
}
extern "C" size_t osv_user_copy(void *dst, const void *src, size_t n) {
  if (isBad(dst) || isBad(src))
    return n;
  memcpy(dst, src, n);
  return 0;
}
} // namespace arch

// ---- The rest of the world.

static Nanos clockNow = 1'700'000'000'000'000'000;
Nanos realtimeNow() { return clockNow += 1000; }
Nanos monotonicNow() { return clockNow; }
void raiseBrokenPipe() { test::brokenPipes++; }
unsigned descriptorLimit() { return 64; }
void fileTruncated(const MemoryObject &, uint64_t) {}
Result<void> populateDev(Dentry &) { return {}; }
Result<void> populateProc(Dentry &) { return {}; }
Result<void> populateSys(Dentry &) { return {}; }

} // namespace osv

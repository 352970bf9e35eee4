// SPDX-License-Identifier: BSD-3-Clause
//
// timerfd. A periodic one is not re-armed when it expires but when it is read (or looked at): however short its period,
// an unread timer costs one interrupt. The periods that passed meanwhile are counted by division.
#include "kernel/time/TimerFd.h"
#include "kernel/mm/Heap.h"
#include "kernel/time/ClockAlarm.h"
#include "kernel/time/TimeInternal.h"
#include "kernel/time/TimeSpec.h"
#include <asm/fcntl.h>
#include <boost/intrusive/list.hpp>
#include <linux/eventpoll.h>
#include <linux/time.h>

namespace osv {
namespace {

class TimerFd;
struct TimerFdAlarm : ClockAlarm {
  TimerFd *file = nullptr;
};

class TimerFd : public File, public boost::intrusive::list_base_hook<> {
public:
  explicit TimerFd(ClockRef clock);
  ~TimerFd() override;
  Result<size_t> read(IoBuffer &io) override;
  Result<void> stat(struct stat &out) override;
  uint32_t poll() override;
  const char *kind() const override { return "anon_inode:[timerfd]"; }

  Result<TimerFdSetting> set(const TimerFdSetting &next, bool absolute, bool onSetCancels);
  TimerFdSetting get();
  void expire();
  void clockWasSet();

private:
  /// Counts the periods up to now and starts the next; after an expiry. Under `lock`.
  void catchUp();
  TimerFdSetting left();

  SpinLock lock; ///< interrupts off
  const ClockRef::Kind clockKind;
  TimerFdAlarm alarm;
  Nanos interval = 0;
  Nanos expiry = 0;     ///< the next one, or (expired) the one that has come; 0: off
  uint64_t ticks = 0;   ///< not yet read
  bool expired = false; ///< `expiry` has come and the next has not been started
  bool cancelOnSet = false, cancelled = false;
};

// Those with TFD_TIMER_CANCEL_ON_SET would be enough; all realtime ones are kept, it is simpler and setting the clock
// is rare.
using TimerFdList = boost::intrusive::list<TimerFd, boost::intrusive::constant_time_size<false>>;
SpinLock listLock; ///< outside TimerFd::lock
TimerFdList &allTimerFds() {
  alignas(TimerFdList) static char storage[sizeof(TimerFdList)];
  static TimerFdList *list = nullptr;
  if (!list)
    list = new (storage) TimerFdList;
  return *list;
}

TimerFd::TimerFd(ClockRef clock) : clockKind(clock.kind) {
  alarm.clock = static_cast<ClockRef &&>(clock);
  alarm.file = this;
  alarm.fn = [](Timer &t) { static_cast<TimerFdAlarm &>(t).file->expire(); };
  SpinGuard guard(listLock);
  allTimerFds().push_back(*this);
}

TimerFd::~TimerFd() {
  {
    SpinGuard guard(listLock);
    allTimerFds().erase(allTimerFds().iterator_to(*this));
  }
  {
    IrqSpinGuard guard(lock);
    alarm.stop();
  }
  cancelTimer(alarm);
}

void TimerFd::expire() {
  {
    IrqSpinGuard guard(lock);
    if (!alarm.due())
      return;
    expired = true;
    ticks++;
  }
  pollQueue.wakeAll(EPOLLIN);
}

void TimerFd::catchUp() {
  if (!expired)
    return;
  expired = false;
  if (interval == 0) {
    expiry = 0;
    return;
  }
  ticks += advance(expiry, interval, alarm.clock.now());
  alarm.start(expiry);
}

TimerFdSetting TimerFd::left() {
  if (expiry == 0)
    return {0, interval};
  Nanos now = alarm.clock.now();
  return {expiry > now ? expiry - now : 1, interval};
}

TimerFdSetting TimerFd::get() {
  IrqSpinGuard guard(lock);
  catchUp();
  return left();
}

Result<TimerFdSetting> TimerFd::set(const TimerFdSetting &next, bool absolute, bool onSetCancels) {
  IrqSpinGuard guard(lock);
  catchUp();
  TimerFdSetting old = left();
  alarm.stop();
  interval = next.interval;
  ticks = 0;
  expired = false;
  cancelOnSet = onSetCancels && absolute && clockKind == ClockRef::Kind::Realtime;
  bool wasCancelled = cancelled;
  cancelled = false;
  expiry = 0;
  if (next.value != 0) {
    // A duration does not change when the clock is set.
    alarm.clock.kind = absolute ? clockKind : ClockRef::Kind::Monotonic;
    expiry = absolute ? next.value : deadlineAfter(next.value);
    alarm.start(expiry);
  }
  if (wasCancelled && cancelOnSet)
    return Errno(ECANCELED);
  return old;
}

Result<size_t> TimerFd::read(IoBuffer &io) {
  if (io.remaining() < sizeof(uint64_t))
    return Errno::Inval;
  uint64_t count;
  Waiter waiter(pollQueue);
  for (;;) {
    {
      IrqSpinGuard guard(lock);
      if (cancelled) {
        cancelled = false;
        return Errno(ECANCELED);
      }
      if (ticks) {
        catchUp();
        count = ticks;
        ticks = 0;
        break;
      }
    }
    if (flags & O_NONBLOCK)
      return Errno::Again;
    TRY(waiter.wait());
  }
  return io.copyOut(&count, sizeof count);
}

uint32_t TimerFd::poll() {
  IrqSpinGuard guard(lock);
  return ticks || cancelled ? EPOLLIN : 0;
}

Result<void> TimerFd::stat(struct stat &out) {
  out = {};
  out.st_mode = 0600;
  out.st_nlink = 1;
  out.st_blksize = kPageSize;
  return {};
}

void TimerFd::clockWasSet() {
  {
    IrqSpinGuard guard(lock);
    if (!cancelOnSet)
      return;
    cancelled = true;
  }
  pollQueue.wakeAll(EPOLLIN);
}

Result<TimerFd *> asTimerFd(File &file) {
  constexpr std::string_view kKind = "anon_inode:[timerfd]";
  if (file.kind() != kKind) // no RTTI in the kernel
    return Errno::Inval;
  return static_cast<TimerFd *>(&file);
}

} // namespace

void realtimeWasSet() {
  SpinGuard guard(listLock);
  for (TimerFd &f : allTimerFds())
    f.clockWasSet();
}

Result<Ref<File>> createTimerFd(int clockId, bool nonBlocking) {
  if (clockId != CLOCK_REALTIME && clockId != CLOCK_MONOTONIC && clockId != CLOCK_BOOTTIME &&
      clockId != CLOCK_REALTIME_ALARM && clockId != CLOCK_BOOTTIME_ALARM)
    return Errno::Inval;
  TimerFd *f = TRY(make<TimerFd>(TRY(ClockRef::fromId(clockId))));
  f->flags = O_RDWR | (nonBlocking ? O_NONBLOCK : 0);
  return Ref<File>::adopt(f);
}

Result<TimerFdSetting> setTimerFd(File &file, const TimerFdSetting &next, bool absolute, bool cancelOnSet) {
  return TRY(asTimerFd(file))->set(next, absolute, cancelOnSet);
}
Result<TimerFdSetting> timerFdSetting(File &file) { return TRY(asTimerFd(file))->get(); }

} // namespace osv

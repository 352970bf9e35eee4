// SPDX-License-Identifier: BSD-3-Clause
//
// timerfd: an alarm as a file.
#pragma once
#include "kernel/fs/File.h"
#include "kernel/lib/Types.h"

namespace osv {

/// EINVAL for a clock that cannot be waited for.
Result<Ref<File>> createTimerFd(int clockId, bool nonBlocking);

struct TimerFdSetting {
  Nanos value = 0;    ///< time left; for a new setting with `absolute` a point of the clock; 0: off
  Nanos interval = 0; ///< 0: once
};
/// EINVAL when the file is no timerfd.
Result<TimerFdSetting> setTimerFd(File &file, const TimerFdSetting &next, bool absolute, bool cancelOnSet);
Result<TimerFdSetting> timerFdSetting(File &file);

} // namespace osv

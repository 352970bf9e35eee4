// SPDX-License-Identifier: BSD-3-Clause
//
// `Result<T>`: the value of an operation that can fail with a Linux errno, and `TRY`, which passes a failure on.
//
// Every fallible operation of the kernel returns one; system-call handlers return `Result<long>`, which the dispatcher
// negates into the program's `rax` in one place (`syscalls/Dispatch.cpp`). Running out of memory is a `Result` like any
// other.
#pragma once
#include <asm/errno.h>
#include <type_traits>
#include <utility>

namespace osv {

/// A Linux errno value (positive). The restart codes are internal: they never reach the program (see signal/).
enum class Errno : int {
  Perm = EPERM,
  NoEnt = ENOENT,
  Srch = ESRCH,
  Intr = EINTR,
  Io = EIO,
  NxIo = ENXIO,
  TooBig = E2BIG,
  NoExec = ENOEXEC,
  BadF = EBADF,
  Child = ECHILD,
  Again = EAGAIN,
  NoMem = ENOMEM,
  Acces = EACCES,
  Fault = EFAULT,
  Busy = EBUSY,
  Exist = EEXIST,
  XDev = EXDEV,
  NoDev = ENODEV,
  NotDir = ENOTDIR,
  IsDir = EISDIR,
  Inval = EINVAL,
  NFile = ENFILE,
  MFile = EMFILE,
  NoTty = ENOTTY,
  TxtBsy = ETXTBSY,
  FBig = EFBIG,
  NoSpc = ENOSPC,
  SPipe = ESPIPE,
  RoFs = EROFS,
  MLink = EMLINK,
  Pipe = EPIPE,
  Dom = EDOM,
  Range = ERANGE,
  DeadLk = EDEADLK,
  NameTooLong = ENAMETOOLONG,
  NoLck = ENOLCK,
  NoSys = ENOSYS,
  NotEmpty = ENOTEMPTY,
  Loop = ELOOP,
  NoData = ENODATA,
  Overflow = EOVERFLOW,
  TimedOut = ETIMEDOUT,
  OwnerDead = EOWNERDEAD,
  NotRecoverable = ENOTRECOVERABLE,
  OpNotSupp = EOPNOTSUPP,
  NotSock = ENOTSOCK,
  AfNoSupport = EAFNOSUPPORT,
  RestartSys = 512,          ///< restart if SA_RESTART, else EINTR
  RestartNoIntr = 513,       ///< always restart
  RestartNoHand = 514,       ///< restart only if no handler ran
  RestartRestartBlock = 516, ///< as RestartNoHand, through restart_syscall with the thread's restart block
};

template <typename T> class [[nodiscard]] Result {
public:
  Result(T v) : val(std::move(v)), err(0) {}
  Result(Errno e) : val{}, err(static_cast<int>(e)) {}
  template <typename U>
    requires(std::is_convertible_v<U, T> && !std::is_same_v<std::remove_cvref_t<U>, Errno>)
  Result(U &&v) : val(std::forward<U>(v)), err(0) {}
  bool ok() const { return err == 0; }
  explicit operator bool() const { return ok(); }
  Errno error() const { return static_cast<Errno>(err); }
  T &operator*() { return val; }
  const T &operator*() const { return val; }
  T *operator->() { return &val; }
  T take() { return std::move(val); }
  /// The same error, or the value as a `U`.
  template <typename U> Result<U> as() const {
    Result<U> r(static_cast<U>(val));
    r.err = err;
    return r;
  }

private:
  template <typename U> friend class Result;
  T val;
  int err;
};

template <> class [[nodiscard]] Result<void> {
public:
  Result() : err(0) {}
  Result(Errno e) : err(static_cast<int>(e)) {}
  bool ok() const { return err == 0; }
  explicit operator bool() const { return ok(); }
  Errno error() const { return static_cast<Errno>(err); }
  void take() {}

private:
  int err;
};

/// `auto v = TRY(expr);` the value of `expr`, or return its error from the enclosing function.
#define TRY(expr)                                                                                                      \
  ({                                                                                                                   \
    auto tryResult_ = (expr);                                                                                          \
    if (!tryResult_.ok()) [[unlikely]]                                                                                 \
      return tryResult_.error();                                                                                       \
    tryResult_.take();                                                                                                 \
  })

} // namespace osv

// SPDX-License-Identifier: BSD-3-Clause
//
// The console protocol between the kernel and `osv-run`, and the kernel's command line.
//
// The image talks to the world through one 16550 UART (COM1, 0x3f8, IRQ 4), present on every PC-like machine. Without
// `osv.console=mux` on the command line the port is a plain terminal: the program's stdout and stderr and the kernel's
// log all go there with CR LF, and input is a cooked terminal line. With it (what `osv-run` asks for), the port carries
// frames in both directions, so that stdin, stdout, stderr, the log and the exit status stay apart and are exact byte
// for byte:
//
//     +------+--------+--------+----------------------+
//     | type | len lo | len hi | payload, len bytes   |
//     +------+--------+--------+----------------------+
//
// The kernel first sends the 8 bytes of `kMuxMagic`; the host ignores (logs) everything before them (firmware noise)
// and sends nothing before it has seen them. Flow control is the UART's: neither side may drop a byte.
#pragma once
#include <cstdint>

namespace osv::abi {

inline constexpr char kMuxMagic[8] = {'\0', 'O', 'S', 'V', 'M', 'U', 'X', '1'};
inline constexpr unsigned kMuxMaxPayload = 4096; ///< either side sends at most this much in one frame

enum class FrameType : uint8_t {
  // guest to host
  Stdout = 1, ///< bytes that the program wrote to its standard output (or the console)
  Stderr = 2,
  Log = 3,       ///< kernel log text, UTF-8, lines end in \n
  Exit = 4,      ///< ExitFrame; the last frame. The host may end the machine at once
  Backtrace = 5, ///< after a panic: payload is u64 addresses, innermost first, to be symbolised by the host
  Stop = 6,      ///< no payload: the program has stopped (SIGSTOP, Ctrl-Z), and waits for a Signal frame with SIGCONT
  // host to guest
  Stdin = 16,
  StdinEof = 17,   ///< no payload: end of file on standard input
  Signal = 18,     ///< u8 signal number for the program (Ctrl-C: SIGINT)
  WindowSize = 19, ///< u16 rows, u16 columns
  Closed = 20,     ///< u8 Stdout or Stderr: nobody reads it any more, so that writing to it is EPIPE and SIGPIPE
};

struct ExitFrame {
  uint8_t kind;  ///< ExitKind
  uint8_t value; ///< exit status, signal number or 0
};
/// kOutOfMemory: killed by a signal (SIGKILL), because there was no memory for a page that it touched.
enum ExitKind : uint8_t { kExited = 0, kSignalled = 1, kPanicked = 2, kOutOfMemory = 3 };

// Kernel command line, blank-separated; unknown words are logged and ignored. In values, every byte other than
// [A-Za-z0-9_./:=+@-] is written %XX; a list is separated by ','.
//   osv.console=mux          frames on COM1 (default: plain terminal)
//   osv.tty=N                bit i set: file descriptor i (0..2) is a terminal (default 7 for plain, 0 for mux)
//   osv.winsize=ROWSxCOLS
//   osv.args=A,B,...         replaces argv[1..] of the image (present but empty: no arguments)
//   osv.env=K=V,...          added to the environment of the image; a later K wins
//   osv.ignore=N             bit n-1 set: signal n is ignored when the program starts
//   osv.log=N                0 errors, 1 warnings, 2 info (default), 3 debug
//   osv.trace=1              log every system call (strace)
//   osv.hz=N                 preemption ticks a second (default 250)
//   virtio_mmio.device=...   added by QEMU's microvm
} // namespace osv::abi

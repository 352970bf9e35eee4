// SPDX-License-Identifier: BSD-3-Clause
//
// The console device: a 16550 driven by interrupts, plain or multiplexed (abi/Console.h). Program output is written
// here by fs/'s console file.
//
// Streams are byte-exact unless the descriptor they stand for is a terminal (osv.tty): then output goes through OPOST
// and input through the line discipline, with the termios settings below.
#pragma once
#include "abi/Console.h"
#include "kernel/lib/Result.h"
#include "kernel/sched/WaitQueue.h"
#include <asm/termbits.h>
#include <span>
#include <string_view>

namespace osv::console {

/// Polled output works from here on (panic, early log). In mux mode this sends kMuxMagic.
void initEarly(std::string_view commandLine);
/// Interrupt-driven from here on, and input is taken.
Result<void> init();
/// Who gets the signals of the keyboard (SIGINT, SIGQUIT, SIGTSTP, SIGWINCH) and of Signal frames: called in interrupt
/// context.
void setSignalHandler(void (*fn)(int signo));

/// Queues bytes of a stream (Stdout, Stderr); sleeps while the transmit ring is full, unless `nonBlocking` (EAGAIN).
/// RestartSys when interrupted before the first byte, EPIPE when nobody reads the stream any more; else the count.
Result<size_t> write(abi::FrameType stream, std::span<const char> bytes, bool nonBlocking = false);
/// Never sleeps, any context: for the log.
void writeLog(std::string_view text);
/// Takes input bytes; 0 = end of file. Sleeps unless `nonBlocking` (EAGAIN).
Result<size_t> read(std::span<char> out, bool nonBlocking);
bool inputReady();                        ///< bytes or EOF
bool outputReady();                       ///< a write would not sleep
bool outputClosed(abi::FrameType stream); ///< a write fails with EPIPE
size_t inputAvailable();                  ///< FIONREAD
/// Woken with EPOLLIN when input arrives and EPOLLOUT when there is room for output; one queue for both.
WaitQueue &inputQueue();
WaitQueue &outputQueue();
bool isTerminal(int fd); ///< osv.tty
struct WindowSize {
  uint16_t rows, columns;
};
WindowSize windowSize();
void setWindowSize(WindowSize size);

termios terminalSettings();
void setTerminalSettings(const termios &t, bool flushInput);
void flushInput();
/// Sleeps until everything queued has been handed to the UART (tcdrain). RestartSys.
Result<void> waitForOutput();

/// Waits until everything queued is on the wire, polled. For the end only; interrupts may be off.
void drain();
/// Gives up on the lock's owner: called first thing by panic, which may have interrupted the console itself.
void enterPanic();
void sendExit(abi::ExitKind kind, uint8_t value);
/// Tells the host that the program has stopped. False: there is nobody who could let it go on (a plain terminal).
bool sendStop();
void sendBacktrace(std::span<const uint64_t> addresses);

} // namespace osv::console

// SPDX-License-Identifier: BSD-3-Clause
//
// The console device: a 16550 driven by interrupts, plain or multiplexed (abi/Console.h). Program output is written here by fs/'s console file.
#pragma once
#include "abi/Console.h"
#include "kernel/lib/Result.h"
#include "kernel/sched/WaitQueue.h"
#include <span>
#include <string_view>

namespace osv::console {

/// Polled output works from here on (panic, early log).
void initEarly(std::string_view commandLine);
/// Interrupt-driven from here on; starts the stream (kMuxMagic).
Result<void> init();

/// Queues bytes of a stream (Stdout, Stderr); sleeps while the transmit ring is full. RestartSys when interrupted before the first byte; else the count.
Result<size_t> write(abi::FrameType stream, std::span<const char> bytes);
/// Never sleeps, any context: for the log.
void writeLog(std::string_view text);
/// Takes input bytes; 0 = end of file. Sleeps unless `nonBlocking` (EAGAIN).
Result<size_t> read(std::span<char> out, bool nonBlocking);
bool inputReady();          ///< bytes or EOF
WaitQueue &inputQueue();    ///< woken when input arrives
WaitQueue &outputQueue();
bool isTerminal(int fd);    ///< osv.tty
struct WindowSize { uint16_t rows, columns; };
WindowSize windowSize();
/// Waits until everything queued is on the wire, polled. For the end only; interrupts may be off.
void drain();
void sendExit(abi::ExitKind kind, uint8_t value);
void sendBacktrace(std::span<const uint64_t> addresses);

} // namespace osv::console

// SPDX-License-Identifier: BSD-3-Clause
//
// The 16550 UART at COM1: registers only. What is sent and what received bytes mean is Console.cpp's business, and so
// is the lock: every call is made with the console's lock held, interrupts off.
//
// The transmitter is used without busy waiting: when the holding register reports empty (THRE) the whole 16-byte FIFO
// may be filled with one string instruction. An emulated UART is empty again at once, so a caller loops without any
// interrupt; a real one (or a blocked host) interrupts when it has drained. The receiver interrupts at 14 bytes or
// after a pause; bytes that are not taken stay in the FIFO, and QEMU stops reading from the host then, so nothing is
// ever lost.
#pragma once
#include "kernel/arch/Cpu.h"
#include <cstddef>
#include <cstdint>

namespace osv {

class Serial {
public:
  static constexpr uint16_t kPort = 0x3f8;
  static constexpr unsigned kIrq = 4;
  static constexpr size_t kFifoSize = 16;
  static constexpr size_t kReceiveTrigger = 14;

  enum class Event : uint8_t { None, Other, TransmitEmpty, Data, DataAtTrigger };

  /// 115200 8N1, FIFOs on and cleared, interrupts off.
  void reset();
  /// May `kFifoSize` bytes be written?
  bool transmitReady() const { return arch::in8(kPort + 5) & 0x20; }
  /// Nothing is left in the FIFO or on the wire.
  bool transmitIdle() const { return arch::in8(kPort + 5) & 0x40; }
  void transmit(const char *bytes, size_t n) { arch::outBytes(kPort, bytes, n); }
  bool receiveReady() const { return arch::in8(kPort + 5) & 0x01; }
  char receive() { return static_cast<char>(arch::in8(kPort)); }
  void receive(char *bytes, size_t n) { arch::inBytes(kPort, bytes, n); }
  /// Which interrupt is pending (reading it acknowledges TransmitEmpty).
  Event pendingEvent();
  void enableTransmitInterrupt(bool on) { setInterrupt(0x02, on); }
  void enableReceiveInterrupt(bool on) { setInterrupt(0x01, on); }

private:
  void setInterrupt(uint8_t bit, bool on) {
    uint8_t wanted = on ? enabled | bit : enabled & ~bit;
    if (wanted == enabled)
      return;
    enabled = wanted;
    arch::out8(kPort + 1, enabled);
  }
  uint8_t enabled = 0;
};

} // namespace osv

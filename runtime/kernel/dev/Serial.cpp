// SPDX-License-Identifier: BSD-3-Clause
//
// Set-up and interrupt identification of the 16550 (National Semiconductor PC16550D data sheet, section 8). See
// Serial.h.
#include "kernel/dev/Serial.h"

namespace osv {

void Serial::reset() {
  enabled = 0;
  arch::out8(kPort + 1, 0);    // IER: no interrupts
  arch::out8(kPort + 3, 0x80); // LCR: divisor latch
  arch::out8(kPort + 0, 1);    // 115200 baud
  arch::out8(kPort + 1, 0);
  arch::out8(kPort + 3, 0x03); // 8N1
  arch::out8(kPort + 2, 0xc7); // FCR: FIFOs on, cleared, receive trigger at 14
  arch::out8(kPort + 4, 0x0b); // MCR: DTR, RTS, OUT2 (gates the interrupt line on a PC)
}

Serial::Event Serial::pendingEvent() {
  uint8_t id = arch::in8(kPort + 2);
  if (id & 1)
    return Event::None;
  switch (id & 0x0e) {
  case 0x02:
    return Event::TransmitEmpty;
  case 0x04:
    return Event::DataAtTrigger;
  case 0x0c:
    return Event::Data;
  case 0x06: // line status: reading LSR acknowledges
    arch::in8(kPort + 5);
    return Event::Other;
  default: // modem status
    arch::in8(kPort + 6);
    return Event::Other;
  }
}

} // namespace osv

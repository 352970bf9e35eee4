// SPDX-License-Identifier: BSD-3-Clause
//
// A guest without a kernel, for testing osv-run alone: it boots through PVH in 32-bit protected mode and speaks the
// console protocol (runtime/abi/Console.h) by polling COM1. What it does is told by the kernel command line,
// osv.args=WORD:
//
//   (none), echo  copies Stdin frames to stdout, exits with 42 at StdinEof
//   cmdline       prints the kernel command line on stdout
//   brief         writes a line to stdout and exits with 0
//   both          writes to stdout, stderr and the log in turn, exits with 3
//   flood         writes 1 MiB of pattern to stdout
//   signal        dies as by SIGTERM (15)
//   wait          writes "ready", then the number of each Signal frame that comes; exits at the second one, or with 6
//                 when stdout is told to be closed
//   deaf          writes "ready" and never reads its input
//   panic         logs, sends a backtrace and panics
//   hang          prints to stdout and stops
//   reset         triple-faults after a line of log
//   garbage       sends a frame of unknown type
//   silent        triple-faults before the magic, after printing as firmware would
#include <stdint.h>

enum { kStdout = 1, kStderr, kLog, kExit, kBacktrace, kStdin = 16, kStdinEof, kSignal, kWindowSize, kClosed };
enum { kPort = 0x3f8 };

static inline void out(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
static inline uint8_t in(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static void putByte(uint8_t byte) {
  while (!(in(kPort + 5) & 0x20))
    ;
  out(kPort, byte);
}
static uint8_t getByte(void) {
  while (!(in(kPort + 5) & 1))
    ;
  return in(kPort);
}

static void putFrame(uint8_t type, const void *payload, uint16_t size) {
  const uint8_t *bytes = payload;
  putByte(type);
  putByte(size & 255);
  putByte(size >> 8);
  for (uint16_t i = 0; i < size; ++i)
    putByte(bytes[i]);
}
static uint16_t length(const char *s) {
  uint16_t n = 0;
  while (s[n])
    ++n;
  return n;
}
static void put(uint8_t type, const char *text) { putFrame(type, text, length(text)); }

static void halt(void) {
  for (;;)
    __asm__ volatile("cli; hlt");
}
static void finish(uint8_t kind, uint8_t value) {
  uint8_t frame[2] = {kind, value};
  putFrame(kExit, frame, 2);
  halt();
}
static void tripleFault(void) {
  static const struct {
    uint16_t limit;
    uint32_t base;
  } __attribute__((packed)) none = {0, 0};
  __asm__ volatile("lidt %0; ud2" ::"m"(none));
}

static uint8_t payload[4096];
static uint16_t size;
static uint8_t getFrame(void) {
  uint8_t type = getByte();
  size = getByte();
  size |= getByte() << 8;
  for (uint16_t i = 0; i < size; ++i)
    payload[i] = getByte();
  return type;
}

/// True when the command line holds `osv.args=` followed by exactly `word`.
static int wants(const char *line, const char *word) {
  static const char key[] = "osv.args=";
  for (; *line; ++line) {
    uint16_t i = 0;
    while (key[i] && line[i] == key[i])
      ++i;
    if (key[i])
      continue;
    line += i;
    while (*word && *line == *word)
      ++line, ++word;
    return !*word && (!*line || *line == ' ' || *line == ',');
  }
  return 0;
}

static void echo(void) {
  for (;;)
    switch (getFrame()) {
    case kStdin:
      putFrame(kStdout, payload, size);
      break;
    case kStdinEof:
      finish(0, 42);
    }
}

static void waitForSignals(void) {
  put(kStdout, "ready\n");
  for (int seen = 0;;) {
    uint8_t type = getFrame();
    if (type == kClosed && payload[0] == kStdout)
      finish(0, 6);
    if (type == kSignal) {
      char text[] = "signal 00\n";
      text[7] += payload[0] / 10;
      text[8] += payload[0] % 10;
      put(kStdout, text);
      if (++seen == 2)
        finish(0, 0);
    }
  }
}

__attribute__((noinline)) static void panicInside(void) {
  uint64_t trace[2] = {(uint32_t)(uintptr_t)panicInside, (uint32_t)(uintptr_t)__builtin_return_address(0)};
  put(kLog, "something is wrong\n");
  putFrame(kBacktrace, trace, sizeof trace);
  finish(2, 0);
}
__attribute__((noinline)) static void panicOutside(void) {
  panicInside();
  halt();
}

static void flood(void) {
  for (uint32_t i = 0; i < sizeof payload; ++i)
    payload[i] = i % 251;
  for (int i = 0; i < 256; ++i)
    putFrame(kStdout, payload, sizeof payload);
  finish(0, 0);
}

struct StartInfo {
  uint32_t magic, version, flags, modules;
  uint64_t moduleList, commandLine;
};

void run(const struct StartInfo *info) {
  const char *line = (const char *)(uintptr_t)info->commandLine;
  out(kPort + 1, 0); // no interrupts; FIFOs on, 14 bytes at once
  out(kPort + 2, 0xc7);
  if (wants(line, "silent")) {
    for (const char *s = "firmware says hello\n"; *s; ++s)
      putByte(*s);
    tripleFault();
  }
  for (const char *s = "noise\n"; *s; ++s)
    putByte(*s);
  static const char magic[8] = {0, 'O', 'S', 'V', 'M', 'U', 'X', '1'};
  for (int i = 0; i < 8; ++i)
    putByte(magic[i]);
  put(kLog, "stub: started\n");
  if (wants(line, "cmdline")) {
    put(kStdout, line);
    put(kStdout, "\n");
    finish(0, 0);
  } else if (wants(line, "brief")) {
    put(kStdout, "hello\n");
    finish(0, 0);
  } else if (wants(line, "both")) {
    put(kStdout, "one\r\n");
    put(kStderr, "two\n");
    put(kLog, "three\n");
    put(kStdout, "four");
    finish(0, 3);
  } else if (wants(line, "flood")) {
    flood();
  } else if (wants(line, "signal")) {
    finish(1, 15);
  } else if (wants(line, "wait")) {
    waitForSignals();
  } else if (wants(line, "panic")) {
    panicOutside();
  } else if (wants(line, "hang") || wants(line, "deaf")) {
    put(kStdout, "ready\n");
    halt();
  } else if (wants(line, "reset")) {
    put(kStdout, "before\n");
    tripleFault();
  } else if (wants(line, "garbage")) {
    putFrame(99, "x", 1);
    halt();
  }
  echo();
}

// The PVH note and entry: flat 32-bit segments, paging off, EBX points to the start info; there is no stack yet.
__asm__(".section .note.pvh, \"a\", @note\n"
        "  .long 4, 4, 18\n" // XEN_ELFNOTE_PHYS32_ENTRY
        "  .asciz \"Xen\"\n"
        "  .long stubStart\n"
        ".text\n"
        ".globl stubStart\n"
        "stubStart:\n"
        "  movl $stackTop, %esp\n"
        "  pushl %ebx\n"
        "  call run\n"
        ".bss\n"
        "  .balign 16\n"
        "  .skip 16384\n"
        "stackTop:\n"
        ".text\n");

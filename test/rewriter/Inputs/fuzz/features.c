// SPDX-License-Identifier: BSD-3-Clause
// A seed for the fuzzers: in a kilobyte or two what the inspection looks at in compiled C. Switches, thread-local
// variables, an IFUNC, pointers to functions in data, system calls through a wrapper, flags, GS, a thread pointer.
static long call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

__attribute__((noinline)) long wrapper(long number, long a) { return call(number, a, 0, 0); }

_Thread_local int counter = 3;
_Thread_local long zeroed[4];

static int one(void) { return 1; }
static int two(void) { return 2; }
static int (*resolve(void))(void) { return counter ? one : two; }
int chosen(void) __attribute__((ifunc("resolve")));
int (*const table[])(void) = {one, two, chosen};

__attribute__((noinline)) int dispatch(unsigned which, int *out) {
  switch (which) {
  case 0:
    out[0] = 5;
    return 7;
  case 1:
    out[1] = (int)wrapper(39, 0);
    return 9;
  case 2:
    return counter++;
  case 3:
    zeroed[which & 3] += 4;
    return 1;
  case 4:
    out[2] = out[3];
    return out[4];
  case 5:
    return table[which & 1]();
  case 6:
    __asm__ volatile("pushfq; popfq; movq %%gs:0x10, %%rax" ::: "rax");
    return 3;
  default:
    return -1;
  }
}

void _start(void) {
  static int out[8];
  static char block[256];
  call(158, 0x1002, (long)(block + 128), 0);
  for (unsigned i = 0; i < 8; i++)
    dispatch(i, out);
  wrapper(60, out[0]);
  __asm__ volatile("hlt");
}

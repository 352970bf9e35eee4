// SPDX-License-Identifier: BSD-3-Clause
// C hello: arguments, environment, both output streams, heap (small and mmap-sized), floating point, exit status.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Thread_local int counter = 40;
static int atEnd;
static void bye(void) { printf("bye %d\n", ++atEnd); }
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

int main(int argc, char **argv) {
  atexit(bye);
  counter += argc;
  printf("hello, world: %d %.6f %s\n", counter, sqrt(2.0) * argc, strerror(ENOENT));
  for (int i = 1; i < argc; ++i)
    printf("argv[%d]=%s\n", i, argv[i]);
  const char *greeting = getenv("GREETING");
  printf("GREETING=%s\n", greeting ? greeting : "(none)");
  fprintf(stderr, "to stderr\n");
  int *numbers = malloc(1000 * sizeof *numbers);
  for (int i = 0; i < 1000; ++i)
    numbers[i] = (i * 7919) % 1000;
  qsort(numbers, 1000, sizeof *numbers, compare);
  size_t size = 1 << 20;
  char *big = malloc(size);
  memset(big, 'x', size);
  big = realloc(big, size / 2);
  printf("%d %d %c %d\n", numbers[0], numbers[999], big[size / 4], isatty(1));
  free(big);
  free(numbers);
  if (close(99) != -1 || errno != EBADF)
    return 1;
  fflush(stdout);
  return argc > 1 ? 200 : 3;
}

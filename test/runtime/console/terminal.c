// SPDX-License-Identifier: BSD-3-Clause
// What programs do with a terminal, natively and in the image, key by key on a pseudo-terminal: the same screen, byte for
// byte, and the same status. A machine whose program does not react to Ctrl-C ends at the second one.
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, runtime-fs, glibc-static
// RUN: gcc -O2 -static %s -o %t && %osv-rewrite %t -o %t.gs.img && %osv-rewrite --tls=fs %t -o %t.fs.img
// RUN: %python %tools/terminal.py %osv-run %t %t.gs.img cooked raw size interrupt quit end-of-file suspend
// RUN: %python %tools/terminal.py %osv-run %t %t.fs.img cooked raw size interrupt quit end-of-file suspend
// RUN: %python %tools/terminal.py %osv-run %t %t.gs.img deaf
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static void show(const char *buffer, ssize_t n) {
  printf("read %zd:", n);
  for (ssize_t i = 0; i < n; i++)
    printf(" %02x", (unsigned char)buffer[i]);
  printf("\n");
}

// Reads until the end of the file.
static int lines(void) {
  char buffer[256];
  ssize_t n;
  printf("ready %d%d%d\n", isatty(0), isatty(1), isatty(2));
  while ((n = read(0, buffer, sizeof buffer)) > 0)
    show(buffer, n);
  show(buffer, n);
  return 3;
}

static int raw(void) {
  struct termios before, mode;
  tcgetattr(0, &before);
  mode = before;
  cfmakeraw(&mode);
  tcsetattr(0, TCSANOW, &mode);
  write(1, "raw\n", 4); // no CR
  char c = 0;
  while (read(0, &c, 1) == 1 && c != 'q') {
    char text[16];
    write(1, text, snprintf(text, sizeof text, "<%02x>", (unsigned char)c));
  }
  tcsetattr(0, TCSADRAIN, &before);
  printf("cooked\n");
  return 0;
}

static void winch(int signo) {}
static int size(void) {
  struct sigaction action = {.sa_handler = winch};
  sigset_t blocked, none;
  sigemptyset(&none);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGWINCH);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  sigaction(SIGWINCH, &action, NULL);
  for (int i = 0; i < 3; i++) {
    struct winsize w = {0};
    ioctl(1, TIOCGWINSZ, &w);
    printf("%dx%d\n", w.ws_row, w.ws_col);
    if (i < 2)
      sigsuspend(&none);
  }
  return 0;
}

static int sleepForEver(void) {
  printf("ready\n");
  for (;;)
    pause();
}

// Neither echo nor a reaction to Ctrl-C.
static int deaf(void) {
  struct termios mode;
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  tcgetattr(0, &mode);
  mode.c_lflag &= ~ECHO;
  tcsetattr(0, TCSANOW, &mode);
  return sleepForEver();
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 1024);
  const char *what = argc > 1 ? argv[1] : "";
  if (!strcmp(what, "lines"))
    return lines();
  if (!strcmp(what, "raw"))
    return raw();
  if (!strcmp(what, "size"))
    return size();
  if (!strcmp(what, "sleep"))
    return sleepForEver();
  if (!strcmp(what, "deaf"))
    return deaf();
  return 99;
}

// SPDX-License-Identifier: BSD-3-Clause
// Nobody reads the program's output any more: SIGPIPE at the next write; EPIPE where that is ignored, by the program or by
// whoever started it; poll says POLLERR. And: what the starter ignores is ignored in the program.
// REQUIRES: osv-rewrite, osv-run, qemu, runtime-gs, runtime-fs, glibc-static
// RUN: gcc -O2 -static %s -o %t && %osv-rewrite %t -o %t.gs.img && %osv-rewrite --tls=fs %t -o %t.fs.img
// RUN: %python %S/Inputs/closed.py %osv-run %t %t.gs.img
// RUN: %python %S/Inputs/closed.py %osv-run %t %t.fs.img
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (!strcmp(argv[1], "ignored")) {
    for (int signo = 1; signo < 32; signo++) {
      struct sigaction action;
      if (sigaction(signo, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
        printf("%d\n", signo);
    }
    return 0;
  }
  if (!strcmp(argv[1], "ignore"))
    signal(SIGPIPE, SIG_IGN);
  if (!strcmp(argv[1], "poll")) {
    // POLLERR is reported without being asked for.
    struct pollfd p = {.fd = 1};
    write(1, "hello, hello\n", 13);
    while (poll(&p, 1, -1) != 1)
      ;
    fprintf(stderr, "events %x\n", p.revents);
    return 4;
  }
  char line[100];
  memset(line, 'y', sizeof line);
  while (write(1, line, sizeof line) > 0)
    ;
  fprintf(stderr, "write: %s\n", strerror(errno));
  return 3;
}

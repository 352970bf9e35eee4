// SPDX-License-Identifier: BSD-3-Clause
// Calls that a stub could break: signals that interrupt a read and are restarted or not, vfork and fork, threads, clone's return on
// another stack, six arguments, errors, and a memory fault at an address given by the kernel.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int pipes[2];
static volatile sig_atomic_t handled;
static void onSignal(int signo) {
  handled++;
  if (handled == 2)
    (void)!write(pipes[1], "x", 1);
}

static void *threadMain(void *argument) { return (void *)((long)argument * 2); }

static void *waiter(void *unused) {
  char c;
  (void)!read(pipes[0], &c, 1); // cancelled here
  return unused;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (int i = 1; i < argc; i++)
    printf("argument %s\n", argv[i]);
  char c;
  if (pipe(pipes) != 0)
    return 1;

  // EINTR, then SA_RESTART.
  struct sigaction action = {.sa_handler = onSignal};
  sigaction(SIGALRM, &action, NULL);
  ualarm(20000, 0);
  long n = read(pipes[0], &c, 1);
  printf("read %ld %s\n", n, n < 0 ? strerror(errno) : "");
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, NULL);
  ualarm(20000, 0);
  n = read(pipes[0], &c, 1);
  printf("read %ld %c, %d signals\n", n, c, (int)handled);

  fflush(stdout);
  if (fork() == 0)
    _exit(7);
  int status;
  wait(&status);
  printf("child %d\n", WEXITSTATUS(status));
  if (vfork() == 0)
    _exit(8);
  wait(&status);
  printf("vfork child %d\n", WEXITSTATUS(status));

  for (long i = 0; i < 4; i++) {
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, threadMain, (void *)i);
    pthread_join(thread, &result);
    printf("thread %ld\n", (long)result);
  }
  pthread_t thread;
  void *result;
  pthread_create(&thread, NULL, waiter, NULL);
  pthread_cancel(thread);
  pthread_join(thread, &result);
  printf("cancelled %d\n", result == PTHREAD_CANCELED);

  char *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memory[4096] = 'm';
  printf("%d %c\n", mprotect(memory, 4096, PROT_NONE), memory[4096]);
  printf("%ld %d\n", syscall(SYS_write, 1, memory, 10), errno);
  printf("%d %d\n", open("/nowhere/at/all", O_RDONLY), errno);
  printf("%ld %d\n", syscall(1000, 1, 2, 3, 4, 5, 6), errno);
  return argc;
}

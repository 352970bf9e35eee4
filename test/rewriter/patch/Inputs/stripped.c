// SPDX-License-Identifier: BSD-3-Clause
// Calls of many of musl's functions: files, memory, threads that wait for each other, a signal, time.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static int turn;
static volatile sig_atomic_t signalled;

static void onSignal(int signo) { signalled = signo; }

static void *takeTurns(void *self) {
  for (int i = 0; i < 10; i++) {
    pthread_mutex_lock(&mutex);
    while (turn % 2 != (int)(long)self)
      pthread_cond_wait(&turned, &mutex);
    turn++;
    pthread_cond_broadcast(&turned);
    pthread_mutex_unlock(&mutex);
  }
  return self;
}

static int ends[2];
static void *waitForever(void *unused) {
  char c;
  return read(ends[0], &c, 1) < 0 ? unused : NULL; // cancelled here
}

int main(void) {
  pthread_t threads[2];
  for (long i = 0; i < 2; i++)
    pthread_create(&threads[i], NULL, takeTurns, (void *)i);
  for (int i = 0; i < 2; i++)
    pthread_join(threads[i], NULL);
  printf("%d turns\n", turn);
  signal(SIGUSR1, onSignal);
  raise(SIGUSR1);
  printf("signal %d\n", signalled);
  struct stat status;
  printf("%d %d\n", stat("/", &status), S_ISDIR(status.st_mode));
  printf("%d\n", open("/nothing", O_RDONLY));
  char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(memory, 1, 1 << 20);
  printf("%d %d\n", mprotect(memory, 4096, PROT_READ), munmap(memory, 1 << 20));
  free(malloc(1 << 22));
  char text[6] = "";
  printf("%d\n", pipe(ends));
  struct iovec parts[] = {{"he", 2}, {"llo", 3}};
  printf("%d\n", (int)writev(ends[1], parts, 2));
  printf("%d %s\n", (int)read(ends[0], text, 5), text);
  struct timespec pause = {0, 1000000};
  printf("%d\n", nanosleep(&pause, NULL));
#ifdef CANCEL
  void *result;
  pthread_create(&threads[0], NULL, waitForever, NULL);
  nanosleep(&pause, NULL);
  pthread_cancel(threads[0]);
  pthread_join(threads[0], &result);
  printf("cancelled: %d\n", result == PTHREAD_CANCELED);
#else
  (void)waitForever;
#endif
  return 0;
}

// Cancellation (deferred and asynchronous), cleanup handlers, destructors of thread-specific data, pthread_kill.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, runtime-fs, qemu, glibc-static
// RUN: gcc -O2 -static -pthread %s -o %t && %python %tools/same.py --build %build %t
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(e) ((e) ? (void)0 : (printf("line %d: %s\n", __LINE__, #e), exit(1)))

static volatile int running;
static int cleaned, destroyed;
static __thread int token;
static pthread_key_t key;

static void cleanup(void *arg) {
  CHECK(token == (int)(uintptr_t)arg);
  cleaned++;
}
static void destroy(void *arg) {
  CHECK(token == (int)(uintptr_t)arg);
  destroyed++;
}

static void begin(void *arg) {
  token = (int)(uintptr_t)arg;
  pthread_setspecific(key, arg);
  running = 1;
}
static void *inRead(void *arg) {
  int fds[2];
  CHECK(pipe(fds) == 0);
  char c;
  pthread_cleanup_push(cleanup, arg);
  begin(arg);
  CHECK(read(fds[0], &c, 1) == 0); // never returns
  pthread_cleanup_pop(0);
  return NULL;
}
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static void unlock(void *arg) {
  pthread_mutex_unlock(&mutex);
  cleanup(arg);
}
static void *inCondition(void *arg) {
  pthread_mutex_lock(&mutex);
  pthread_cleanup_push(unlock, arg);
  begin(arg);
  for (;;)
    pthread_cond_wait(&cond, &mutex);
  pthread_cleanup_pop(0);
}
static void *inPause(void *arg) {
  pthread_cleanup_push(cleanup, arg);
  begin(arg);
  for (;;)
    pause();
  pthread_cleanup_pop(0);
}
static void *inLoop(void *arg) { // no cancellation point: asynchronous only
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  pthread_cleanup_push(cleanup, arg);
  begin(arg);
  for (;;)
    __asm__ volatile("");
  pthread_cleanup_pop(0);
}
static void *testing(void *arg) {
  pthread_cleanup_push(cleanup, arg);
  begin(arg);
  for (;;)
    pthread_testcancel();
  pthread_cleanup_pop(0);
}
static void *disabledFirst(void *arg) {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
  begin(arg);
  for (int i = 0; i < 100; i++)
    sched_yield(), pthread_testcancel();
  pthread_cleanup_push(cleanup, arg);
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
  for (;;)
    pthread_testcancel();
  pthread_cleanup_pop(0);
}

static void cancelled(const char *name, void *(*f)(void *)) {
  cleaned = destroyed = 0;
  for (uintptr_t i = 1; i <= 100; i++) {
    pthread_t t;
    void *r;
    running = 0;
    CHECK(pthread_create(&t, NULL, f, (void *)i) == 0);
    while (!running)
      sched_yield();
    CHECK(pthread_cancel(t) == 0);
    CHECK(pthread_join(t, &r) == 0);
    CHECK(r == PTHREAD_CANCELED);
  }
  printf("%s: %d cleaned up, %d destroyed\n", name, cleaned, destroyed);
}

static volatile sig_atomic_t handled;
static __thread volatile int handledHere;
static pthread_barrier_t gate;
static void handler(int s) {
  handledHere++;
  handled++;
}
static void *receiver(void *arg) {
  pthread_barrier_wait(&gate);
  while (handledHere < 50)
    sched_yield();
  pthread_barrier_wait(&gate);
  return (void *)(uintptr_t)handledHere;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  pthread_key_create(&key, destroy);
  cancelled("read", inRead);
  cancelled("condition", inCondition);
  cancelled("pause", inPause);
  cancelled("loop", inLoop);
  cancelled("testcancel", testing);
  cancelled("disabled first", disabledFirst);

  struct sigaction sa = {.sa_handler = handler};
  sigaction(SIGUSR1, &sa, NULL);
  pthread_t t[4];
  pthread_barrier_init(&gate, NULL, 5);
  for (int i = 0; i < 4; i++)
    CHECK(pthread_create(&t[i], NULL, receiver, NULL) == 0);
  pthread_barrier_wait(&gate);
  for (int n = 0; n < 50; n++)
    for (int i = 0; i < 4; i++) {
      int before = handled;
      CHECK(pthread_kill(t[i], SIGUSR1) == 0);
      while (handled == before)
        sched_yield();
    }
  pthread_barrier_wait(&gate);
  for (int i = 0; i < 4; i++) {
    void *r;
    pthread_join(t[i], &r);
    printf("thread %d: %d signals\n", i, (int)(uintptr_t)r);
  }
  CHECK(pthread_kill(pthread_self(), 0) == 0);
  CHECK(pthread_kill(pthread_self(), 99) == EINVAL);
  return 0;
}

// SPDX-License-Identifier: BSD-3-Clause
//
// Eight threads map, unmap, protect, move, discard and touch pages at random, each its own blocks, which lie between the others' so that areas are
// cut and merged all the time. Each thread keeps a model of its pages and compares: what every access reads, which fault it takes (SEGV_MAPERR or
// SEGV_ACCERR, at which address), what calls return.
//
// REQUIRES: osv-rewrite, osv-run, runtime-gs, runtime-fs, qemu, glibc-static
// RUN: gcc -O2 -w -static -pthread %s -o %t && %python %tools/same.py --build %build %t -- 20000 1 | FileCheck %s
// RUN: %python %tools/same.py --build %build -m 32M --only gs:2:10000 %t -- 20000 2 | FileCheck %s
// CHECK: {{[0-9]+}} operations of 8 threads with seed {{[0-9]+}}: {{[1-9][0-9]*}} faults, 0 wrong
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { kThreads = 8, kBlocks = 12, kBlock = 4, kPages = kBlocks * kBlock, kPage = 4096 };
enum State { Unmapped, None, Read, Write };
static char *space;
static long operations, wrong, faults;
static unsigned seed;

struct Model {
  enum State state[kPages];
  uint64_t value[kPages]; ///< of the first word; kept under None and Read
  uint64_t random;
  int id;
};
static __thread sigjmp_buf back;
static __thread siginfo_t fault;

static void onFault(int signo, siginfo_t *info, void *context) {
  fault = *info;
  siglongjmp(back, 1);
}

static uint64_t next(struct Model *m) {
  m->random ^= m->random << 13;
  m->random ^= m->random >> 7;
  return m->random ^= m->random << 17;
}

/// Blocks of all threads take turns.
static char *at(const struct Model *m, int page) {
  return space + (((size_t)(page / kBlock) * kThreads + m->id) * kBlock + page % kBlock) * kPage;
}

#define EXPECT(e) ((e) ? 0 : complain(m, __LINE__, #e))
static int complain(struct Model *m, int line, const char *what) {
  if (__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED) < 20)
    printf("thread %d, line %d: %s (%s)\n", m->id, line, what, strerrorname_np(errno));
  return 1;
}

static void touch(struct Model *m, int page, int write, uint64_t value) {
  volatile uint64_t *word = (uint64_t *)at(m, page);
  enum State s = m->state[page];
  if (sigsetjmp(back, 1)) {
    __atomic_fetch_add(&faults, 1, __ATOMIC_RELAXED);
    EXPECT(s == Unmapped || s == None || (write && s == Read));
    EXPECT(fault.si_signo == SIGSEGV && fault.si_code == (s == Unmapped ? SEGV_MAPERR : SEGV_ACCERR) &&
           fault.si_addr == (void *)word);
    return;
  }
  uint64_t got = *word;
  if (write)
    *word = value;
  EXPECT(s == Write || (s == Read && !write));
  EXPECT(got == m->value[page]);
  if (write)
    m->value[page] = value;
}

static const int protection[] = {0, PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE};

static void step(struct Model *m) {
  uint64_t r = next(m);
  int page = r % kPages, in = page % kBlock, count = 1 + (r >> 16) % (kBlock - in);
  enum State state = 1 + (r >> 24) % 3;
  char *p = at(m, page);
  size_t length = (size_t)count * kPage;
  switch ((r >> 32) % 12) {
  case 0: {
    EXPECT(mmap(p, length, protection[state], MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p);
    for (int i = 0; i < count; i++)
      m->state[page + i] = state, m->value[page + i] = 0;
    break;
  }
  case 1:
    EXPECT(munmap(p, length) == 0);
    for (int i = 0; i < count; i++)
      m->state[page + i] = Unmapped, m->value[page + i] = 0;
    break;
  case 2:
  case 3: { // changes what comes before a hole, and then fails
    int whole = 0;
    while (whole < count && m->state[page + whole] != Unmapped)
      whole++;
    int result = mprotect(p, length, protection[state]);
    EXPECT(whole == count ? result == 0 : result == -1 && errno == ENOMEM);
    for (int i = 0; i < whole; i++)
      m->state[page + i] = state;
    break;
  }
  case 4: { // discards all of it, holes or not, and tells of the holes
    int holes = 0;
    for (int i = 0; i < count; i++) {
      holes += m->state[page + i] == Unmapped;
      m->value[page + i] = 0;
    }
    int result = madvise(p, length, MADV_DONTNEED);
    EXPECT(holes ? result == -1 && errno == ENOMEM : result == 0);
    break;
  }
  case 5: { // a page moves onto another of ours
    int to = (r >> 40) % kPages;
    if (to == page)
      break;
    void *result = mremap(p, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, at(m, to));
    if (m->state[page] == Unmapped) {
      // Whether the target is unmapped before depends on the version of Linux.
      EXPECT(result == MAP_FAILED && errno == EFAULT);
      munmap(at(m, to), kPage);
      m->state[to] = Unmapped, m->value[to] = 0;
      break;
    }
    EXPECT(result == at(m, to));
    m->state[to] = m->state[page], m->value[to] = m->value[page];
    m->state[page] = Unmapped, m->value[page] = 0;
    break;
  }
  case 6: {
    unsigned char there[kBlock];
    int holes = 0;
    for (int i = 0; i < count; i++)
      holes += m->state[page + i] == Unmapped;
    int result = mincore(p, length, there);
    EXPECT(holes ? result == -1 && errno == ENOMEM : result == 0);
    break;
  }
  case 7: { // where there is nothing, or not at all
    int free = 1;
    for (int i = 0; i < count; i++)
      free &= m->state[page + i] == Unmapped;
    void *result = mmap(p, length, protection[state], MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(free ? result == p : result == MAP_FAILED && errno == EEXIST);
    for (int i = 0; free && i < count; i++)
      m->state[page + i] = state, m->value[page + i] = 0;
    break;
  }
  default:
    touch(m, page, (r >> 36) & 1, r | 1);
  }
}

static void *run(void *arg) {
  struct Model *m = calloc(1, sizeof *m);
  m->id = (long)arg;
  m->random = seed * 0x9e3779b97f4a7c15ull + m->id * 0x2545f4914f6cdd1dull + 1;
  for (long i = 0; i < operations / kThreads; i++)
    step(m);
  for (int page = 0; page < kPages; page++)
    touch(m, page, 0, 0);
  free(m);
  return 0;
}

int main(int argc, char **argv) {
  operations = atol(argv[1]);
  seed = atoi(argv[2]);
  size_t size = (size_t)kThreads * kPages * kPage;
  space = mmap(0, size + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  space += kPage; // one page at each end stays; stacks and malloc's arenas are larger than all the holes between
  munmap(space, size);
  sigaction(SIGSEGV, &(struct sigaction){.sa_sigaction = onFault, .sa_flags = SA_SIGINFO}, 0);
  pthread_t threads[kThreads];
  for (long i = 0; i < kThreads; i++)
    pthread_create(&threads[i], 0, run, (void *)i);
  for (int i = 0; i < kThreads; i++)
    pthread_join(threads[i], 0);
  printf("%ld operations of %d threads with seed %u: %ld faults, %ld wrong\n", operations, kThreads, seed, faults,
         wrong);
  return wrong != 0;
}

// The calls about threads and the process that have the same answer everywhere: errors of clone, sched_*, priorities, limits, prctl,
// arch_prctl, membarrier, ids.
// REQUIRES: osv-rewrite, osv-run, qemu, glibc-static
// RUN: gcc -O2 -w -static -pthread %s -o %t && %t > %t.native
// RUN: %osv-rewrite %t -o %t.img && %osv-run %t.img > %t.1 && diff %t.native %t.1
// RUN: %osv-rewrite --tls=fs %t -o %t.fs.img && %osv-run --smp 2 %t.fs.img > %t.2 && diff %t.native %t.2
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static void show(const char *what, long r) {
  if (r < 0)
    printf("%s = %s\n", what, strerrorname_np(errno));
  else
    printf("%s = %ld\n", what, r);
}
#define SHOW(e) show(#e, e)
#define OK(e) printf("%s: %s\n", #e, (e) ? "yes" : "no")
#define BAD ((void *)8)
#define KERNEL ((void *)0xffff800000000000)

int main(void) {
  printf("-- clone\n");
  SHOW(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0));
  SHOW(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0));
  SHOW(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0));
  SHOW(syscall(SYS_clone, CLONE_NEWNS | CLONE_FS, 0, 0, 0, 0));
  SHOW(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID, 0, 0, 0, 0));
  struct clone_args c = {.flags = CLONE_THREAD};
  SHOW(syscall(SYS_clone3, &c, sizeof c));
  SHOW(syscall(SYS_clone3, &c, 8));
  SHOW(syscall(SYS_clone3, &c, 5000));
  SHOW(syscall(SYS_clone3, BAD, sizeof c));
  c = (struct clone_args){.flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_FS | CLONE_FILES, .exit_signal = 17};
  SHOW(syscall(SYS_clone3, &c, sizeof c));
  c.exit_signal = 0, c.stack = 4096;
  SHOW(syscall(SYS_clone3, &c, sizeof c));
  c.stack = 0, c.stack_size = 4096;
  SHOW(syscall(SYS_clone3, &c, sizeof c));
  c.stack_size = 0, c.flags |= CLONE_DETACHED;
  SHOW(syscall(SYS_clone3, &c, sizeof c));

  printf("-- scheduling\n");
  SHOW(sched_yield());
  SHOW(sched_getscheduler(0));
  SHOW(sched_getscheduler(-1));
  SHOW(sched_getscheduler(0x3ffffff));
  SHOW(sched_get_priority_max(SCHED_FIFO));
  SHOW(sched_get_priority_min(SCHED_RR));
  SHOW(sched_get_priority_max(SCHED_OTHER));
  SHOW(sched_get_priority_max(4));
  struct sched_param p = {.sched_priority = 1};
  SHOW(sched_setscheduler(0, SCHED_OTHER, &p));
  SHOW(sched_setscheduler(0, 42, &p));
  SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, NULL));
  p.sched_priority = 0;
  SHOW(sched_setscheduler(0, SCHED_FIFO, &p));
  SHOW(sched_setscheduler(0, SCHED_BATCH, &p));
  SHOW(sched_getscheduler(0));
  SHOW(sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &p));
  SHOW(sched_getscheduler(0));
  SHOW(sched_getparam(0, &p));
  SHOW(p.sched_priority);
  SHOW(syscall(SYS_sched_getparam, 0, NULL));
  SHOW(syscall(SYS_sched_getparam, 0, BAD));
  uint64_t mask[16] = {0};
  SHOW(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
  SHOW(syscall(SYS_sched_setaffinity, 0, sizeof mask, BAD));
  SHOW(syscall(SYS_sched_getaffinity, 0, 7, mask));
  SHOW(syscall(SYS_sched_getaffinity, 0, 12, mask));
  SHOW(syscall(SYS_sched_getaffinity, 0x3ffffff, sizeof mask, mask));
  SHOW(syscall(SYS_sched_getaffinity, -1, sizeof mask, mask));
  SHOW(syscall(SYS_sched_setaffinity, -1, sizeof mask, mask));
  SHOW(sched_getparam(-1, &(struct sched_param){0}));
  SHOW(sched_rr_get_interval(-1, &(struct timespec){0}));
  mask[0] = 1;
  SHOW(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
  unsigned cpu, node;
  SHOW(syscall(SYS_getcpu, &cpu, &node, NULL));
  SHOW((long)cpu);
  SHOW(syscall(SYS_getcpu, NULL, NULL, NULL));
  SHOW(syscall(SYS_getcpu, BAD, NULL, NULL));
  SHOW(getpriority(PRIO_PROCESS, 0));
  SHOW(setpriority(PRIO_PROCESS, 0, 5));
  SHOW(getpriority(PRIO_PROCESS, 0));
  SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 0));
  SHOW(syscall(SYS_getpriority, 7, 0));
  SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 0x3ffffff));
  SHOW(setpriority(PRIO_PROCESS, 0, 100));
  SHOW(getpriority(PRIO_PROCESS, 0));
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t utilMin, utilMax;
  } attr = {0};
  SHOW(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0));
  printf("attr: %u %u %d %u\n", attr.size, attr.policy, attr.nice, attr.priority);
  SHOW(syscall(SYS_sched_getattr, 0, &attr, 47, 0));
  SHOW(syscall(SYS_sched_getattr, 0, NULL, sizeof attr, 0));
  attr.size = 8;
  SHOW(syscall(SYS_sched_setattr, 0, &attr, 0));
  attr.size = 48, attr.nice = 19;
  SHOW(syscall(SYS_sched_setattr, 0, &attr, 1));
  SHOW(syscall(SYS_sched_setattr, 0, &attr, 0));

  printf("-- limits\n");
  struct rlimit l;
  SHOW(getrlimit(99, &l));
  SHOW(syscall(SYS_prlimit64, 0, 16, NULL, NULL));
  SHOW(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, BAD, NULL));
  SHOW(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, BAD));
  SHOW(syscall(SYS_prlimit64, 0x3ffffff, RLIMIT_NOFILE, NULL, NULL));
  l = (struct rlimit){5, 4};
  SHOW(setrlimit(RLIMIT_CORE, &l));
  l = (struct rlimit){3, 4};
  SHOW(setrlimit(RLIMIT_CORE, &l));
  SHOW(getrlimit(RLIMIT_CORE, &l));
  printf("core: %lu %lu\n", (unsigned long)l.rlim_cur, (unsigned long)l.rlim_max);

  printf("-- prctl\n");
  char name[16];
  SHOW(prctl(PR_SET_NAME, "a name that is too long"));
  SHOW(prctl(PR_GET_NAME, name));
  puts(name);
  SHOW(prctl(PR_SET_NAME, BAD));
  SHOW(prctl(PR_GET_NAME, KERNEL));
  SHOW(prctl(PR_GET_DUMPABLE));
  SHOW(prctl(PR_SET_DUMPABLE, 7));
  SHOW(prctl(PR_SET_DUMPABLE, 0));
  SHOW(prctl(PR_GET_DUMPABLE));
  SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  SHOW(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
  SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  int v = -1;
  SHOW(prctl(PR_SET_PDEATHSIG, 65));
  SHOW(prctl(PR_SET_PDEATHSIG, 0));
  SHOW(prctl(PR_GET_PDEATHSIG, &v));
  SHOW(v);
  SHOW(prctl(PR_GET_TSC, &v));
  SHOW(v);
  SHOW(prctl(PR_SET_TSC, 9));
  SHOW(prctl(PR_GET_TIMING));
  SHOW(prctl(PR_SET_TIMING, 1));
  SHOW(prctl(PR_SET_SECCOMP, 99));
  SHOW(prctl(PR_SET_TIMERSLACK, 123));
  SHOW(prctl(PR_GET_TIMERSLACK));
  SHOW(prctl(PR_CAPBSET_READ, 99));
  SHOW(prctl(12345));

  printf("-- arch_prctl\n");
  uint64_t fs = 0;
  SHOW(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
  OK(fs == *(uint64_t *)pthread_self());
  SHOW(syscall(SYS_arch_prctl, ARCH_GET_FS, BAD));
  SHOW(syscall(SYS_arch_prctl, ARCH_SET_FS, KERNEL));
  SHOW(syscall(SYS_arch_prctl, ARCH_SET_FS, 0x7ffffffff000));
  SHOW(syscall(SYS_arch_prctl, ARCH_SET_FS, 0x8000000000000000));
  SHOW(syscall(SYS_arch_prctl, ARCH_SET_FS, fs));
  SHOW(syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0));
  SHOW(syscall(SYS_arch_prctl, 0x3001, &fs));
  SHOW(syscall(SYS_arch_prctl, 0x9999, 0));
  SHOW(syscall(SYS_arch_prctl, 0x1021, BAD));
  SHOW(syscall(SYS_arch_prctl, 0x1023, 77));

  printf("-- ids\n");
  OK(syscall(SYS_gettid) == getpid());
  OK(getpgid(0) == getpgrp());
  SHOW(getpgid(0x3ffffff));
  SHOW(getsid(0x3ffffff));
  SHOW(setpgid(0, -1));
  SHOW(getuid() + geteuid() + getgid() + getegid() == 0 ? 0 : 1);
  uid_t r, e, s;
  SHOW(getresuid(&r, &e, &s));
  SHOW(syscall(SYS_getresuid, BAD, &e, &s));
  SHOW(setuid(-1));
  SHOW(setuid(getuid()));
  SHOW(setresuid(-1, -1, -1));
  SHOW(getgroups(-1, NULL));
  int status;
  SHOW(waitpid(-1, &status, 0));
  SHOW(waitpid(-1, &status, 0x100));
  SHOW(waitpid(-1, &status, WNOHANG));
  siginfo_t info;
  SHOW(waitid(P_ALL, 0, &info, WEXITED));
  SHOW(waitid(P_ALL, 0, &info, 0));
  SHOW(waitid(9, 0, &info, WEXITED));

  printf("-- others\n");
  SHOW(syscall(SYS_set_robust_list, NULL, 3));
  SHOW(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 1, 0) < 0 ? (long)errno : 0L);
  SHOW(syscall(SYS_membarrier, 1 << 20, 0, 0));
  SHOW(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
  SHOW(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
  SHOW(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
  char bytes[64] = {0};
  SHOW(getrandom(bytes, sizeof bytes, 0));
  SHOW(getrandom(bytes, sizeof bytes, 0x80));
  SHOW(getrandom(bytes, sizeof bytes, GRND_RANDOM | GRND_INSECURE));
  SHOW(getrandom(BAD, 10, 0));
  SHOW(getrandom(BAD, 0, 0));
  struct utsname u;
  SHOW(uname(&u));
  printf("%s %s\n", u.sysname, u.machine);
  SHOW(syscall(SYS_uname, BAD));
  struct sysinfo si;
  SHOW(sysinfo(&si));
  SHOW((long)si.mem_unit);
  SHOW(syscall(SYS_sysinfo, KERNEL));
  struct rusage ru;
  SHOW(getrusage(RUSAGE_SELF, &ru));
  SHOW(getrusage(RUSAGE_THREAD, &ru));
  SHOW(getrusage(17, &ru));
  SHOW(syscall(SYS_getrusage, RUSAGE_SELF, BAD));
  SHOW(syscall(SYS_times, BAD));
  return 0;
}

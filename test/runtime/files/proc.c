// SPDX-License-Identifier: BSD-3-Clause
//
// /proc, /sys and /dev: the shape of what programs read there. Values differ between machines, so each line tells whether it is as it
// must be.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, qemu, glibc-static
// RUN: gcc -static -O1 -w -o %t %s
// RUN: %osv-rewrite %t -o %t.img --env FOO=bar -- one two
// RUN: %osv-run %t.img | FileCheck %s
// CHECK-NOT: wrong
// CHECK: done
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

static char text[65536];
static int size;
static char *slurp(const char *path) {
  int fd = open(path, O_RDONLY);
  size = 0;
  text[0] = 0;
  if (fd < 0)
    return text;
  int n;
  while ((n = read(fd, text + size, 1000)) > 0)
    size += n;
  text[size] = 0;
  close(fd);
  return text;
}
#define CHECK(c) printf("%s: %s\n", #c, (c) ? "right" : "wrong")
static int has(const char *path, const char *s) { return strstr(slurp(path), s) != NULL; }

int main(int argc, char **argv) {
  char line[4096], name[256];
  // maps
  slurp("/proc/self/maps");
  unsigned long a, b, previous = 0;
  int stack = 0, mine = 0, ordered = 1;
  for (char *l = strtok(text, "\n"); l; l = strtok(NULL, "\n")) {
    char perms[5], path[256] = "";
    unsigned long off, inode;
    unsigned major, minor;
    if (sscanf(l, "%lx-%lx %4s %lx %x:%x %lu %255s", &a, &b, perms, &off, &major, &minor, &inode, path) < 7) {
      printf("wrong line: %s\n", l);
      continue;
    }
    ordered &= a >= previous && b > a;
    previous = b;
    stack |= !strcmp(path, "[stack]") && (unsigned long)&a >= a && (unsigned long)&a < b;
    mine |= (unsigned long)main >= a && (unsigned long)main < b && perms[2] == 'x';
  }
  CHECK(ordered);
  CHECK(stack);
  CHECK(mine);
  slurp("/proc/self/cmdline");
  CHECK(size > 8 && !strcmp(text, argv[0]) && !strcmp(text + strlen(text) + 1, "one"));
  slurp("/proc/self/environ");
  CHECK(memmem(text, size, "FOO=bar", 8) != NULL);
  slurp("/proc/self/auxv");
  CHECK(size % 16 == 0 && size > 200);
  CHECK(((unsigned long *)text)[size / 8 - 2] == AT_NULL);
  CHECK(has("/proc/self/status", "\nThreads:\t1\n"));
  CHECK(has("/proc/self/status", "\nVmRSS:\t"));
  CHECK(has("/proc/self/status", "\nState:\tR (running)\n"));
  int pid;
  char state;
  CHECK(sscanf(slurp("/proc/self/stat"), "%d (%255[^)]) %c", &pid, name, &state) == 3 && pid == getpid() &&
        state == 'R');
  int fields = 0;
  for (char *p = text; *p; p++)
    fields += *p == ' ';
  CHECK(fields == 51);
  CHECK(sscanf(slurp("/proc/self/statm"), "%lu %lu", &a, &b) == 2 && a >= b && b > 0);
  CHECK(has("/proc/self/limits", "Max open files "));
  CHECK(has("/proc/self/cgroup", "0::/"));
  CHECK(has("/proc/mounts", " /proc proc "));
  CHECK(has("/proc/self/mountinfo", " / / "));
  CHECK(has("/proc/thread-self/comm", name));
  CHECK(has("/proc/self/task/1/comm", name));
  int comm = open("/proc/self/comm", O_WRONLY);
  CHECK(write(comm, "renamed\n", 8) == 8);
  CHECK(has("/proc/self/comm", "renamed\n"));
  // fd
  int fd = open("/etc/hosts", O_RDONLY);
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  line[readlink(name, line, sizeof line)] = 0;
  CHECK(!strcmp(line, "/etc/hosts"));
  DIR *d = opendir("/proc/self/fd");
  int count = 0;
  struct dirent *e;
  while ((e = readdir(d)))
    count += e->d_name[0] != '.';
  CHECK(count == fd + 2); // and the directory itself
  closedir(d);
  snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
  CHECK(has(name, "flags:\t0100000\n"));
  int p[2];
  pipe(p);
  snprintf(name, sizeof name, "/proc/self/fd/%d", p[0]);
  line[readlink(name, line, sizeof line)] = 0;
  CHECK(!strncmp(line, "pipe:[", 6));
  snprintf(name, sizeof name, "/proc/self/fd/%d", p[1]);
  int again = open(name, O_WRONLY);
  CHECK(write(again, "x", 1) == 1 && read(p[0], line, 5) == 1);
  CHECK(access("/proc/self/fd/77", F_OK) < 0 && errno == ENOENT);
  line[readlink("/proc/self/exe", line, sizeof line)] = 0;
  CHECK(line[0] == '/');
  chdir("/tmp");
  line[readlink("/proc/self/cwd", line, sizeof line)] = 0;
  CHECK(!strcmp(line, "/tmp"));
  CHECK(open("/proc/self/root/etc/hosts", O_RDONLY) >= 0);
  // the system
  CHECK(has("/proc/cpuinfo", "processor\t: 0\n") && strstr(text, "\nflags\t\t: fpu ") && !strstr(text, "fsgsbase"));
  CHECK(has("/proc/meminfo", "MemTotal:") && strstr(text, "MemAvailable:"));
  CHECK(has("/proc/stat", "cpu0 ") && strstr(text, "\nbtime 1"));
  double up, idle;
  CHECK(sscanf(slurp("/proc/uptime"), "%lf %lf", &up, &idle) == 2 && up >= 0);
  CHECK(sscanf(slurp("/proc/loadavg"), "%lf %lf", &up, &idle) == 2);
  CHECK(has("/proc/version", "Linux version "));
  CHECK(has("/proc/filesystems", "nodev\tproc\n"));
  CHECK(has("/proc/sys/kernel/osrelease", "."));
  CHECK(strlen(slurp("/proc/sys/kernel/random/uuid")) == 37 && text[14] == '4');
  char boot[40];
  strcpy(boot, slurp("/proc/sys/kernel/random/boot_id"));
  CHECK(!strcmp(boot, slurp("/proc/sys/kernel/random/boot_id")) && strlen(boot) == 37);
  CHECK(atoi(slurp("/proc/sys/vm/max_map_count")) == 65530);
  CHECK(atoi(slurp("/proc/sys/net/core/somaxconn")) == 4096);
  CHECK(has("/sys/devices/system/cpu/online", "0"));
  CHECK(atoi(slurp("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")) == 2097152);
  CHECK(open("/proc/new", O_CREAT | O_WRONLY, 0600) < 0 && errno == ENOENT);
  CHECK(mkdir("/sys/new", 0700) < 0 && errno == EPERM);
  struct stat s;
  CHECK(stat("/proc/self/maps", &s) == 0 && s.st_size == 0 && s.st_mode == 0100444);
  CHECK(stat("/dev/shm", &s) == 0 && s.st_mode == 041777);
  CHECK(lstat("/dev/fd", &s) == 0 && S_ISLNK(s.st_mode));
  CHECK(has("/etc/passwd", "root:x:0:0:"));
  printf("done\n");
  return 0;
}

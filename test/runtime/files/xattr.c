// SPDX-License-Identifier: BSD-3-Clause
//
// Extended attributes where the file system has none: natively /proc and pipes, in the image everything.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, qemu, glibc-static
// RUN: gcc -static -O1 -w -o %t %s
// RUN: %osv-rewrite %t -o %t.img
// RUN: %t /proc/self/status /proc/self/fd > %t.native
// RUN: %osv-run %t.img -- /proc/self/status /proc/self/fd > %t.guest
// RUN: diff %t.native %t.guest
// The root file system answers as /proc does.
// RUN: %t /proc/self/status > %t.native && %osv-run %t.img -- /etc/passwd | sed s:/etc/passwd:/proc/self/status: | diff %t.native -
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SHOW(call)                                                                                                     \
  do {                                                                                                                 \
    errno = 0;                                                                                                         \
    long r_ = (long)(call);                                                                                            \
    printf("  %s = %ld %s\n", #call, r_, r_ < 0 ? strerrorname_np(errno) : "");                                        \
  } while (0)

static char buffer[100], huge[70000], longName[300];

static void onPath(const char *path) {
  printf("%s\n", path);
  SHOW(listxattr(path, buffer, sizeof buffer));
  SHOW(listxattr(path, NULL, 0));
  SHOW(llistxattr(path, buffer, 1));
  SHOW(getxattr(path, "user.name", buffer, sizeof buffer));
  SHOW(getxattr(path, "trusted.name", NULL, 0));
  SHOW(getxattr(path, "none", buffer, 1));
  SHOW(lgetxattr(path, "system.posix_acl_access", buffer, sizeof buffer));
  SHOW(setxattr(path, "user.name", "value", 5, 0));
  SHOW(setxattr(path, "user.name", "value", 5, XATTR_CREATE));
  SHOW(setxattr(path, "user.name", "value", 5, 8));
  SHOW(setxattr(path, "user.name", huge, sizeof huge, 0));
  SHOW(setxattr(path, "user.name", (char *)8, 5, 0));
  SHOW(setxattr(path, longName, (char *)8, 5, 0));
  SHOW(lsetxattr(path, "trusted.name", "value", 5, XATTR_REPLACE));
  SHOW(removexattr(path, "user.name"));
  SHOW(lremovexattr(path, "trusted.name"));
  SHOW(getxattr(path, "", buffer, 1));
  SHOW(getxattr(path, longName, buffer, 1));
  SHOW(removexattr(path, longName));
  SHOW(getxattr(path, (char *)8, buffer, 1));
  int fd = open(path, O_RDONLY);
  SHOW(flistxattr(fd, buffer, sizeof buffer));
  SHOW(fgetxattr(fd, "user.name", buffer, sizeof buffer));
  SHOW(fsetxattr(fd, "user.name", "value", 5, 0));
  SHOW(fremovexattr(fd, "user.name"));
  close(fd);
  fd = open(path, O_PATH);
  SHOW(flistxattr(fd, buffer, sizeof buffer));
  SHOW(fgetxattr(fd, "user.name", buffer, sizeof buffer));
  close(fd);
}

int main(int argc, char **argv) {
  memset(longName, 'n', sizeof longName - 1);
  memcpy(longName, "user.", 5);
  for (int i = 1; i < argc; i++)
    onPath(argv[i]);
  printf("others\n");
  SHOW(getxattr("/none", "user.name", buffer, 1));
  SHOW(listxattr("/none", buffer, 1));
  SHOW(listxattr("", buffer, 1));
  SHOW(setxattr("/proc/self/status/x", "user.name", "v", 1, 0));
  SHOW(getxattr((char *)8, "user.name", buffer, 1));
  SHOW(fgetxattr(99, "user.name", buffer, 1));
  SHOW(flistxattr(-1, buffer, 1));
  int p[2];
  pipe(p);
  SHOW(fgetxattr(p[0], "user.name", buffer, 1));
  SHOW(fgetxattr(p[0], "trusted.name", buffer, 1));
  SHOW(fsetxattr(p[0], "user.name", "v", 1, 0));
  SHOW(fremovexattr(p[1], "user.name"));
  return 0;
}

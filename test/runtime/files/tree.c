// SPDX-License-Identifier: BSD-3-Clause
//
// The tree of names and regular files: every line says what a call gave, and is the same natively and in the image.
// REQUIRES: osv-rewrite, osv-run, runtime-gs, qemu, glibc-static
// RUN: gcc -static -O1 -w -o %t %s
// RUN: mkdir -p %t.dir && cd %t.dir && %t > %t.native
// RUN: %osv-rewrite %t -o %t.img
// RUN: %osv-run %t.img > %t.guest
// RUN: diff %t.native %t.guest
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

static void say(const char *what, long r) { printf("%s: %s\n", what, r < 0 ? strerrorname_np(errno) : "ok"); }
#define SAY(call) say(#call, (long)(call))
#define NUM(call)                                                                                                      \
  do {                                                                                                                 \
    long r_ = (long)(call);                                                                                            \
    printf("%s = %ld %s\n", #call, r_, r_ < 0 ? strerrorname_np(errno) : "");                                          \
  } while (0)

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static void list(const char *path) {
  char *names[64];
  int n = 0;
  DIR *d = opendir(path);
  struct dirent *e;
  while ((e = readdir(d)))
    names[n++] = strdup(e->d_name);
  closedir(d);
  qsort(names, n, sizeof *names, compare);
  printf("%s:", path);
  for (int i = 0; i < n; i++)
    printf(" %s", names[i]);
  printf("\n");
}
static void show(const char *path) {
  struct stat s;
  if (lstat(path, &s) < 0) {
    printf("%s: %s\n", path, strerrorname_np(errno));
    return;
  }
  printf("%s: mode %o links %d size %ld\n", path, s.st_mode, (int)s.st_nlink, S_ISDIR(s.st_mode) ? 0 : (long)s.st_size);
}

int main(void) {
  char buf[8192], *p;
  struct stat s;
  umask(022);
  char top[] = "/tmp/osv-tree-XXXXXX";
  SAY(mkdtemp(top) ? 0 : -1);
  SAY(chdir(top));
  printf("cwd same: %d\n", !strcmp(getcwd(buf, sizeof buf), top));
  NUM(syscall(SYS_getcwd, buf, 3));

  // Opening
  int f = open("f", O_RDWR | O_CREAT, 0666);
  printf("GETFL %o GETFD %d\n", fcntl(f, F_GETFL), fcntl(f, F_GETFD));
  SAY(open("f", O_CREAT | O_EXCL, 0600));
  SAY(open("none", O_RDONLY));
  SAY(open("f/x", O_RDONLY));
  SAY(open("f/", O_RDONLY));
  SAY(open(".", O_WRONLY));
  SAY(open("f", O_DIRECTORY));
  SAY(open("", O_RDONLY));
  SAY(open((char *)8, O_RDONLY));
  NUM(openat(99, "f", O_RDONLY));
  NUM(openat(f, "f", O_RDONLY));
  memset(buf, 'a', 300);
  buf[300] = 0;
  SAY(open(buf, O_RDONLY));
  memset(buf, 'a', 5000);
  buf[5000] = 0;
  SAY(open(buf, O_RDONLY));

  // Reading and writing
  NUM(write(f, "hello, world", 12));
  NUM(pread(f, buf, 5, 7));
  printf("%.5s\n", buf);
  NUM(lseek(f, 0, SEEK_CUR));
  NUM(lseek(f, -1, SEEK_SET));
  NUM(lseek(f, 5, 77));
  NUM(lseek(f, 100, SEEK_END));
  NUM(write(f, "end", 3));
  NUM(lseek(f, 0, SEEK_DATA));
  NUM(lseek(f, 500, SEEK_HOLE));
  fstat(f, &s);
  printf("size %ld\n", (long)s.st_size);
  NUM(ftruncate(f, 5));
  NUM(ftruncate(f, -1));
  NUM(lseek(f, 0, SEEK_SET));
  NUM(read(f, buf, sizeof buf));
  NUM(read(f, buf, sizeof buf));
  NUM(read(f, (void *)8, 4));
  NUM(lseek(f, 0, SEEK_SET));
  NUM(read(f, (void *)8, 4));
  NUM(write(f, (void *)8, 4));
  NUM(write(f, (void *)-8, 4));
  NUM(write(99, "x", 1));
  NUM(read(-1, buf, 1));
  struct iovec v[3] = {{"ab", 2}, {0, 0}, {"cde", 3}};
  NUM(writev(f, v, 3));
  NUM(pwritev(f, v, 3, 1000));
  NUM(writev(f, v, -1));
  NUM(writev(f, v, 2000));
  v[1].iov_base = (void *)8, v[1].iov_len = 5;
  NUM(writev(f, v, 3));
  int r = open("f", O_RDONLY), w = open("f", O_WRONLY | O_APPEND);
  NUM(write(r, "x", 1));
  NUM(read(w, buf, 1));
  NUM(write(w, "tail", 4));
  NUM(pwrite(w, "more", 4, 0)); // Linux appends
  fstat(r, &s);
  printf("size %ld\n", (long)s.st_size);
  NUM(pread(r, buf, 4, -1));
  NUM(fallocate(f, 0, 2000, 100));
  NUM(fallocate(f, 0, -1, 100));
  NUM(fallocate(f, FALLOC_FL_KEEP_SIZE, 9000, 100));
  NUM(fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 3));
  NUM(pread(r, buf, 5, 0));
  printf("%d %d\n", buf[0], buf[4]);
  fstat(r, &s);
  printf("size %ld\n", (long)s.st_size);
  int c = open("copy", O_RDWR | O_CREAT, 0644);
  NUM(sendfile(c, r, NULL, 100));
  off_t off = 50;
  NUM(sendfile(c, r, &off, 100000));
  printf("off %ld\n", (long)off);
  loff_t in = 0, out = 5;
  NUM(copy_file_range(r, &in, c, &out, 10, 0));
  NUM(copy_file_range(r, &in, c, &out, 10, 1));
  NUM(sendfile(c, f, (off_t *)8, 5));

  // Mapping
  p = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, c, 0);
  strcpy(p, "through the mapping");
  NUM(pread(c, buf, 20, 0));
  printf("%s\n", buf);
  NUM(pwrite(c, "T", 1, 0));
  printf("%.7s\n", p);
  NUM(pwrite(c, p, 19, 100)); // from a mapping of the same file
  char *q = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, c, 0);
  q[0] = 'X';
  printf("%c%c\n", p[0], q[0]);
  NUM((long)mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0));
  NUM((long)mmap(0, 4096, PROT_READ, MAP_SHARED, w, 0));

  // Links
  SAY(link("f", "hard"));
  SAY(link("f", "hard"));
  SAY(link(".", "hard2"));
  SAY(symlink("f", "sym"));
  SAY(symlink("loop2", "loop1"));
  SAY(symlink("loop1", "loop2"));
  SAY(symlink("", "empty"));
  SAY(symlink("gone", "dangling"));
  NUM(readlink("sym", buf, sizeof buf));
  NUM(readlink("sym", buf, 0));
  NUM(readlink("f", buf, 10));
  SAY(open("loop1", O_RDONLY));
  SAY(open("sym", O_RDONLY | O_NOFOLLOW));
  SAY(open("sym", O_PATH | O_NOFOLLOW));
  SAY(open("dangling", O_RDONLY));
  SAY(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0600));
  SAY(open("dangling", O_CREAT | O_RDWR, 0600));
  show("gone");
  show("f");
  show("sym");
  SAY(linkat(AT_FDCWD, "sym", AT_FDCWD, "hard3", AT_SYMLINK_FOLLOW));
  show("f");
  SAY(linkat(AT_FDCWD, "sym", AT_FDCWD, "hardsym", 0));
  show("hardsym");
  SAY(link("f", "/proc/x"));

  // Directories
  SAY(mkdir("d", 0777));
  SAY(mkdir("d", 0777));
  SAY(mkdir("x/y", 0777));
  SAY(mkdir("d/e/", 0711));
  SAY(mkdir("f/e", 0777));
  SAY(rmdir("d"));
  SAY(rmdir("f"));
  SAY(rmdir("d/e/."));
  SAY(rmdir("d/e/.."));
  SAY(rmdir("/"));
  SAY(rmdir("/proc"));
  SAY(unlink("d"));
  SAY(unlink("none"));
  SAY(unlink("f/"));
  SAY(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
  SAY(unlinkat(AT_FDCWD, "d", 77));
  show("d");
  show("d/e");
  list(".");
  list("d");

  // Renaming
  SAY(rename("copy", "copy2"));
  SAY(rename("copy", "copy3"));
  SAY(rename("copy2", "d"));
  SAY(rename("d", "copy2"));
  SAY(rename("d", "d/e/f"));
  SAY(rename("d/e", "d"));
  SAY(rename("copy2", "d/e/copy"));
  SAY(rename("hard", "f"));
  show("hard");
  SAY(rename("f", "new/"));
  SAY(rename("d/e", "e2/"));
  SAY(rename(".", "y"));
  SAY(rename("d/..", "y"));
  SAY(rename("d", "/proc/y"));
  SAY(renameat2(AT_FDCWD, "f", AT_FDCWD, "sym", RENAME_NOREPLACE));
  SAY(renameat2(AT_FDCWD, "f", AT_FDCWD, "none", RENAME_EXCHANGE));
  SAY(renameat2(AT_FDCWD, "f", AT_FDCWD, "e2", RENAME_EXCHANGE));
  show("f");
  show("e2");
  SAY(renameat2(AT_FDCWD, "f", AT_FDCWD, "e2", RENAME_EXCHANGE | RENAME_NOREPLACE));
  list(".");
  list("f");

  // Attributes
  SAY(chmod("e2", 0751));
  show("e2");
  SAY(access("e2", X_OK));
  SAY(chmod("e2", 0600));
  SAY(access("e2", X_OK));
  SAY(access("e2", 8));
  SAY(access("none", F_OK));
  SAY(chown("e2", 12, 34));
  stat("e2", &s);
  printf("%d %d\n", s.st_uid, s.st_gid);
  struct timespec t[2] = {{1000, 5}, {2000, UTIME_OMIT}};
  stat("e2", &s);
  long mtime = s.st_mtime;
  SAY(utimensat(AT_FDCWD, "e2", t, 0));
  stat("e2", &s);
  printf("%ld.%ld %d\n", s.st_atim.tv_sec, s.st_atim.tv_nsec, s.st_mtime == mtime);
  t[0].tv_nsec = 1000000000;
  SAY(utimensat(AT_FDCWD, "e2", t, 0));
  SAY(futimens(f, NULL));
  SAY(truncate("e2", 3));
  SAY(truncate("f", 3));
  SAY(truncate("e2", -3));
  show("e2");
  struct statx sx;
  SAY(statx(AT_FDCWD, "e2", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &sx));
  printf("%o %d %d %ld\n", sx.stx_mode, sx.stx_uid, sx.stx_nlink, (long)sx.stx_size);
  SAY(statx(AT_FDCWD, "e2", 0x10000, STATX_BASIC_STATS, &sx));
  SAY(statx(f, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx));
  SAY(fstatat(AT_FDCWD, "", &s, 0));
  SAY(fstatat(f, "", &s, AT_EMPTY_PATH));

  // Open but unlinked
  int u = open("u", O_RDWR | O_CREAT, 0600);
  NUM(write(u, "unlinked", 8));
  SAY(unlink("u"));
  NUM(pread(u, buf, 8, 0));
  fstat(u, &s);
  printf("links %d\n", (int)s.st_nlink);
  snprintf(buf, sizeof buf, "/proc/self/fd/%d", u);
  char target[PATH_MAX];
  ssize_t n = readlink(buf, target, sizeof target - 1);
  target[n] = 0;
  printf("%s\n", target + strlen(top));
  int again = open(buf, O_RDONLY);
  NUM(read(again, target, 100));

  // Locks
  int l1 = open("e2", O_RDWR), l2 = open("e2", O_RDWR);
  SAY(flock(l1, LOCK_EX | LOCK_NB));
  SAY(flock(l2, LOCK_SH | LOCK_NB));
  SAY(flock(l1, LOCK_SH | LOCK_NB));
  SAY(flock(l2, LOCK_SH | LOCK_NB));
  SAY(flock(l2, LOCK_EX | LOCK_NB));
  SAY(flock(l2, 77));
  close(l1);
  SAY(flock(l2, LOCK_EX | LOCK_NB));
  l1 = open("e2", O_RDWR);
  struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
  SAY(fcntl(l1, F_SETLK, &fl));
  SAY(fcntl(l2, F_SETLK, &fl)); // the same process
  SAY(fcntl(l1, F_OFD_SETLK, &fl));
  fl.l_type = 99;
  SAY(fcntl(l1, F_SETLK, &fl));
  struct flock o1 = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 10};
  SAY(fcntl(l1, F_OFD_SETLK, &o1));
  SAY(fcntl(l2, F_OFD_SETLK, &o1));
  SAY(fcntl(l2, F_OFD_GETLK, &o1));
  printf("%d %ld %ld %d\n", o1.l_type, (long)o1.l_start, (long)o1.l_len, o1.l_pid);

  // Descriptors
  NUM(dup2(f, f));
  NUM(dup2(99, 50));
  NUM(dup2(f, 50));
  NUM(dup2(f, -1));
  NUM(dup3(f, f, 0));
  NUM(dup3(f, 51, O_CLOEXEC));
  NUM(fcntl(51, F_GETFD));
  NUM(fcntl(f, F_DUPFD, 60));
  NUM(fcntl(f, F_DUPFD_CLOEXEC, 60));
  NUM(fcntl(f, F_DUPFD, 100000000));
  NUM(fcntl(f, 9999));
  NUM(fcntl(f, F_SETFL, O_APPEND | O_NONBLOCK | O_WRONLY));
  printf("%o\n", fcntl(f, F_GETFL));
  NUM(close(99));
  NUM(close_range(50, 70, 0));
  NUM(close(51));
  NUM(close_range(5, 4, 0));

  // O_TMPFILE, memfd, O_PATH
  int tmp = open(".", O_TMPFILE | O_RDWR, 0600);
  NUM(write(tmp, "tmpfile", 7));
  snprintf(buf, sizeof buf, "/proc/self/fd/%d", tmp);
  SAY(linkat(AT_FDCWD, buf, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
  show("named");
  SAY(open(".", O_TMPFILE | O_RDONLY, 0600));
  int m = memfd_create("mem", MFD_ALLOW_SEALING);
  NUM(ftruncate(m, 100));
  NUM(fcntl(m, F_GET_SEALS));
  NUM(fcntl(m, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
  NUM(ftruncate(m, 10));
  NUM(pwrite(m, "x", 1, 100));
  NUM(pwrite(m, "x", 1, 99));
  NUM(fcntl(m, F_ADD_SEALS, F_SEAL_SEAL));
  NUM(fcntl(m, F_ADD_SEALS, F_SEAL_WRITE));
  int pf = open("e2", O_PATH);
  NUM(read(pf, buf, 1));
  NUM(fchmod(pf, 0600));
  NUM(fstat(pf, &s));
  NUM(lseek(pf, 0, SEEK_SET));

  // Working directory
  SAY(mkdir("cwd", 0777));
  SAY(chdir("cwd"));
  SAY(rmdir("../cwd"));
  SAY(getcwd(buf, sizeof buf) ? 0 : -1);
  SAY(open("x", O_CREAT | O_RDWR, 0600));
  SAY(open(".", O_RDONLY));
  SAY(chdir(".."));
  SAY(chdir("e2"));
  SAY(fchdir(f));

  SAY(chdir("/"));
  snprintf(buf, sizeof buf, "rm -rf %s", top);
  return 0;
}

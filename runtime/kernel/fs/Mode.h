// SPDX-License-Identifier: BSD-3-Clause
//
// The bits of st_mode. <linux/stat.h> hides them when glibc's feature macros are visible (libc++ brings those in), so
// they are here, with Linux's names and values; macros, because a host test may have them from <sys/stat.h>.
#pragma once
#include <linux/fcntl.h>
#include <linux/stat.h>

#ifndef S_IFMT
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFLNK 0120000
#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define S_IFCHR 0020000
#define S_IFIFO 0010000
#define S_ISUID 0004000
#define S_ISGID 0002000
#define S_IXGRP 0000010
#endif

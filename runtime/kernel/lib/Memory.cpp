// SPDX-License-Identifier: BSD-3-Clause
//
// The C memory and string functions that the compiler may call. General registers only: the program owns the vector
// registers. String instructions: fast on every CPU with ERMS, and the smallest code.
#include <cstddef>
#include <cstdint>

extern "C" {

__attribute__((no_builtin)) void *memcpy(void *__restrict dst, const void *__restrict src, size_t n) {
  void *d = dst;
  size_t words = n >> 3, rest = n & 7;
  asm volatile("rep movsq; movq %3, %%rcx; rep movsb" : "+D"(d), "+S"(src), "+c"(words) : "r"(rest) : "memory");
  return dst;
}

__attribute__((no_builtin)) void *memmove(void *dst, const void *src, size_t n) {
  auto *d = static_cast<unsigned char *>(dst);
  auto *s = static_cast<const unsigned char *>(src);
  if (d - s >= static_cast<ptrdiff_t>(n) || d <= s)
    return memcpy(dst, src, n); // forward is safe: each word is read before anything at or above it is written
  d += n - 1;
  s += n - 1;
  asm volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(n)::"memory");
  return dst;
}

__attribute__((no_builtin)) void *memset(void *dst, int c, size_t n) {
  void *d = dst;
  uint64_t pattern = 0x0101010101010101u * static_cast<unsigned char>(c);
  size_t words = n >> 3, rest = n & 7;
  asm volatile("rep stosq; movq %3, %%rcx; rep stosb" : "+D"(d), "+c"(words) : "a"(pattern), "r"(rest) : "memory");
  return dst;
}

__attribute__((no_builtin)) int memcmp(const void *a, const void *b, size_t n) {
  auto *x = static_cast<const unsigned char *>(a);
  auto *y = static_cast<const unsigned char *>(b);
  for (; n; n--, x++, y++)
    if (*x != *y)
      return *x - *y;
  return 0;
}

/// What the compiler makes of a memcmp whose order does not matter.
__attribute__((no_builtin)) int bcmp(const void *a, const void *b, size_t n) { return memcmp(a, b, n); }

__attribute__((no_builtin)) void *memchr(const void *p, int c, size_t n) {
  auto *s = static_cast<const unsigned char *>(p);
  for (; n; n--, s++)
    if (*s == static_cast<unsigned char>(c))
      return const_cast<unsigned char *>(s);
  return nullptr;
}

__attribute__((no_builtin)) size_t strlen(const char *s) {
  size_t n = 0;
  while (s[n])
    n++;
  return n;
}

__attribute__((no_builtin)) int strcmp(const char *a, const char *b) {
  while (*a && *a == *b)
    a++, b++;
  return static_cast<unsigned char>(*a) - static_cast<unsigned char>(*b);
}
}

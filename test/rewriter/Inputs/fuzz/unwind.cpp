// SPDX-License-Identifier: BSD-3-Clause
// A seed for the fuzzers: .eh_frame and .gcc_except_table with landing pads, and mangled names.
template <typename T> struct Holder {
  T value;
  ~Holder();
};
template <typename T> Holder<T>::~Holder() { value.drop(); }
struct Item {
  __attribute__((noinline)) void drop() { __asm__ volatile("" ::: "memory"); }
};
namespace outer::inner {
__attribute__((noinline)) void mayThrow(int value) {
  if (value)
    throw value;
}
} // namespace outer::inner
extern "C" {
void *__cxa_allocate_exception(unsigned long) { return nullptr; }
void __cxa_throw(void *, void *, void (*)(void *)) { __builtin_trap(); }
void *__cxa_begin_catch(void *) { return nullptr; }
void __cxa_end_catch() {}
void _Unwind_Resume(void *) { __builtin_trap(); }
int __gxx_personality_v0() { return 0; }
void *_ZTIi[2];
void _start() {
  Holder<Item> holder;
  try {
    outer::inner::mayThrow(1);
  } catch (int) {
    __asm__ volatile("syscall" : : "a"(60), "D"(0));
  }
}
}

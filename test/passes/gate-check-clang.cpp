// SPDX-License-Identifier: BSD-3-Clause
// The annotation in C++, in both models and with inlining: the chain names functions and lines, inlined ones too.
// REQUIRES: plugin
// DEFINE: %{cc} = clang++ -std=c++20 -fno-pic -mno-sse -mno-red-zone -g -fplugin=%plugin -fpass-plugin=%plugin -c %s -o /dev/null
// RUN: not %{cc} -O2 -mllvm -osv-tls=gs 2>&1 | FileCheck %s --check-prefix=O2
// RUN: not %{cc} -O2 -mllvm -osv-tls=fs 2>&1 | FileCheck %s --check-prefix=O2
// RUN: not %{cc} -O0 -mllvm -osv-tls=gs 2>&1 | FileCheck %s --check-prefix=O0
// RUN: %{cc} -O2 -mllvm -osv-tls=gs -DFIXED
// RUN: %{cc} -O0 -mllvm -osv-tls=gs -DFIXED
// RUN: %{cc} -O2 -mllvm -osv-tls=none
#define PRE_SWITCH __attribute__((annotate("osv.pre_switch")))

PRE_SWITCH void inAssembly(int);
constinit thread_local int depth = 0;

struct Lock {
#ifdef FIXED
  void take() { inAssembly(1); }
#else
  void take() { ++depth; }
#endif
};

__attribute__((noinline)) static void handle(Lock &lock) { lock.take(); }

PRE_SWITCH void entry(Lock &lock) {
  handle(lock);
  inAssembly(2);
}

void afterTheSwitch() { ++depth; }

// O2: error: gate-check: {{.*}}gate-check-clang.cpp:[[#@LINE-13]]: uses thread-local 'depth' before the TLS switch, in 'entry(Lock&)', which calls 'handle(Lock&)' ({{.*}}:[[#@LINE-6]]), which calls 'Lock::take()' ({{.*}}:[[#@LINE-9]], inlined)
// O2-NOT: error: gate-check
// O2: 1 error generated
// O0: error: gate-check: {{.*}}gate-check-clang.cpp:[[#@LINE-16]]: uses thread-local 'depth' before the TLS switch, in 'entry(Lock&)', which calls 'handle(Lock&)' ({{.*}}:[[#@LINE-9]]), which calls 'Lock::take()' ({{.*}}:[[#@LINE-12]])

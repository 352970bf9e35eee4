; SPDX-License-Identifier: BSD-3-Clause
; A thread-local address reads no memory, osv_gate_block does: attributes that were inferred from the former are widened, up
; through the callers, and only there.
; REQUIRES: plugin
; RUN: opt -load-pass-plugin=%plugin -passes=kernel-tls,verify -S %s | FileCheck %s
target triple = "x86_64-unknown-linux-gnu"

@item = thread_local global i32 0

; CHECK: define ptr @address() [[READS:#[0-9]+]]
define ptr @address() memory(none) {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @item)
  ret ptr %address
}

; CHECK: define ptr @caller() [[READS]]
; CHECK:   call ptr @address() [[READS]]
define ptr @caller() memory(none) {
  %address = call ptr @address() memory(none)
  ret ptr %address
}

; CHECK: define void @writer(ptr %to) [[WRITES:#[0-9]+]]
define void @writer(ptr %to) memory(argmem: write) {
  %address = call ptr @caller()
  store ptr %address, ptr %to
  ret void
}

; CHECK: define i32 @stranger(i32 %value) [[NONE:#[0-9]+]]
define i32 @stranger(i32 %value) memory(none) {
  ret i32 %value
}

; CHECK-DAG: attributes [[READS]] = { memory(read, argmem: none, inaccessiblemem: none) }
; CHECK-DAG: attributes [[WRITES]] = { memory(read, argmem: write, inaccessiblemem: none) }
; CHECK-DAG: attributes [[NONE]] = { memory(none) }
declare ptr @llvm.threadlocal.address.p0(ptr)

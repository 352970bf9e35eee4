; SPDX-License-Identifier: BSD-3-Clause
; Pointers that can only be thread-local stay relative to GS through phi, select and freeze, around loops too.
; REQUIRES: plugin
; RUN: opt -load-pass-plugin=%plugin -passes=kernel-tls,verify -S %s | FileCheck %s
target triple = "x86_64-unknown-linux-gnu"

@first = thread_local global i32 1
@second = thread_local global i32 2
@table = thread_local global [16 x i64] zeroinitializer

; CHECK-LABEL: define i32 @selected(
; CHECK-NEXT:    %which.gs = select i1 %cond, ptr addrspace(256) {{.*}}@first{{.*}}, ptr addrspace(256) {{.*}}@second
; CHECK-NEXT:    %value = load i32, ptr addrspace(256) %which.gs
; CHECK-NEXT:    ret i32 %value
define i32 @selected(i1 %cond) {
  %a = call ptr @llvm.threadlocal.address.p0(ptr @first)
  %b = call ptr @llvm.threadlocal.address.p0(ptr @second)
  %which = select i1 %cond, ptr %a, ptr %b
  %value = load i32, ptr %which
  ret i32 %value
}

; The end test compares two addresses that are off by the same base.
; CHECK-LABEL: define i64 @loop(
; CHECK-NOT:     osv_gate_block
; CHECK:         %at.gs = phi ptr addrspace(256) [ addrspacecast (ptr @table to ptr addrspace(256)), %entry ], [ %next.gs, %body ]
; CHECK:         %value = load i64, ptr addrspace(256) %at.gs
; CHECK:         %next.gs = getelementptr inbounds i64, ptr addrspace(256) %at.gs, i64 1
; CHECK:         %done = icmp eq ptr addrspace(256) %next.gs, getelementptr inbounds (i64, ptr addrspace(256) addrspacecast (ptr @table to ptr addrspace(256)), i64 16)
; CHECK:         ret i64
define i64 @loop() {
entry:
  %table = call ptr @llvm.threadlocal.address.p0(ptr @table)
  %end = getelementptr inbounds i64, ptr %table, i64 16
  br label %body
body:
  %at = phi ptr [ %table, %entry ], [ %next, %body ]
  %sum = phi i64 [ 0, %entry ], [ %total, %body ]
  %value = load i64, ptr %at
  %total = add i64 %sum, %value
  %next = getelementptr inbounds i64, ptr %at, i64 1
  %done = icmp eq ptr %next, %end
  br i1 %done, label %exit, label %body
exit:
  ret i64 %total
}

; One stranger in a cycle of phis turns the whole cycle flat.
; CHECK-LABEL: define i64 @poisoned_cycle(
; CHECK:         %at = phi ptr [ %table.addr, %entry ], [ %next, %body ]
; CHECK:         %value = load i64, ptr %at
; CHECK:         %next = select i1 %cond, ptr %step, ptr %other
define i64 @poisoned_cycle(i1 %cond, ptr %other) {
entry:
  %table = call ptr @llvm.threadlocal.address.p0(ptr @table)
  br label %body
body:
  %at = phi ptr [ %table, %entry ], [ %next, %body ]
  %value = load i64, ptr %at
  %step = getelementptr i64, ptr %at, i64 1
  %next = select i1 %cond, ptr %step, ptr %other
  %done = icmp eq i64 %value, 0
  br i1 %done, label %exit, label %body
exit:
  ret i64 %value
}

; A phi that reaches its block twice from the same one, by the bare variable, keeps one value for both edges.
; CHECK-LABEL: define i32 @switched(
; CHECK:         %which.gs = phi ptr addrspace(256) [ {{.*}}@first{{.*}}, %entry ], [ {{.*}}@first{{.*}}, %entry ], [ {{.*}}@second{{.*}}, %other ]
; CHECK:         %value = load i32, ptr addrspace(256) %which.gs
define i32 @switched(i32 %case) {
entry:
  switch i32 %case, label %other [ i32 0, label %join
                                   i32 1, label %join ]
other:
  br label %join
join:
  %which = phi ptr [ @first, %entry ], [ @first, %entry ], [ @second, %other ]
  %value = load i32, ptr %which
  ret i32 %value
}

; CHECK-LABEL: define i32 @frozen()
; CHECK-NEXT:    %fixed.gs = freeze ptr addrspace(256) {{.*}}@first
; CHECK-NEXT:    %value = load i32, ptr addrspace(256) %fixed.gs
define i32 @frozen() {
  %a = call ptr @llvm.threadlocal.address.p0(ptr @first)
  %fixed = freeze ptr %a
  %value = load i32, ptr %fixed
  ret i32 %value
}

declare ptr @llvm.threadlocal.address.p0(ptr)

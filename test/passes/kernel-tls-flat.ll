; SPDX-License-Identifier: BSD-3-Clause
; An address that is used as a value is osv_gate_block + the link-time address; accesses next to it stay direct.
; REQUIRES: plugin
; RUN: opt -load-pass-plugin=%plugin -passes=kernel-tls,verify -S %s | FileCheck %s
; RUN: opt -load-pass-plugin=%plugin -passes=kernel-tls -S %s | llc -O2 -relocation-model=static | FileCheck %s --check-prefix=ASM
target triple = "x86_64-unknown-linux-gnu"

@item = thread_local global [4 x i64] zeroinitializer
@wide = thread_local global i128 0

; CHECK: @osv_gate_block = external dso_local global [{{[0-9]+}} x i8], align 8

; CHECK-LABEL: define ptr @returned()
; CHECK-NEXT:    %ktls.self = load i64, ptr addrspace(256) addrspacecast (ptr @osv_gate_block to ptr addrspace(256)), align 8
; CHECK-NEXT:    %ktls.sum = add i64 %ktls.self, ptrtoint (ptr @item to i64)
; CHECK-NEXT:    %item.addr = inttoptr i64 %ktls.sum to ptr
; CHECK-NEXT:    ret ptr %item.addr
; ASM-LABEL: returned:
; ASM:       movl $item, %eax
; ASM-NEXT:  addq %gs:osv_gate_block(%rip), %rax
; ASM-NEXT:  retq
define ptr @returned() {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @item)
  ret ptr %address
}

; CHECK-LABEL: define void @passed_and_stored(
; CHECK:         %item.addr = inttoptr
; CHECK-NEXT:    %third = getelementptr inbounds i64, ptr %item.addr, i64 2
; CHECK-NEXT:    call void @use(ptr %third)
; CHECK-NEXT:    store i64 5, ptr addrspace(256) getelementptr inbounds (i64, ptr addrspace(256) addrspacecast (ptr @item to ptr addrspace(256)), i64 2)
; CHECK-NEXT:    store ptr %item.addr, ptr %to
define void @passed_and_stored(ptr %to) {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @item)
  %third = getelementptr inbounds i64, ptr %address, i64 2
  call void @use(ptr %third)
  store i64 5, ptr %third
  store ptr %address, ptr %to
  ret void
}

; CHECK-LABEL: define i1 @compared_with_another(
; CHECK:         %same = icmp eq ptr %item.addr, %other
define i1 @compared_with_another(ptr %other) {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @item)
  %same = icmp eq ptr %address, %other
  ret i1 %same
}

; A phi or select that may be any pointer needs it flat; so does everything that derives from it.
; CHECK-LABEL: define i64 @mixed(
; CHECK:         %item.addr = inttoptr
; CHECK-NEXT:    %which = select i1 %cond, ptr %item.addr, ptr %other
; CHECK-NEXT:    %next = getelementptr i64, ptr %which, i64 1
; CHECK-NEXT:    %value = load i64, ptr %next
define i64 @mixed(i1 %cond, ptr %other) {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @item)
  %which = select i1 %cond, ptr %address, ptr %other
  %next = getelementptr i64, ptr %which, i64 1
  %value = load i64, ptr %next
  ret i64 %value
}

; What may become a library call takes no segment: long or variable copies, atomics wider than a word.
; CHECK-LABEL: define i128 @calls(
; CHECK:         call void @llvm.memset.p0.i64(ptr %item.addr, i8 0, i64 %size, i1 false)
; CHECK:         call void @llvm.memcpy.p0.p0.i64(ptr %from, ptr %item.addr{{.*}}, i64 65, i1 false)
; CHECK:         load atomic i128, ptr %wide.addr seq_cst
define i128 @calls(i64 %size, ptr %from) {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @item)
  call void @llvm.memset.p0.i64(ptr %address, i8 0, i64 %size, i1 false)
  call void @llvm.memcpy.p0.p0.i64(ptr %from, ptr %address, i64 65, i1 false)
  %wide = call ptr @llvm.threadlocal.address.p0(ptr @wide)
  %value = load atomic i128, ptr %wide seq_cst, align 16
  ret i128 %value
}

; CHECK-LABEL: define void @assembly()
; CHECK:         call void asm "incq $0", "=*m{{.*}}"(ptr elementtype(i64) %item.addr)
define void @assembly() {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @item)
  call void asm "incq $0", "=*m,~{flags}"(ptr elementtype(i64) %address)
  ret void
}

declare void @use(ptr)
declare ptr @llvm.threadlocal.address.p0(ptr)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

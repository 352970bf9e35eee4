; SPDX-License-Identifier: BSD-3-Clause
; Every access whose address is known to be thread-local names the segment itself; no flat address is made.
; REQUIRES: plugin
; RUN: opt -load-pass-plugin=%plugin -passes=kernel-tls,verify -S %s | FileCheck %s --implicit-check-not=osv_gate_block,
; RUN: opt -load-pass-plugin=%plugin -passes=kernel-tls -S %s | llc -O2 -relocation-model=static | FileCheck %s --check-prefix=ASM
; RUN: opt -load-pass-plugin=%plugin -passes=kernel-tls -S %s | llc -O0 -relocation-model=static | FileCheck %s --check-prefix=ASM0
target triple = "x86_64-unknown-linux-gnu"

@counter = thread_local global i32 0
@table = thread_local global [8 x i64] zeroinitializer
@pair = thread_local global { i64, i64 } zeroinitializer

; CHECK-LABEL: define i32 @load()
; CHECK-NEXT:    %value = load i32, ptr addrspace(256) addrspacecast (ptr @counter to ptr addrspace(256)), align 4
; ASM-LABEL: load:
; ASM:       movl %gs:counter(%rip), %eax
; ASM-NEXT:  retq
; ASM0-LABEL: load:
; ASM0:       movl %gs:counter(%rip), %eax
; ASM0-NEXT:  retq
define i32 @load() {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @counter)
  %value = load i32, ptr %address
  ret i32 %value
}

; CHECK-LABEL: define void @increment()
; CHECK:         store volatile i32 %sum, ptr addrspace(256) addrspacecast (ptr @counter to ptr addrspace(256)), align 4
; CHECK-NEXT:    ret void
; ASM-LABEL: increment:
; ASM:       incl %gs:counter(%rip)
; ASM-NEXT:  retq
define void @increment() {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @counter)
  %value = load volatile i32, ptr %address
  %sum = add i32 %value, 1
  store volatile i32 %sum, ptr %address
  ret void
}

; ASM-LABEL: read_modify_write:
; ASM:       addl %edi, %gs:counter(%rip)
; ASM-NEXT:  retq
define void @read_modify_write(i32 %by) {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @counter)
  %value = load i32, ptr %address
  %sum = add i32 %value, %by
  store i32 %sum, ptr %address
  ret void
}

; The index goes into the address; the variable's displacement stays.
; CHECK-LABEL: define i64 @indexed(
; CHECK-NEXT:    %slot.gs = getelementptr inbounds [8 x i64], ptr addrspace(256) addrspacecast (ptr @table to ptr addrspace(256)), i64 0, i64 %index
; CHECK-NEXT:    %value = load i64, ptr addrspace(256) %slot.gs, align 8
; ASM-LABEL: indexed:
; ASM:       movq %gs:table(,%rdi,8), %rax
; ASM-NEXT:  retq
; ASM0-LABEL: indexed:
; ASM0:       movq %gs:table(,%rdi,8), %rax
; ASM0-NEXT:  retq
define i64 @indexed(i64 %index) {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @table)
  %slot = getelementptr inbounds [8 x i64], ptr %address, i64 0, i64 %index
  %value = load i64, ptr %slot
  ret i64 %value
}

; CHECK-LABEL: define void @member(
; CHECK-NEXT:    store i64 %value, ptr addrspace(256) getelementptr (i8, ptr addrspace(256) addrspacecast (ptr @pair to ptr addrspace(256)), i64 8), align 8
; ASM-LABEL: member:
; ASM:       movq %rdi, %gs:pair+8(%rip)
; ASM-NEXT:  retq
define void @member(i64 %value) {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @pair)
  %second = getelementptr i8, ptr %address, i64 8
  store i64 %value, ptr %second
  ret void
}

; CHECK-LABEL: define i64 @atomics(
; CHECK:         atomicrmw add ptr addrspace(256) %slot.gs, i64 %value seq_cst
; CHECK:         cmpxchg ptr addrspace(256) %slot.gs, i64 0, i64 %value seq_cst seq_cst
; ASM-LABEL: atomics:
; ASM:       lock
; ASM-SAME:  addq %rsi, %gs:table(,%rdi,8)
; ASM:       lock
; ASM-SAME:  cmpxchgq %rsi, %gs:table(,%rdi,8)
define i64 @atomics(i64 %index, i64 %value) {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @table)
  %slot = getelementptr inbounds i64, ptr %address, i64 %index
  %old = atomicrmw add ptr %slot, i64 %value seq_cst
  %result = cmpxchg ptr %slot, i64 0, i64 %value seq_cst seq_cst
  %seen = extractvalue { i64, i1 } %result, 0
  ret i64 %seen
}

; Short copies and fills stay in line, whatever the optimisation level.
; CHECK-LABEL: define void @copies(
; CHECK-NEXT:    call void @llvm.memcpy.inline.p256.p0.i64(ptr addrspace(256) align 8 addrspacecast (ptr @pair to ptr addrspace(256)), ptr align 8 %from, i64 16, i1 false)
; CHECK-NEXT:    call void @llvm.memset.inline.p256.i64(ptr addrspace(256) align 8 addrspacecast (ptr @table to ptr addrspace(256)), i8 0, i64 64, i1 false)
; CHECK-NEXT:    call void @llvm.memmove.p256.p256.i64(ptr addrspace(256) align 8 addrspacecast (ptr @table to ptr addrspace(256)), ptr addrspace(256) align 8 addrspacecast (ptr @pair to ptr addrspace(256)), i64 16, i1 true)
; ASM0-LABEL: copies:
; ASM0-NOT:   call
; ASM0:       retq
define void @copies(ptr %from) {
  %pair = call ptr @llvm.threadlocal.address.p0(ptr @pair)
  %table = call ptr @llvm.threadlocal.address.p0(ptr @table)
  call void @llvm.memcpy.p0.p0.i64(ptr align 8 %pair, ptr align 8 %from, i64 16, i1 false)
  call void @llvm.memset.p0.i64(ptr align 8 %table, i8 0, i64 64, i1 false)
  call void @llvm.memmove.p0.p0.i64(ptr align 8 %table, ptr align 8 %pair, i64 16, i1 true)
  ret void
}

; IR may name the variable without the intrinsic, in a constant expression too.
; CHECK-LABEL: define i32 @bare()
; CHECK:         load i32, ptr addrspace(256) {{.*}}@counter
; CHECK:         load i64, ptr addrspace(256) {{.*}}@table
; CHECK:         ret i32
define i32 @bare() {
  %value = load i32, ptr @counter
  %last = load i64, ptr getelementptr (i64, ptr @table, i64 7)
  %low = trunc i64 %last to i32
  %sum = add i32 %value, %low
  ret i32 %sum
}

declare ptr @llvm.threadlocal.address.p0(ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)

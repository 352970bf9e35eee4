; SPDX-License-Identifier: BSD-3-Clause
; Each thing that code before the switch must not touch, and its permitted neighbour.
; REQUIRES: plugin
; RUN: split-file %s %t
; DEFINE: %{opt} = opt -load-pass-plugin=%plugin -passes=gate-check -disable-output
; RUN: %{opt} %t/clean.ll 2>&1 | count 0
; RUN: not %{opt} %t/tls.ll 2>&1 | FileCheck %s --check-prefix=TLS
; RUN: not %{opt} %t/tls-constant.ll 2>&1 | FileCheck %s --check-prefix=TLSCONST
; RUN: not %{opt} %t/fs.ll 2>&1 | FileCheck %s --check-prefix=FS
; RUN: not %{opt} %t/gs.ll 2>&1 | FileCheck %s --check-prefix=GS
; RUN: not %{opt} %t/fp.ll 2>&1 | FileCheck %s --check-prefix=FP
; RUN: not %{opt} %t/sse.ll 2>&1 | FileCheck %s --check-prefix=SSE
; RUN: not %{opt} %t/guard.ll 2>&1 | FileCheck %s --check-prefix=GUARD
; RUN: %{opt} %t/guard-gs.ll 2>&1 | count 0
; RUN: not %{opt} %t/asm.ll 2>&1 | FileCheck %s --check-prefix=ASM
; RUN: not %{opt} %t/asm-clobber.ll 2>&1 | FileCheck %s --check-prefix=CLOBBER
; RUN: not %{opt} %t/extern.ll 2>&1 | FileCheck %s --check-prefix=EXTERN
; RUN: not %{opt} %t/pointer.ll 2>&1 | FileCheck %s --check-prefix=POINTER
; RUN: not %{opt} %t/memcpy.ll 2>&1 | FileCheck %s --check-prefix=MEMCPY

; TLS: error: gate-check: uses thread-local 'counter' before the TLS switch, in 'root', which calls 'middle', which calls 'leaf'
; TLSCONST: error: gate-check: uses thread-local 'table' before the TLS switch, in 'root'{{$}}
; FS: error: gate-check: accesses memory at FS before the TLS switch, in 'root'
; GS: error: gate-check: accesses memory at GS outside the gate block before the TLS switch, in 'root'
; FP: error: gate-check: computes with floating point or vectors before the TLS switch, in 'root'
; SSE: error: gate-check: may use SSE registers for copies (compile with -mno-sse or -mno-implicit-float) before the TLS switch, in 'root'
; GUARD: error: gate-check: has a stack protector, whose guard is at FS before the TLS switch, in 'root'
; ASM: error: gate-check: accesses memory at FS in inline assembly before the TLS switch, in 'root'
; CLOBBER: error: gate-check: touches FP registers in inline assembly before the TLS switch, in 'root'
; EXTERN: error: gate-check: calls 'other', which is defined elsewhere and not annotated osv.pre_switch before the TLS switch, in 'root'
; POINTER: error: gate-check: calls through a pointer before the TLS switch, in 'root'
; MEMCPY: error: gate-check: computes with floating point or vectors before the TLS switch, in 'memcpy'

;--- clean.ll
@counter = thread_local global i32 0
@osv_gate_block = external global [10 x i64]
@text = private constant [15 x i8] c"osv.pre_switch\00"
@other_text = private constant [6 x i8] c"other\00"
@llvm.global.annotations = appending global [3 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @root, ptr @text, ptr null, i32 0, ptr null }, { ptr, ptr, ptr, i32, ptr } { ptr @other, ptr @text, ptr null, i32 0, ptr null }, { ptr, ptr, ptr, i32, ptr } { ptr @after, ptr @other_text, ptr null, i32 0, ptr null }], section "llvm.metadata"
define i64 @root(ptr %to, ptr %from) noimplicitfloat {
  %block = call ptr addrspace(256) @gate()
  %field = getelementptr i64, ptr addrspace(256) %block, i64 2
  %value = load i64, ptr addrspace(256) %field
  store i64 %value, ptr addrspace(256) getelementptr (i8, ptr addrspace(256) inttoptr (i64 ptrtoint (ptr @osv_gate_block to i64) to ptr addrspace(256)), i64 8)
  call void @other()
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 100, i1 false)
  call void asm sideeffect "incq %gs:osv_gate_block+8", "~{memory},~{dirflag},~{fpsr},~{flags}"()
  call void asm sideeffect "wrfsbase $0", "r,~{dirflag},~{fpsr},~{flags}"(i64 %value)
  %same = call i64 @root(ptr %to, ptr %from)
  ret i64 %same
}
define ptr addrspace(256) @gate() noimplicitfloat {
  ret ptr addrspace(256) inttoptr (i64 ptrtoint (ptr @osv_gate_block to i64) to ptr addrspace(256))
}
define void @after() sspstrong {
  store i32 1, ptr @counter
  %sum = fadd double 1.0, 2.0
  ret void
}
declare void @other()
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

;--- tls.ll
@counter = thread_local global i32 0
@text = private constant [15 x i8] c"osv.pre_switch\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @root, ptr @text, ptr null, i32 0, ptr null }], section "llvm.metadata"
define i32 @root() noimplicitfloat {
  %value = call i32 @middle()
  ret i32 %value
}
define i32 @middle() noimplicitfloat {
  %value = call i32 @leaf()
  ret i32 %value
}
define i32 @leaf() noimplicitfloat {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @counter)
  %value = load i32, ptr %address
  ret i32 %value
}
declare ptr @llvm.threadlocal.address.p0(ptr)

;--- tls-constant.ll
@table = thread_local global [4 x i32] zeroinitializer
@text = private constant [15 x i8] c"osv.pre_switch\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @root, ptr @text, ptr null, i32 0, ptr null }], section "llvm.metadata"
define i32 @root() noimplicitfloat {
  %value = load i32, ptr getelementptr (i32, ptr @table, i64 2)
  ret i32 %value
}

;--- fs.ll
@text = private constant [15 x i8] c"osv.pre_switch\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @root, ptr @text, ptr null, i32 0, ptr null }], section "llvm.metadata"
define i64 @root() noimplicitfloat {
  %value = load i64, ptr addrspace(257) null
  ret i64 %value
}

;--- gs.ll
@other = external global i64
@text = private constant [15 x i8] c"osv.pre_switch\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @root, ptr @text, ptr null, i32 0, ptr null }], section "llvm.metadata"
define i64 @root() noimplicitfloat {
  %old = atomicrmw add ptr addrspace(256) addrspacecast (ptr @other to ptr addrspace(256)), i64 1 seq_cst
  ret i64 %old
}

;--- fp.ll
@text = private constant [15 x i8] c"osv.pre_switch\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @root, ptr @text, ptr null, i32 0, ptr null }], section "llvm.metadata"
define i64 @root(i64 %value) noimplicitfloat {
  %wide = sitofp i64 %value to double
  %back = bitcast double %wide to i64
  ret i64 %back
}

;--- sse.ll
@text = private constant [15 x i8] c"osv.pre_switch\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @root, ptr @text, ptr null, i32 0, ptr null }], section "llvm.metadata"
define void @root() "target-features"="+fxsr,+sse,+sse2" {
  call void @narrow()
  ret void
}
define void @narrow() "target-features"="+fxsr,-sse,-sse2" {
  ret void
}

;--- guard.ll
@text = private constant [15 x i8] c"osv.pre_switch\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @root, ptr @text, ptr null, i32 0, ptr null }], section "llvm.metadata"
define void @root() sspstrong noimplicitfloat {
  ret void
}

;--- guard-gs.ll
@text = private constant [15 x i8] c"osv.pre_switch\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @root, ptr @text, ptr null, i32 0, ptr null }], section "llvm.metadata"
define void @root() sspstrong noimplicitfloat {
  ret void
}
!llvm.module.flags = !{!0}
!0 = !{i32 1, !"stack-protector-guard-reg", !"gs"}

;--- asm.ll
@text = private constant [15 x i8] c"osv.pre_switch\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @root, ptr @text, ptr null, i32 0, ptr null }], section "llvm.metadata"
define i64 @root() noimplicitfloat {
  %value = call i64 asm "movq %fs:0, $0", "=r,~{dirflag},~{fpsr},~{flags}"()
  ret i64 %value
}

;--- asm-clobber.ll
@text = private constant [15 x i8] c"osv.pre_switch\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @root, ptr @text, ptr null, i32 0, ptr null }], section "llvm.metadata"
define void @root() noimplicitfloat {
  call void asm sideeffect "nop", "~{xmm0},~{dirflag},~{fpsr},~{flags}"()
  ret void
}

;--- extern.ll
@text = private constant [15 x i8] c"osv.pre_switch\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @root, ptr @text, ptr null, i32 0, ptr null }], section "llvm.metadata"
define void @root() noimplicitfloat {
  call void @other()
  ret void
}
declare void @other()

;--- pointer.ll
@text = private constant [15 x i8] c"osv.pre_switch\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @root, ptr @text, ptr null, i32 0, ptr null }], section "llvm.metadata"
define void @root(ptr %callee) noimplicitfloat {
  call void %callee()
  ret void
}

;--- memcpy.ll
define ptr @memcpy(ptr %to, ptr %from, i64 %size) noimplicitfloat {
  %part = load <2 x i64>, ptr %from
  store <2 x i64> %part, ptr %to
  ret ptr %to
}

; SPDX-License-Identifier: BSD-3-Clause
; A function that the program calls gets a wrapper when it may touch FS, and a remark in any case.
; REQUIRES: plugin
; RUN: opt -load-pass-plugin=%plugin -passes=tls-switch,verify -pass-remarks=tls-switch -S %s -o %t.ll 2> %t.remarks
; RUN: FileCheck %s < %t.ll
; RUN: FileCheck %s --check-prefix=REMARK < %t.remarks
; RUN: llc -relocation-model=static %t.ll -o - | FileCheck %s --check-prefix=ASM
; RUN: llc -relocation-model=static -O0 -filetype=obj %t.ll -o %t.o && llvm-readelf -r %t.o | FileCheck %s --check-prefix=SITES
; RUN: not opt -load-pass-plugin=%plugin -passes=tls-switch -disable-output %S/Inputs/tls-switch-varargs.ll 2>&1 \
; RUN:   | FileCheck %s --check-prefix=VARARGS
target triple = "x86_64-unknown-linux-gnu"

; REMARK:     remark: {{.*}}'counted' switches FS: it uses thread-local 'counter', in 'counted', which calls 'bump'
; REMARK:     remark: {{.*}}'pure' needs no switch: nothing that it reaches touches FS
; REMARK:     remark: {{.*}}'guarded' switches FS: it has a stack protector, whose guard is at FS, in 'guarded'
; REMARK:     remark: {{.*}}'outside' switches FS: it calls 'elsewhere', which is defined elsewhere and not annotated osv.pre_switch, in 'outside'
; REMARK:     remark: {{.*}}'trusting' needs no switch
; REMARK-NOT: plain
; VARARGS:    error: tls-switch: 'printed' must switch FS and cannot: it takes a variable number of arguments

@counter = thread_local(localexec) global i64 0
@clock = global i64 0
@entry = private constant [14 x i8] c"osv.app_entry\00"
@safe = private constant [15 x i8] c"osv.pre_switch\00"
@llvm.global.annotations = appending global [6 x { ptr, ptr, ptr, i32, ptr }] [
  { ptr, ptr, ptr, i32, ptr } { ptr @counted, ptr @entry, ptr null, i32 0, ptr null },
  { ptr, ptr, ptr, i32, ptr } { ptr @pure, ptr @entry, ptr null, i32 0, ptr null },
  { ptr, ptr, ptr, i32, ptr } { ptr @guarded, ptr @entry, ptr null, i32 0, ptr null },
  { ptr, ptr, ptr, i32, ptr } { ptr @outside, ptr @entry, ptr null, i32 0, ptr null },
  { ptr, ptr, ptr, i32, ptr } { ptr @trusting, ptr @entry, ptr null, i32 0, ptr null },
  { ptr, ptr, ptr, i32, ptr } { ptr @reviewed, ptr @safe, ptr null, i32 0, ptr null }], section "llvm.metadata"

; Both returns of the body pass the restore; the wrapper itself has no stack protector and claims nothing about memory.
; CHECK-LABEL: define signext i32 @counted(i1 zeroext %quick, ptr noalias %to)
; CHECK-SAME:    [[WRAPPER:#[0-9]+]] {
; CHECK-NEXT:  entry:
; CHECK-NEXT:    %saved.fs = call i64 asm sideeffect ".pushsection .fsgsbase_sites{{.*}}osv_read_fs_base_r11{{.*}}rdfsbase %r11", "={r11},~{memory}{{.*}}"()
; CHECK-NEXT:    %kernel.fs = load i64, ptr addrspace(256) getelementptr inbounds (i8, ptr addrspace(256) addrspacecast (ptr @osv_gate_block to ptr addrspace(256)), i64 48), align 8
; CHECK-NEXT:    call void asm sideeffect ".pushsection .fsgsbase_sites{{.*}}osv_write_fs_base_r11{{.*}}wrfsbase %r11", "{r11},~{memory}{{.*}}"(i64 %kernel.fs)
; CHECK-NEXT:    [[RESULT:%.*]] = call signext i32 @counted.switched(i1 zeroext %quick, ptr noalias %to)
; CHECK-NEXT:    call void asm sideeffect {{.*}}(i64 %saved.fs)
; CHECK-NEXT:    ret i32 [[RESULT]]
; CHECK-NEXT:  }
; ASM-LABEL: {{^}}counted:
; ASM-NOT:     %fs:
; ASM:         rdfsbaseq %r11
; ASM-NOT:     %fs:
; ASM:         movq %gs:osv_gate_block+48(%rip), %r11
; ASM-NOT:     %fs:
; ASM:         wrfsbaseq %r11
; ASM:         callq counted.switched
; ASM-NOT:     %fs:
; ASM:         wrfsbaseq %r11
; ASM:         retq
; Three sites in each of three wrappers.
; SITES:         Relocation section '.rela.fsgsbase_sites' at offset {{.*}} contains 18 entries
define signext i32 @counted(i1 zeroext %quick, ptr noalias %to) memory(argmem: readwrite) {
  br i1 %quick, label %short, label %long
short:
  ret i32 1
long:
  %value = call i64 @bump()
  store i64 %value, ptr %to
  ret i32 2
}

define i64 @bump() {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @counter)
  %value = atomicrmw add ptr %address, i64 1 seq_cst
  ret i64 %value
}

; CHECK-LABEL: define i64 @pure()
; CHECK-NEXT:    %time = load i64, ptr @clock
; CHECK-NEXT:    %block = load i64, ptr addrspace(256)
; CHECK-NEXT:    add
; CHECK-NEXT:    ret i64
define i64 @pure() {
  %time = load i64, ptr @clock
  %block = load i64, ptr addrspace(256) null
  %sum = add i64 %time, %block
  ret i64 %sum
}

; CHECK-LABEL: define void @guarded()
; CHECK-SAME:    [[WRAPPER]] {
; CHECK:         call void @guarded.switched()
; CHECK-NEXT:    call void asm
; CHECK-NEXT:    ret void
define void @guarded() sspstrong {
  ret void
}

; CHECK-LABEL: define void @outside()
; CHECK:         call void @outside.switched()
define void @outside() {
  call void @elsewhere()
  ret void
}

; CHECK-LABEL: define void @trusting()
; CHECK-NEXT:    call void @reviewed()
define void @trusting() {
  call void @reviewed()
  ret void
}

; CHECK-LABEL: define i64 @plain()
; CHECK-NEXT:    call i64 @bump()
define i64 @plain() {
  %value = call i64 @bump()
  ret i64 %value
}

; CHECK-LABEL: define internal signext i32 @counted.switched(i1 zeroext %quick, ptr noalias %to) unnamed_addr
; CHECK:         br i1 %quick
; CHECK-DAG: attributes [[WRAPPER]] = { noredzone }
declare void @elsewhere()
declare void @reviewed()
declare ptr @llvm.threadlocal.address.p0(ptr)

; SPDX-License-Identifier: BSD-3-Clause
; Definitions of every kind go to .ktls, in one piece: zeros and constants too. Declarations become ordinary ones.
; REQUIRES: plugin
; RUN: opt -load-pass-plugin=%plugin -passes=kernel-tls,verify -S %s | FileCheck %s
; RUN: opt -load-pass-plugin=%plugin -passes=kernel-tls %s | llc -relocation-model=static -filetype=obj -o %t.o
; RUN: llvm-readelf -S -s %t.o | FileCheck %s --check-prefix=ELF
target triple = "x86_64-unknown-linux-gnu"

$inline = comdat any

; CHECK-NOT: thread_local
; CHECK:     @ordinary = global i32 1
; CHECK:     @zero = dso_local global i32 0, section ".ktls", align 4
; CHECK:     @value = dso_local global i64 7, section ".ktls"
; CHECK:     @constant = dso_local global i32 9, section ".ktls"
; CHECK:     @hidden = internal global i8 0, section ".ktls"
; CHECK:     @common = weak dso_local global i32 0, section ".ktls"
; CHECK:     @inline = linkonce_odr dso_local global i32 3, section ".ktls", comdat
; CHECK:     @local_exec = dso_local global i32 0, section ".ktls"
; CHECK:     @placed = dso_local global i32 4, section ".ktls.first"
; CHECK:     @elsewhere = external dso_local global i32
; CHECK:     @llvm.used = appending global [1 x ptr] [ptr @zero], section "llvm.metadata"
; CHECK:     @other_name = dso_local alias i64, ptr @value
; ELF:     .ktls PROGBITS {{.*}} WA
; ELF-NOT: {{^ .*}} TLS {{.*[a-z]$}}
@ordinary = global i32 1
@zero = thread_local global i32 0, align 4
@value = thread_local global i64 7
@constant = thread_local constant i32 9
@hidden = internal thread_local global i8 0
@common = common thread_local global i32 0
@inline = linkonce_odr thread_local global i32 3, comdat
@local_exec = thread_local(localexec) global i32 0
@placed = thread_local global i32 4, section ".ktls.first"
@elsewhere = external thread_local global i32
@llvm.used = appending global [1 x ptr] [ptr @zero], section "llvm.metadata"
@other_name = thread_local alias i64, ptr @value

; CHECK-LABEL: define i64 @by_alias()
; CHECK-NEXT:    load i64, ptr addrspace(256) addrspacecast (ptr @other_name to ptr addrspace(256))
define i64 @by_alias() {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @other_name)
  %value = load i64, ptr %address
  ret i64 %value
}

; CHECK-LABEL: define i32 @by_declaration()
; CHECK-NEXT:    load i32, ptr addrspace(256) addrspacecast (ptr @elsewhere to ptr addrspace(256))
define i32 @by_declaration() {
  %address = call ptr @llvm.threadlocal.address.p0(ptr @elsewhere)
  %value = load i32, ptr %address
  ret i32 %value
}

declare ptr @llvm.threadlocal.address.p0(ptr)

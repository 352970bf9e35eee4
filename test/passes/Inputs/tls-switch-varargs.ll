; SPDX-License-Identifier: BSD-3-Clause
@entry = private constant [14 x i8] c"osv.app_entry\00"
@llvm.global.annotations = appending global [1 x { ptr, ptr, ptr, i32, ptr }] [{ ptr, ptr, ptr, i32, ptr } { ptr @printed, ptr @entry, ptr null, i32 0, ptr null }], section "llvm.metadata"
define void @printed(ptr %format, ...) {
  call void @elsewhere()
  ret void
}
declare void @elsewhere()

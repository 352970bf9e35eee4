#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# stub-runtime.sh SOURCE-TREE DIR: makes DIR a --lib-dir whose runtime is test/Inputs/stub-runtime.S.
set -e
mkdir -p "$2"
llvm-mc -triple=x86_64-linux-gnu -filetype=obj "$1/test/Inputs/stub-runtime.S" -o "$2/stub.o"
rm -f "$2/runtime-gs.a"
llvm-ar rcsD "$2/runtime-gs.a" "$2/stub.o"
cp "$2/runtime-gs.a" "$2/runtime-fs.a"
cp "$1/runtime/arch/x64/kernel.ld" "$2/kernel.ld"

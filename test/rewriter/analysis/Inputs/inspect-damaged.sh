#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# inspect-damaged.sh OSV-REWRITE PYTHON MUTATE DIRECTORY COUNT PROGRAM...: COUNT damaged versions of each program must be accepted
# (0) or refused (1), within ten seconds of CPU time and a gigabyte of address space.
tool=$1 python=$2 mutate=$3 directory=$4 count=$5 programs=0
shift 5
ulimit -t 10
ulimit -v 1048576
for program; do
  [ -r "$program" ] || continue
  "$python" "$mutate" "$program" "$directory" "$count" || exit 1
  inspected=0
  for file in "$directory"/*; do
    status=0
    "$tool" --check --report=json "$file" >"$directory.out" 2>&1 || status=$?
    [ $status -le 1 ] || { echo "$program, version $file: status $status"; exit 1; }
    inspected=$((inspected + 1))
  done
  echo "$program: $inspected inspected"
  programs=$((programs + 1))
done
rm -rf "$directory" "$directory.out"
echo "$programs programs"

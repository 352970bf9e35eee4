#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# inspect-all.sh OSV-REWRITE DIRECTORY: every file must be accepted (0) or refused (1), within ten seconds of CPU time.
count=0
ulimit -t 10
for file in "$2"/*; do
  status=0
  "$1" --check --report=json "$file" >"$2.out" 2>&1 || status=$?
  [ $status -le 1 ] || { echo "$file: status $status"; exit 1; }
  count=$((count + 1))
done
echo "$count inspected"

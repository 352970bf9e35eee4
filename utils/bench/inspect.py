#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures `osv-rewrite --check` over programs of different size: utils/bench/inspect.py [--runs N] OSV-REWRITE PROGRAM...

Prints the best wall-clock time of N runs (default 5), the CPU time and the memory of that run, and CPU time for each instruction
that was proven: when that stays level, the time is linear in the size of the code.
"""
import json
import os
import subprocess
import sys
import time

arguments = sys.argv[1:]
runs = 5
if arguments[0] == "--runs":
    runs = int(arguments[1])
    arguments = arguments[2:]
tool, programs = arguments[0], arguments[1:]
print("%-28s %8s %12s %8s %8s %8s %8s" % ("program", "MB", "instructions", "wall s", "CPU s", "RSS MB", "ns/insn"))
for program in sorted(programs, key=os.path.getsize):
    report = json.loads(subprocess.run([tool, "--check", "--report=json", program], capture_output=True).stdout)
    instructions = report["code_coverage"]["instructions"]
    best = None
    for _ in range(runs):
        start = time.monotonic()
        child = subprocess.Popen([tool, "--check", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        child.returncode = 0
        if best is None or wall < best[0]:
            best = (wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
    wall, cpu, memory = best
    print(
        "%-28s %8.1f %12d %8.3f %8.3f %8.1f %8.1f"
        % (
            os.path.basename(program),
            os.path.getsize(program) / 1e6,
            instructions,
            wall,
            cpu,
            memory / 1024,
            cpu * 1e9 / instructions,
        )
    )

# SPDX-License-Identifier: BSD-3-Clause
"""truncate.py TOOL PROGRAM DIR: runs TOOL --check over PROGRAM cut at every boundary of its ELF structures (and one byte before)."""
import os
import struct
import subprocess
import sys

tool, program, directory = sys.argv[1:]
data = open(program, "rb").read()
phoff, shoff = struct.unpack_from("<QQ", data, 32)
phnum, _, shnum = struct.unpack_from("<HHH", data, 56)
cuts = {0, 3, 4, 5, 16, 24, 32, 40, 52, 64}
for i in range(phnum + 1):
    cuts.add(phoff + 56 * i)
for i in range(phnum):
    offset, _, _, size = struct.unpack_from("<QQQQ", data, phoff + 56 * i + 8)
    cuts |= {offset, offset + size}
for i in range(shnum + 1):
    cuts.add(shoff + 64 * i)
cuts |= {c - 1 for c in cuts}
cut = os.path.join(directory, "cut")
for size in sorted(c for c in cuts if 0 <= c < len(data)) + [len(data)]:
    with open(cut, "wb") as out:
        out.write(data[:size])
    done = subprocess.run([tool, "--check", cut], capture_output=True, text=True)
    name = "whole" if size == len(data) else size
    if done.returncode == 1:
        line = next(l for l in done.stderr.splitlines() if ": error: " in l)
        print(f"refused: {name}: {line.split(': error: ')[1]}")
    else:
        assert done.returncode == 0, (size, done)
        print(f"accepted: {name}")

# SPDX-License-Identifier: BSD-3-Clause
"""pointers.py IMAGE: compares the two words at `pointer` of exit.s with the addresses they should hold."""
import struct
import subprocess
import sys

data = open(sys.argv[1], "rb").read()
phoff = struct.unpack_from("<Q", data, 32)[0]
loads = [struct.unpack_from("<IIQQQQQQ", data, phoff + 56 * i) for i in range(struct.unpack_from("<H", data, 56)[0])]
names = {}
for line in subprocess.check_output(["llvm-nm", sys.argv[1]], text=True).splitlines():
    names[line.split()[2]] = int(line.split()[0], 16)
at = next(l[2] + names["pointer"] - l[3] for l in loads if l[0] == 1 and l[3] <= names["pointer"] < l[3] + l[5])
words = struct.unpack_from("<2Q", data, at)
for i, name in enumerate(["_start", "pointer"]):
    print(f"pointer[{i}] - {name} = {words[i] - names[name]:#x}")

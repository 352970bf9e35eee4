# SPDX-License-Identifier: BSD-3-Clause
"""cpio.py IMAGE: lists the newc archive in IMAGE: mode, name, size, and the contents and time of small files and links."""
import sys

data = open(sys.argv[1], "rb").read()
at = data.index(b"070701000000")
name = ""
while name != "TRAILER!!!":
    assert data[at : at + 6] == b"070701"
    fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
    mode, mtime, size, name_size = fields[1], fields[5], fields[6], fields[11]
    name = data[at + 110 : at + 110 + name_size - 1].decode()
    body = at + (110 + name_size + 3) // 4 * 4
    text = data[body : body + size].decode().strip()
    print(f"{mode:06o} {name} {size} {text}" + (f" @{mtime}" if mode >> 12 == 8 else ""))
    at = body + (size + 3) // 4 * 4

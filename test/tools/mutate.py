#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""mutate.py PROGRAM DIRECTORY [COUNT [SEED]]: writes damaged versions of a program: truncated ones, and ones with bytes changed
in the headers, the tables that lead to code (.eh_frame, .gcc_except_table, .gopclntab, relocations) and the code itself."""
import os
import random
import shutil
import struct
import sys

INTERESTING = [0, 1, 0x7F, 0x80, 0xFF]


def hot_ranges(data):
    """File ranges whose damage matters most."""
    ranges = [(0, min(len(data), 4096))]
    shoff, count, names = struct.unpack_from("<Q", data, 40)[0], *struct.unpack_from("<HH", data, 60)
    if shoff + 64 * count > len(data) or not count:
        return ranges
    ranges.append((shoff, shoff + 64 * count))
    strings = struct.unpack_from("<Q", data, shoff + 64 * names + 24)[0]
    for i in range(count):
        name, kind, _, _, offset, size = struct.unpack_from("<IIQQQQ", data, shoff + 64 * i)
        text = data[strings + name : data.index(b"\0", strings + name)]
        wanted = (b".eh_frame", b".gcc_except_table", b".gopclntab", b".rela.plt", b".init_array", b".text", b".rodata")
        if kind != 8 and text.startswith(wanted) and size:
            ranges.append((offset, offset + min(size, 1 << 20)))
    return ranges


def main():
    program, directory = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 40
    chance = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    data = open(program, "rb").read()
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    ranges = hot_ranges(data)
    for i in range(count):
        if i % 4 == 0:
            copy = bytearray(data[: chance.randrange(len(data))])
        else:
            copy = bytearray(data)
            for _ in range(chance.choice([1, 8, 200, 5000])):
                begin, end = chance.choice(ranges)
                at = chance.randrange(begin, end)
                copy[at] = chance.choice(INTERESTING + [chance.randrange(256)])
        open(os.path.join(directory, "%03d" % i), "wb").write(copy)


main()

# SPDX-License-Identifier: BSD-3-Clause
"""poke.py FILE COPY WHERE BIT: makes COPY of FILE with one bit flipped: of the program's text "the program's data" for WHERE 1, else WHERE bytes
before the end of the file."""
import sys

name, copy, where, bit = sys.argv[1:]
data = bytearray(open(name, "rb").read())
at = data.index(b"the program's data") if where == "1" else len(data) + int(where)
data[at] ^= 1 << int(bit)
open(copy, "wb").write(data)

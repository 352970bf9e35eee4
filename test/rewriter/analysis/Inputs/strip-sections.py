# SPDX-License-Identifier: BSD-3-Clause
"""Copies an ELF program without its section headers, as sstrip does: strip-sections.py FROM TO"""
import sys

data = bytearray(open(sys.argv[1], "rb").read())
data[40:48] = bytes(8)  # e_shoff
data[60:64] = bytes(4)  # e_shnum, e_shstrndx
open(sys.argv[2], "wb").write(data)

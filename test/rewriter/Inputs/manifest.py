# SPDX-License-Identifier: BSD-3-Clause
"""manifest.py IMAGE: prints the manifest of an image, read through its program headers as the kernel would (runtime/abi/Image.h)."""
import struct
import sys

data = open(sys.argv[1], "rb").read()
phoff = struct.unpack_from("<Q", data, 32)[0]
loads = [struct.unpack_from("<IIQQQQQQ", data, phoff + 56 * i) for i in range(struct.unpack_from("<H", data, 56)[0])]
loads = [l for l in loads if l[0] == 1]


def offset(address):
    for _, _, off, vaddr, _, filesz, _, _ in loads:
        if vaddr <= address < vaddr + filesz:
            return off + address - vaddr
    raise ValueError(hex(address))


def u64(address, count=1):
    return struct.unpack_from(f"<{count}Q", data, offset(address))


def string(address):
    at = offset(address)
    return data[at : data.index(0, at)].decode()


header = next(l[3] + i for l in loads for i in [data[l[2] : l[2] + l[5]].find(b"OSVIMAGE\1")] if i >= 0)
version, size = struct.unpack_from("<II", data, offset(header) + 8)
assert size == 264
entry, phdr, counts, bias, brk, limit, stack, flags = u64(header + 16, 8)
start, end = u64(header + 120 - 8, 2)
tables = {}
for i, name in enumerate(["segments", "argv", "envp", "rootfs", "stubs", "traps"]):
    tables[name] = u64(header + 128 + 16 * i, 2)
print(f"version {version}, entry {entry:#x}, tls {flags >> 32}")
print(f"brk {brk:#x} to {limit:#x}, bias {bias:#x}, stack {stack:#x}")
print(f"phdr {phdr:#x}, {counts >> 32} of {counts & 0xffffffff} bytes")
print(f"physical {start:#x} to {end:#x}")
for i in range(tables["segments"][1]):
    vaddr, paddr, filesz, memsz, seg_flags = u64(tables["segments"][0] + 40 * i, 5)
    print(f"segment {vaddr:#x} +{filesz:#x}/{memsz:#x} flags {seg_flags} at {paddr:#x}")
for name in ("argv", "envp"):
    address, count = tables[name]
    print(name, [string(a) for a in (u64(address, count) if count else [])])
print("exec", string(u64(header + 128 + 16 * 6)[0]))

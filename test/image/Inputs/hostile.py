#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Damages the manifest of an image field by field and boots it: hostile.py OSV-RUN IMAGE WORK

A damaged image may not run, but it must say so: a panic with its reason, or the end of the program by a signal. It may not
hang, and a wrong word that the kernel never looks at must change nothing.
"""
import struct
import subprocess
import sys

osv_run, image, work = sys.argv[1:]
data = open(image, "rb").read()
base = data.index(b"OSVIMAGE" + struct.pack("<II", 1, 264))
# runtime/abi/Image.h: struct ImageHeader
WORDS = "magic version_size entry phdr phent_phnum loadBias brkStart brkLimit stackSize exec_tls tlsImage tlsFilesz tlsMemsz tlsAlign " \
    "imageStart imageEnd segments segmentCount argv argc envp envc rootfs rootfsSize stubs stubCount traps trapCount execName".split()


def boot(name, offset, value):
    damaged = bytearray(data)
    struct.pack_into("<Q", damaged, offset, value & (1 << 64) - 1)
    with open(work, "wb") as out:
        out.write(damaged)
    done = subprocess.run([osv_run, work, "--timeout", "60"], stdin=subprocess.DEVNULL, capture_output=True)
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
    ok = done.returncode in (70, 71) or done.returncode > 128 or (done.returncode, done.stdout, done.stderr) == want
    print(f"{'ok' if ok else 'WRONG'}: {name} = {value:#x}: status {done.returncode}, {last[0]}", flush=True)
    return ok


whole = subprocess.run([osv_run, image], stdin=subprocess.DEVNULL, capture_output=True)
want = (whole.returncode, whole.stdout, whole.stderr)
assert want[0] == 0, want
good = True
for index, name in enumerate(WORDS):
    (old,) = struct.unpack_from("<Q", data, base + 8 * index)
    for value in sorted({0, (1 << 64) - 1, old + 4096} - {old}):
        good &= boot(name, base + 8 * index, value)
sys.exit(not good)

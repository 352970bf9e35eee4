#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs an image under --icount and checks that interrupts hit every instruction of the gates that they can hit.

    coverage.py OSV-RUN IMAGE WHAT [osv-run's options] [-- the program's arguments]

WHAT is nmi:ENTRY (non-maskable interrupts: everything between osv_gates_start and osv_gates_end), timer:ENTRY (what runs with interrupts
on), or - (nothing is checked). ENTRY, osv_gate_direct or osv_gate_syscall, is the gate that the image's calls come through. The program gets
the addresses of some kernel symbols as arguments. QEMU's log (-d int) says where each interrupt came. Prints the program's output; ends with
status 1, and the instructions on standard error, when some were missed.
"""
import os
import re
import subprocess
import sys
import tempfile
import threading

# Ranges, by the symbol that they begin with, that an interrupt of the kind cannot find running.
MISSED = {
    "nmi": {
        "osv_program_start": "the first instructions of a new thread, which is not the one that asks for the interrupt",
        "osv_enter_program": "runs once, before the program",
        "osv_paranoid_entry": "NMIs are blocked until its iretq",
    },
    "timer": {
        "osv_no_number": "not among the calls of sweep.c",
        "osv_slow_exit": "runs after an interrupt, and the next one is not yet armed",
        "osv_frame_exit": "interrupts are off, but for two instructions",
        "osv_program_start": "interrupts are off",
        "osv_enter_program": "interrupts are off",
        "osv_interrupt_entry": "interrupts are off",
        "osv_paranoid_entry": "interrupts are off",
    },
}
OTHER_GATE = {"osv_gate_direct": "osv_gate_syscall", "osv_gate_syscall": "osv_gate_direct"}
GIVEN = {"osv_nmis": "osv_nmis", "osv_vectors": "osv_vectors", "osv_gate_block": "osv_gate_block",
         "osv_write_fs_base_r11_end": "osv_write_fs_base_r11_end", "apic": "_ZN3osv4arch12_GLOBAL__N_14apicE"}


def symbols(image):
    lines = subprocess.run(["llvm-nm", image], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    fields = [line.split() for line in lines]
    return {f[2]: int(f[0], 16) for f in fields if len(f) == 3}


def instructions(image, table):
    """(address, text, label) of each instruction of the gates but padding; the label is the last one before it."""
    start, end = table["osv_gates_start"], table["osv_gates_end"]
    labels = sorted((a, n) for n, a in table.items() if start <= a < end and n.startswith("osv_") and n != "osv_gates_start")
    text = subprocess.run(["llvm-objdump", "-d", "--no-show-raw-insn", f"--start-address={start}", f"--stop-address={end}", image],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*([0-9a-f]+):\s+(\S.*)", line)
        if match and not re.match(r"(cs\s+)?nop|int3|xchgw\s+%ax, %ax|ud2", match[2]):
            address = int(match[1], 16)
            found.append((address, match[2], [n for a, n in labels if a <= address][-1]))
    return found


def hits(log, vectors, where):
    for line in open(log, errors="replace"):
        match = re.match(r"\s*\d+: v=([0-9a-f]{2}) .* IP=[0-9a-f]+:([0-9a-f]+)", line)
        if match and match[1] in vectors:
            where.add(int(match[2], 16))


def main():
    run, image, what, *rest = sys.argv[1:]
    options, arguments = (rest[:rest.index("--")], rest[rest.index("--") + 1:]) if "--" in rest else (rest, [])
    kind, _, entry = what.partition(":")
    table = symbols(image)
    arguments += [f"{name}={table[symbol]:#x}" for name, symbol in GIVEN.items() if symbol in table]
    where = set()
    with tempfile.TemporaryDirectory() as directory:
        log = os.path.join(directory, "log")
        command = [run, image, "--icount", "--timeout", "600", *options]
        if kind != "-":
            os.mkfifo(log)
            command += ["--qemu-arg=-d", "--qemu-arg=int", "--qemu-arg=-D", f"--qemu-arg={log}"]
            reader = threading.Thread(target=hits, args=(log, {"nmi": ["02"], "timer": ["f0"]}[kind], where), daemon=True)
            reader.start()
        status = subprocess.run([*command, "--", *arguments]).returncode
    if kind == "-" or status:
        return status
    reader.join()
    excused = set(MISSED[kind]) | {OTHER_GATE[entry]}
    ran = [i for i in instructions(image, table) if i[2] not in excused]
    missed = [i for i in ran if i[0] not in where]
    for address, text, label in missed:
        print(f"never hit: {address:x} in {label}: {text}", file=sys.stderr)
    print(f"{len(ran) - len(missed)} of {len(ran)} instructions hit, after {entry}", file=sys.stderr)
    return 1 if missed or len(ran) < 20 else 0


sys.exit(main())

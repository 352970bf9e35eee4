# SPDX-License-Identifier: BSD-3-Clause
"""Runs a program under strace and holds each system call against the inspection: the call's address must be a known site,
and its number one that the site can have.

    strace-sites.py OSV-REWRITE PROGRAM ARGS...
"""
import json
import re
import subprocess
import sys
import tempfile

tool, command = sys.argv[1], sys.argv[2:]
report = json.loads(subprocess.run([tool, "--check", "--report=json", command[0]], capture_output=True).stdout)
sites = {int(site["address"], 16): site for site in report["syscall_sites"]}
numbers = {use["number"] for use in report["syscalls"]["numbers"]}
with tempfile.NamedTemporaryFile("r") as log:
    run = ["strace", "-f", "-n", "-i", "-o", log.name] + command
    subprocess.run(run, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = log.read().splitlines()
seen, wrong = set(), []
inside = {}  # process: whether it still runs this program
for line in lines:
    match = re.match(r"(\d+) +\[ *(\d+)\] \[([0-9a-f]+)\] (\w+)\((.*)", line)
    if not match:
        continue
    process, number, address, name = match[1], int(match[2]), int(match[3], 16) - 2, match[4]
    if name == "execve":  # the first is strace's own; another replaces the program
        inside[process] = process not in inside and not inside
        continue
    if inside.get(process) is False:
        continue
    seen.add((address, number))
    site = sites.get(address)
    if site is None:
        wrong.append("%s at 0x%x is no known site" % (name, address))
    elif number not in site["numbers"] and site["complete"]:
        wrong.append("%s(%d) at 0x%x, which can only be %s" % (name, number, address, site["numbers"]))
    elif number not in numbers and report["syscalls"]["complete"]:
        wrong.append("%s(%d) is not in the program's numbers" % (name, number))
for text in sorted(set(wrong)):
    print("FAIL:", text)
known = sum(number in sites[address]["numbers"] for address, number in seen if address in sites)
print("%d different calls, %d with a known number: %s" % (len(seen), known, "FAIL" if wrong else "ok"))
sys.exit(bool(wrong))

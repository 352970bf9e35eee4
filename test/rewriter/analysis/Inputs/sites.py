# SPDX-License-Identifier: BSD-3-Clause
"""Prints the system calls of a JSON report, one site a line, in the order of their addresses."""
import json
import sys

report = json.load(open(sys.argv[1]))
for site in report["syscall_sites"]:
    numbers = " ".join(str(n) for n in site["numbers"]) or "-"
    print(
        "%s: %s %s%s"
        % (
            site["function"],
            numbers,
            "complete" if site["complete"] else "incomplete",
            " wrapper" if site["wrapper"] else "",
        )
    )
    single = site["numbers"][0] if site["complete"] and len(site["numbers"]) == 1 else None
    assert site["number"] == single, site
uses = report["syscalls"]["numbers"]
print("uses:", *[use["number"] for use in uses])
for use in uses:
    if use["chain"]:
        print("chain of %d: %s" % (use["number"], " < ".join(call["function"] for call in use["chain"])))

# SPDX-License-Identifier: BSD-3-Clause
"""Inspects real programs and compares with what is known about them.

    corpus.py OSV-REWRITE [--own PROGRAM NAME]... [--slow DIR]

Prints a line for each program of the table that is there; a package that is not installed is named and passed over. Of
the Debian packages the numbers are those of Debian 12, so that another version of a package is reported as such.
"""
import json
import os
import resource
import subprocess
import sys
import time

# Name: (path, package, verdict, system-call sites, least share of the executable bytes that must be proven). The numbers of
# sites were counted with another disassembler, by hand where it was wrong. None: not known.
PROGRAMS = {
    "busybox": ("/bin/busybox", "busybox-static", "accept", 284, 0.94),
    "bash": ("/bin/bash-static", "bash-static", "accept", 191, 0.99),
    "zsh": ("/bin/zsh-static", "zsh-static", "accept", 210, 0.99),
    "sash": ("/bin/sash", "sash", "accept", 184, 0.99),
    "tini": ("/usr/bin/tini-static", "tini", "accept", 113, 0.99),
    "e2fsck": ("/sbin/e2fsck.static", "e2fsck-static", "accept", 236, 0.99),
    "gpgv": ("/usr/bin/gpgv-static", "gpgv-static", "accept", 177, 0.99),
    "dar": ("/usr/bin/dar_static", "dar-static", "accept", 239, 0.99),
    "gosu": ("/usr/sbin/gosu", "gosu", "accept", 44, 0.99),
    "shfmt": ("/usr/bin/shfmt", "shfmt", "accept", 43, 0.99),
    "gojq": ("/usr/bin/gojq", "gojq", "accept", 43, 0.99),
    "runsc": ("/usr/bin/runsc", "runsc", "reject", 55, 0.99),
}
SLOW = {
    "qemu": ("usr/bin/qemu-x86_64-static", "qemu-user-static", "accept", 391, 0.99),
    "kubectl": ("usr/bin/kubectl", "kubernetes-client", "accept", 47, 0.99),
    "esbuild": ("esbuild", "@esbuild/linux-x64", "accept", None, 0.99),
    "biome": ("biome", "@biomejs/cli-linux-x64-musl", "accept", None, 0.99),
}
OWN = {"hello-glibc": ("accept", 101, 0.98), "hello-go": ("accept", 43, 0.99), "hello-musl": ("accept", None, 0.95)}
# The one program to be refused: where, and why.
REASONS = {
    "runsc": {
        ("gs-use", "gvisor.dev/gvisor/pkg/ring0.sysenter"),
        ("gs-use", "gvisor.dev/gvisor/pkg/ring0.wrgsbase"),
        ("iret", "gvisor.dev/gvisor/pkg/ring0.iret"),
        ("privileged-instruction", "gvisor.dev/gvisor/pkg/ring0.doSwitchToUser"),
        ("privileged-instruction", "gvisor.dev/gvisor/pkg/ring0.sysret"),
    }
}


def check(tool, name, path, verdict, sites, share):
    start = time.monotonic()
    done = subprocess.run([tool, "--check", "--report=json", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seconds = time.monotonic() - start
    wrong = []
    if done.returncode not in (0, 1):
        print("%s: FAIL: status %d: %s" % (name, done.returncode, done.stderr.decode(errors="replace")))
        return False
    report = json.loads(done.stdout)
    if report["verdict"] != verdict:
        wrong.append("verdict %s" % report["verdict"])
        wrong += [d["message"] for d in report["diagnostics"] if d["severity"] == "error"]
    if (done.returncode == 1) != (verdict == "reject"):
        wrong.append("status %d" % done.returncode)
    found = len(report["syscall_sites"])
    if sites is not None and found != sites:
        wrong.append("%d sites instead of %d" % (found, sites))
    if any(not site["proven"] for site in report["syscall_sites"]):
        wrong.append("sites that are not proven")
    setters = {s["address"] for s in report["thread_pointer"] if s["kind"] == "arch_prctl(ARCH_SET_FS)"}
    if len(setters) != 1:
        wrong.append("%d places set the thread pointer: %s" % (len(setters), ", ".join(sorted(setters))))
    if report["code_coverage"]["share"] < share:
        wrong.append("only %.4f proven" % report["code_coverage"]["share"])
    reasons = {(d["id"], d["function"]) for d in report["diagnostics"] if d["severity"] == "error"}
    if not REASONS.get(name, set()) <= reasons:
        wrong.append("not found: %s" % sorted(REASONS[name] - reasons))
    if any(d["function"] is None for d in report["diagnostics"] if d["severity"] == "error"):
        wrong.append("an error without a function")
    for text in wrong:
        print("%s: FAIL: %s" % (name, text))
    if not wrong:
        print("%s: ok: %s, %d sites, %.2f %% proven" % (name, verdict, found, 100 * report["code_coverage"]["share"]))
    print("%s: %.3f s" % (name, seconds), file=sys.stderr)
    return not wrong


def main():
    tool, rest = sys.argv[1], sys.argv[2:]
    good = True
    programs = PROGRAMS
    if rest and rest[0] == "--slow":
        programs = {name: (os.path.join(rest[1], row[0]),) + row[1:] for name, row in SLOW.items()}
        rest = rest[2:]
    elif rest:
        programs = {}
    while rest:
        name, path = rest[:2]
        good &= check(tool, name, path, *OWN[name])
        rest = rest[2:]
    for name, (path, package, verdict, sites, share) in programs.items():
        if os.path.exists(path):
            good &= check(tool, name, path, verdict, sites, share)
        else:
            print("%s: not installed (%s)" % (name, package))
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print("largest memory of a run: %d MB" % (usage.ru_maxrss // 1024), file=sys.stderr)
    print("corpus: %s" % ("good" if good else "FAIL"))
    return not good


sys.exit(main())

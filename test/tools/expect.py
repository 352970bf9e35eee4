#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs a command and checks its status, stdout and stderr, byte for byte.

expect.py [--status N] [--stdin FILE] [--stdout TEXT | --stdout-file FILE | --stdout-to FILE] [--stderr TEXT]
          [--save-stderr FILE] -- COMMAND...
TEXT takes Python's escapes. What is not named is not checked (and shown when the check fails).
"""
import argparse
import signal
import subprocess
import sys


def unescape(text):
    return text.encode("utf-8").decode("unicode_escape").encode("latin-1")


def show(name, got, want):
    if got == want:
        return False
    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    print(f"{name}: {len(got)} bytes, expected {len(want)}; first difference at byte {at}")
    print(f"  got      {got[max(0, at - 20) : at + 60]!r}")
    print(f"  expected {want[max(0, at - 20) : at + 60]!r}")
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--status", type=int)
    parser.add_argument("--stdin")
    parser.add_argument("--stdout")
    parser.add_argument("--stdout-file")
    parser.add_argument("--stdout-to")
    parser.add_argument("--stderr")
    parser.add_argument("--save-stderr")
    at = sys.argv.index("--")
    args = parser.parse_args(sys.argv[1:at])
    # lit's workers ignore SIGINT, nohup and a shell's background jobs others, and the command would inherit that: osv-run
    # hands it on to the program.
    for number in signal.SIGHUP, signal.SIGINT, signal.SIGQUIT:
        signal.signal(number, signal.SIG_DFL)
    done = subprocess.run(
        sys.argv[at + 1 :],
        stdin=open(args.stdin, "rb") if args.stdin else subprocess.DEVNULL,
        stdout=open(args.stdout_to, "wb") if args.stdout_to else subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    bad = False
    if args.status is not None and done.returncode != args.status:
        print(f"status {done.returncode}, expected {args.status}")
        bad = True
    if args.stdout is not None:
        bad |= show("stdout", done.stdout, unescape(args.stdout))
    if args.stdout_file:
        with open(args.stdout_file, "rb") as file:
            bad |= show("stdout", done.stdout, file.read())
    if args.stderr is not None:
        bad |= show("stderr", done.stderr, unescape(args.stderr))
    if args.save_stderr:
        with open(args.save_stderr, "wb") as file:
            file.write(done.stderr)
    if bad:
        print("stderr was: " + done.stderr.decode("utf-8", "replace"))
    return bad


sys.exit(main())

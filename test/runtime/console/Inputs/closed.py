#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Closes the reading end of a program's output, natively and in the image. closed.py OSV-RUN PROGRAM IMAGE"""
import signal
import subprocess
import sys


def run(command, close, ignored=()):
    def prepare():
        for number in range(1, 32):
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    job = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=prepare,
        restore_signals=False,
    )
    if close:
        job.stdout.read(10)
        job.stdout.close()
    out = b"" if close else job.stdout.read()
    err = job.stderr.read()
    status = job.wait()
    return status if status >= 0 else 128 - status, out, err


osv_run, program, image = sys.argv[1:]
for arguments, close, ignored in (
    (["die"], True, ()),
    (["ignore"], True, ()),
    (["die"], True, (signal.SIGPIPE,)),
    (["poll"], True, ()),
    (["ignored"], False, ()),
    (["ignored"], False, (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGHUP)),
):
    got = run([osv_run, image, "--", *arguments], close, ignored)
    want = run([program, *arguments], close, ignored)
    assert got == want, f"{arguments}, {ignored}:\n  image    {got!r}\n  natively {want!r}"
    print(arguments, want)

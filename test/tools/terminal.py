#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs busybox applets on a pseudo-terminal natively and as an image, types the same keys, and compares what the terminal showed
and the status. terminal.py OSV-REWRITE OSV-RUN DIRECTORY

Keys are sent when the text that a user would wait for has appeared, never after a time.
"""
import fcntl
import os
import pty
import subprocess
import sys
import termios

# (arguments, [(text to wait for, keys to send)]): the empty text waits for nothing
CASES = [
    (["cat"], [("", b"one\n"), (b"one\r\none\r\n", b"two\x7fo\x15three\n"), (b"three\r\nthree\r\n", b"\x04")]),
    (["cat"], [("", b"half"), (b"half", b"\x04"), (b"halfhalf", b"\x04")]),
    (["cat"], [("", b"ready\n"), (b"ready\r\nready\r\n", b"\x03")]),
    (["stty", "size"], []),
]


def run(command, executable, keys):
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (33, 77))
    process = subprocess.Popen(
        command,
        executable=executable,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={"PATH": os.environ["PATH"]} if executable is None else {},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    shown, keys = b"", list(keys)
    # osv-run hands the line discipline to the guest when it starts: what is typed before that would be edited here.
    while executable is None and termios.tcgetattr(slave)[3] & termios.ICANON and process.poll() is None:
        pass
    os.close(slave)
    while True:
        while keys and (not keys[0][0] or shown.endswith(keys[0][0])):
            os.write(master, keys.pop(0)[1])
        try:
            piece = os.read(master, 4096)
        except OSError:  # EIO: the last one closed the terminal
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    status = process.wait()
    return shown, status if status >= 0 else 128 - status


def main():
    rewrite, osv_run, directory = sys.argv[1:4]
    os.makedirs(directory, exist_ok=True)
    program = os.path.join(directory, "busybox")
    image = program + ".img"
    subprocess.run(["cp", "/bin/busybox", program], check=True)
    subprocess.run([rewrite, program, "-o", image], check=True, stderr=subprocess.DEVNULL)
    bad = 0
    for arguments, keys in CASES:
        want = run(["busybox"] + arguments, program, keys)
        got = run([osv_run, image, "--timeout", "300", "--"] + arguments, None, keys)
        if got != want:
            bad += 1
            print(f"DIFFERENT: busybox {' '.join(arguments)}, keys {keys}\n  image    {got}\n  natively {want}")
    print(f"terminal: {len(CASES) - bad} agreed, {bad} different")
    return bad != 0


sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What osv-run does while it runs: signals, blocked streams, terminals. interactive.py CASE OSV-RUN STUB-IMAGE

Every case waits for bytes from the guest, never for time, and fails by an assertion; lit's time limit ends a hang.
"""
import os
import pty
import signal
import subprocess
import sys
import termios

PIPE = subprocess.PIPE


def start(*args, **options):
    return subprocess.Popen([sys.argv[2], sys.argv[3], *args], **options)


def equal(got, want):
    assert got == want, f"got {got!r}, expected {want!r}"


def signals():
    guest = start("--", "wait", stdin=PIPE, stdout=PIPE)
    equal(guest.stdout.readline(), b"ready\n")
    guest.send_signal(signal.SIGUSR1)
    equal(guest.stdout.readline(), b"signal 10\n")
    guest.send_signal(signal.SIGINT)
    equal(guest.stdout.readline(), b"signal 02\n")
    equal(guest.wait(), 0)


def second_kills():
    guest = start("--", "hang", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    equal(guest.stdout.readline(), b"ready\n")
    guest.send_signal(signal.SIGTERM)
    # The first is only handed on. The second may be merged with it while the first is pending, so send until it ends.
    while guest.poll() is None:
        guest.send_signal(signal.SIGTERM)
    equal(guest.stderr.read(), b"osv-run: killed the machine\n")
    equal(guest.returncode, 128 + signal.SIGTERM)


def output_flows():
    """The guest does not read its input: a megabyte waits there, while output and signals still move."""
    guest = start("--", "deaf", stdin=open("/dev/zero", "rb"), stdout=PIPE, stderr=PIPE)
    equal(guest.stdout.readline(), b"ready\n")
    while guest.poll() is None:
        guest.send_signal(signal.SIGINT)
    equal(guest.returncode, 128 + signal.SIGINT)


def broken_pipe():
    """Nobody reads stdout any more: the guest is told."""
    guest = start("--", "wait", stdin=PIPE, stdout=PIPE)
    equal(guest.stdout.readline(), b"ready\n")
    guest.stdout.close()
    guest.send_signal(signal.SIGUSR1)  # makes it write; that fails; it hears of it
    equal(guest.wait(), 6)


def terminal():
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    termios.tcsetwinsize(slave, (33, 77))
    guest = start("--", "wait", stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                  preexec_fn=lambda: __import__("fcntl").ioctl(0, termios.TIOCSCTTY, 0))
    text = b""
    while not text.endswith(b"ready\n"):
        text += os.read(master, 100)
    during = termios.tcgetattr(slave)
    assert not during[3] & (termios.ICANON | termios.ECHO), "the terminal is not in character mode"
    assert not during[1] & termios.OPOST, "the guest's CR LF would become CR CR LF"
    assert not during[3] & termios.ISIG, "Ctrl-C would not reach the guest's line discipline"
    guest.send_signal(signal.SIGUSR1)
    while not text.endswith(b"signal 10\n"):
        text += os.read(master, 100)
    guest.send_signal(signal.SIGINT)
    equal(guest.wait(), 0)
    equal(termios.tcgetattr(slave), before)
    shown = start("--", "cmdline", stdin=slave, stdout=PIPE, stderr=PIPE)
    equal(shown.communicate()[0], b"osv.console=mux osv.tty=1 osv.winsize=33x77 osv.args=cmdline\n")


def closed_descriptors():
    guest = subprocess.run(["sh", "-c", 'exec "$0" "$1" <&- >&- 2>&-', sys.argv[2], sys.argv[3]])
    equal(guest.returncode, 42)


# lit's workers ignore SIGINT, nohup and a shell's background jobs others, and what they start inherits that; osv-run
# would hand it on to the program.
for number in signal.SIGHUP, signal.SIGINT, signal.SIGQUIT:
    signal.signal(number, signal.SIG_DFL)
globals()[sys.argv[1].replace("-", "_")]()

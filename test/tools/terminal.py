#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Types at a program on a pseudo-terminal, natively and in the image, and compares screens and statuses.

terminal.py OSV-RUN PROGRAM IMAGE CASE...

The program runs in a session of its own, whose leader does what a shell does: the program is a foreground job, a stopped
one is put into the background and back. Every key waits for what the one before brings to the screen: nothing here
depends on time, and lit's time limit ends a hang.
"""
import fcntl
import os
import pty
import select
import signal
import sys
import termios


class Job:
    """A program on a terminal of 33 by 77."""

    def __init__(self, command, changes_mode):
        self.changes_mode = changes_mode
        self.screen = b""
        self.seen = 0
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (33, 77))
        self.before = termios.tcgetattr(self.slave)
        self.orders_out, self.orders = os.pipe()
        self.news, news_in = os.pipe()
        self.leader = os.fork()
        if self.leader == 0:
            try:
                self.lead(command, self.orders_out, news_in)
            finally:
                os._exit(111)
        os.close(news_in)

    def lead(self, command, orders, news):
        """The session's leader: never returns."""
        os.setsid()
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        job = os.fork()
        if job == 0:
            os.setpgid(0, 0)
            os.tcsetpgrp(self.slave, os.getpgrp())
            # lit's workers ignore SIGINT, and so would the program.
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTTOU):
                signal.signal(number, signal.SIG_DFL)
            for fd in (0, 1, 2):
                os.dup2(self.slave, fd)
            os.closerange(3, 100)
            os.execv(command[0], command)
        while True:
            status = os.waitpid(job, os.WUNTRACED)[1]
            os.tcsetpgrp(self.slave, os.getpgrp())
            if not os.WIFSTOPPED(status):
                os.write(news, bytes([os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)]))
                os._exit(0)
            os.write(news, b"\xff")
            os.read(orders, 1)
            os.tcsetpgrp(self.slave, job)
            os.killpg(job, signal.SIGCONT)

    def expect(self, text):
        """Waits for `text` on the screen, after what was waited for before."""
        while True:
            at = self.screen.find(text, self.seen)
            if at >= 0:
                self.seen = at + len(text)
                return
            ready = select.select([self.master, self.news], [], [])[0]
            assert self.master in ready, f"the job ended before {text!r}: {self.screen!r}"
            self.screen += os.read(self.master, 1000)

    def write(self, keys):
        os.write(self.master, keys)

    def type(self, keys, screen):
        os.write(self.master, keys)
        self.expect(screen)

    def resize(self, rows, columns):
        termios.tcsetwinsize(self.master, (rows, columns))

    def wait_until_stopped(self):
        assert os.read(self.news, 1) == b"\xff", "the job ended instead of stopping"
        assert termios.tcgetattr(self.slave) == self.before, "the stopped job did not restore the terminal"

    def go_on(self):
        os.write(self.orders, b"c")
        while self.changes_mode and termios.tcgetattr(self.slave) == self.before:
            pass  # what is typed before is echoed by this terminal, not by the guest

    def end(self):
        """The status and the whole screen."""
        status = os.read(self.news, 1)[0]
        os.waitpid(self.leader, 0)
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is not as it was"
        os.set_blocking(self.master, False)
        try:
            while True:
                self.screen += os.read(self.master, 1000)
        except BlockingIOError:
            pass
        for fd in (self.master, self.slave, self.orders_out, self.orders, self.news):
            os.close(fd)
        return status, self.screen


def cooked(job):
    job.expect(b"ready 111\r\n")
    job.type(b"abc", b"abc")
    job.type(b"\x7f", b"\b \b")
    job.type(b"d\r", b"read 4: 61 62 64 0a\r\n")
    job.type(b"one two", b"one two")
    job.type(b"\x17", b"\b \b" * 3)  # a word
    job.type(b"\x15", b"\b \b" * 4)  # the line
    job.type(b"\x16\x03\n", b"read 2: 03 0a\r\n")
    job.type(b"x" * 100 + b"\n", b"78 0a\r\n")
    job.type(b"\x04", b"read 0:\r\n")


def end_of_file(job):
    job.expect(b"ready 111\r\n")
    job.type(b"half", b"half")
    job.type(b"\x04", b"read 4: 68 61 6c 66\r\n")
    job.type(b"\x04", b"read 0:\r\n")


def raw(job):
    job.expect(b"raw\n")
    for key in b"a", b"\r", b"\n", b"\x04", b"\x7f", b"\x00", b"\xff", b"\x11", b"\x13", b"\x03", b"\x1a", b"\x1c":
        job.type(key, b"<%02x>" % key[0])
    job.type(b"\x1b[A", b"<1b><5b><41>")
    job.type(b"q", b"cooked\r\n")


def size(job):
    job.expect(b"33x77\r\n")
    job.resize(50, 132)
    job.expect(b"50x132\r\n")
    job.resize(1, 2)
    job.expect(b"1x2\r\n")


def interrupt(job):
    job.expect(b"ready\r\n")
    job.type(b"\x03", b"^C")


def quit(job):
    job.expect(b"ready\r\n")
    job.type(b"\x1c", b"^\\")


def suspend(job):
    job.expect(b"ready 111\r\n")
    job.type(b"ab", b"ab")
    job.type(b"\n", b"read 3: 61 62 0a\r\n")
    job.write(b"\x1a")
    job.wait_until_stopped()
    job.go_on()
    job.type(b"cd\n", b"read 3: 63 64 0a\r\n")
    job.type(b"\x04", b"read 0:\r\n")


def deaf(job):
    """The second Ctrl-C ends a machine that has not answered the first. Two may become one signal, so: until it ends."""
    job.expect(b"ready\r\n")
    while not select.select([job.news], [], [], 0.1)[0]:
        job.write(b"\x03")
    job.expect(b"osv-run: killed the machine")


PROGRAM_MODE = {"cooked": "lines", "end-of-file": "lines", "suspend": "lines", "interrupt": "sleep", "quit": "sleep"}


def run(case, command, in_image):
    job = Job(command + [PROGRAM_MODE.get(case, case)], changes_mode=in_image)
    globals()[case.replace("-", "_")](job)
    return job.end()


def main():
    osv_run, program, image, *cases = sys.argv[1:]
    for case in cases:
        got = run(case, [osv_run, image, "--"], True)
        want = run(case, [program], False) if case != "deaf" else (130, got[1])
        assert got == want, f"{case}:\n  image    {got!r}\n  natively {want!r}"
        print(f"{case}: {want!r}")


main()

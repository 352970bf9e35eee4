# SPDX-License-Identifier: BSD-3-Clause
"""run.py MODULE: one module of CPython's tests, without what a program in an image has not: other processes. What Debian
builds as shared objects, which a static interpreter does not load, is not there either; the tests skip or fail on it natively too."""
import os
import sys
import types

for name in "fork", "forkpty", "posix_spawn", "posix_spawnp":
    delattr(os, name)


class ContextVar:
    """decimal wants one; `_contextvars` is a shared object."""

    def __init__(self, name, **default):
        self.value = default

    def get(self, *default):
        return self.value.get("default", *default)

    def set(self, value):
        self.value = {"default": value}


sys.modules["_contextvars"] = types.ModuleType("_contextvars")
vars(sys.modules["_contextvars"]).update(ContextVar=ContextVar, Context=object, Token=object, copy_context=None)

import test.support

test.support.has_fork_support = False
test.support.has_subprocess_support = False
import unittest


class Result(unittest.TestResult):
    """Tells of each test on a line of its own: some print, between their name and their result."""

    def tell(self, test, what):
        print(f"\nRESULT {test.id()} {what}", file=sys.__stdout__, flush=True)

    def addSuccess(self, test):
        self.tell(test, "ok")

    def addError(self, test, error):
        super().addError(test, error)
        self.tell(test, "error")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.tell(test, "failure")

    def addSkip(self, test, reason):
        self.tell(test, "skipped")


result = Result()
unittest.defaultTestLoader.loadTestsFromName("test." + sys.argv[1]).run(result)
for test, text in result.errors + result.failures:
    print(test, text, sep="\n")

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the tests of a package of Go's standard library natively and in the image, and compares the result of each test.

gotest.py [options] PACKAGE       for example: gotest.py --models gs --smp 2 --hz 10000 sync

Which tests can pass is not written down: the native run is done twice, once as it is and once with a filter that leaves only what
abi/Syscalls.def provides (provided.py: no processes, no sockets). A test whose result changes by that needs what the image cannot have, and is
left out; its name is printed. Every other test must have the same result (PASS, FAIL or SKIP) in every combination. A test that cannot be compared
for another reason is left out by --without NAME=REASON.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import zipfile

from provided import only_what_is_provided


class Go:
    def __init__(self, args):
        self.args = args
        self.goroot = subprocess.run(["go", "env", "GOROOT"], check=True, capture_output=True, text=True).stdout.strip()
        self.source = os.path.join(self.goroot, "src", args.package)
        self.directory = os.path.join(args.build, "test", "programs", "gotest", args.package.replace("/", "-"))
        self.program = os.path.join(self.directory, "test")
        self.root = os.path.join(self.directory, "root")
        # Everything is made anew: a test list of another compiler would be a test of nothing.
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.root)

    def build(self):
        environment = dict(os.environ, CGO_ENABLED="0")
        environment.setdefault("GOCACHE", os.path.join(self.args.build, "test", "programs", "go-cache"))
        subprocess.run(
            ["go", "test", "-c", "-o", self.program, self.args.package], check=True, env=environment, stdin=subprocess.DEVNULL
        )

    def make_root(self):
        """The test's directory is the root, so testdata of the directories above it comes to the same place."""
        above = os.path.join(self.goroot, "src")
        for part in [""] + self.args.package.split("/"):
            above = os.path.join(above, part)
            if os.path.isdir(os.path.join(above, "testdata")):
                shutil.copytree(os.path.join(above, "testdata"), os.path.join(self.root, "testdata"), dirs_exist_ok=True)
        for extra in self.args.file:
            target = os.path.join(self.root, extra.lstrip("/"))
            if os.path.isdir(extra):
                shutil.copytree(extra, target, symlinks=True, dirs_exist_ok=True)
            else:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy(extra, target)
        # Go's time-zone archive, which Debian leaves out of the package: the tests of `time` want exactly this file.
        # No zone is called localtime in it.
        zones = "/usr/share/zoneinfo"
        archive = os.path.join(self.root, "go", "lib", "time", "zoneinfo.zip")
        os.makedirs(os.path.dirname(archive))
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as out:
            for where, _, names in os.walk(zones):
                for name in names:
                    file = os.path.join(where, name)
                    if name != "localtime" and open(file, "rb").read(4) == b"TZif":
                        out.write(file, os.path.relpath(file, zones))

    def arguments(self, pattern):
        short = [] if self.args.long else ["-test.short"]
        return short + ["-test.v", "-test.run=" + pattern, "-test.timeout=%ds" % self.args.timeout] + self.args.flag

    def native(self, pattern, filtered=False):
        done = subprocess.run(
            [self.program] + self.arguments(pattern),
            cwd=self.source,
            env={"GOROOT": os.path.join(self.root, "go"), "PATH": "/usr/bin:/bin", "HOME": "/"},
            preexec_fn=only_what_is_provided() if filtered else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        return results(done.stdout), done

    def rewrite(self, model):
        image = f"{self.program}.{model}.img"
        subprocess.run(
            [os.path.join(self.args.build, "bin", "osv-rewrite"), "--tls=" + model, "--root", self.root, self.program, "-o", image],
            check=True,
            stdin=subprocess.DEVNULL,
        )
        return image

    def in_image(self, image, smp, hz, pattern):
        command = [os.path.join(self.args.build, "bin", "osv-run"), image, "--smp", str(smp), "-m", self.args.memory]
        command += ["--append", f"osv.hz={hz}", "--timeout", str(self.args.timeout + 10)]
        for variable in ["GOROOT=/go", "PATH=/usr/bin:/bin", "HOME=/"] + self.args.env:
            command += ["--env", variable]
        command += ["--"] + self.arguments(pattern)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        return results(done.stdout), done, command


def results(text):
    """Of top-level tests and examples; a test that was started and has no result has ended the program."""
    found = {name: "CRASH" for name in re.findall(r"^=== RUN   ([^/\s]+)$", text, re.M)}
    found.update((name, what) for what, name in re.findall(r"^--- (PASS|FAIL|SKIP): ([^/\s]+) \(", text, re.M))
    found.update((name, "CRASH") for name in re.findall(r"^--- FAIL: ([^/\s]+) \(.*\)\npanic: ", text, re.M))
    return found


def exactly(names):
    return "^(" + "|".join(sorted(names)) + ")$"


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package")
    parser.add_argument("--build", default=os.path.join(here, "..", "..", "build"))
    parser.add_argument("--run", default=".", help="only tests that match")
    parser.add_argument("--without", action="append", default=[], metavar="NAME=REASON")
    parser.add_argument("--file", action="append", default=[], help="a file or directory that the image needs")
    parser.add_argument("--flag", action="append", default=[], help="an argument of the test program")
    parser.add_argument("--env", action="append", default=[], help="a variable for the image only")
    parser.add_argument("--only", default="gs:1:1000,gs:2:10000,fs:1:10000,fs:2:1000", help="model:smp:hz,...")
    parser.add_argument("--least", type=int, default=1, help="how many tests must have been compared")
    parser.add_argument("--long", action="store_true", help="not -test.short")
    parser.add_argument("--memory", "-m", default="512M")
    parser.add_argument("--timeout", type=int, default=600)
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    go = Go(args)
    go.build()
    go.make_root()
    reasons = dict(entry.split("=", 1) for entry in args.without)
    listed = subprocess.run([go.program, "-test.list", args.run], cwd=go.source, capture_output=True, text=True,
                            env={"GOROOT": os.path.join(go.root, "go")}).stdout.split()
    names = {name for name in listed if re.match("(Test|Example)", name)}
    unknown = set(reasons) - names
    names -= set(reasons)
    full, _ = go.native(exactly(names))
    missing = set()
    while True:  # a test that ends the program hides those after it
        filtered, done = go.native(exactly(names - missing), filtered=True)
        changed = {name for name in names - missing if full.get(name) != filtered.get(name)}
        crashed = {name for name in changed if filtered.get(name) == "CRASH"}
        missing |= crashed or changed
        if not changed:
            break
    wanted = {name: full[name] for name in names - missing if name in full}
    for name in sorted(missing):
        print(f"left out: {name}: needs a call that is not provided")
    for name in sorted(reasons):
        print(f"left out: {name}: {reasons[name]}")
    good = bool(wanted) and not unknown
    for name in unknown:
        print(f"error: --without {name}: no such test")
    for combination in args.only.split(","):
        model, smp, hz = combination.split(":")
        image = f"{go.program}.{model}.img"
        if not os.path.exists(image):
            go.rewrite(model)
        got, done, command = go.in_image(image, smp, hz, exactly(wanted))
        different = sorted(name for name in wanted if got.get(name) != wanted[name])
        if different:
            good = False
            for name in different:
                print(f"DIFFERENT: {combination}: {name}: {got.get(name)}, natively {wanted[name]}")
            print("  " + " ".join(f"'{word}'" if set(word) & set("^()$|") else word for word in command))
            print("\n".join("  | " + line for line in done.stdout.splitlines()[-200:]))
    count = sum(what == "PASS" for what in wanted.values())
    print(f"{args.package}: {count} passed natively and compared, {len(missing) + len(reasons)} left out")
    if count < args.least:
        print(f"error: fewer than {args.least}")
        good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

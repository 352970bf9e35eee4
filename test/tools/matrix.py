#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs real programs natively and as images, in every combination, and compares stdout, stderr and status byte for byte.

matrix.py [options] PROGRAM...    PROGRAM is a name from PROGRAMS below; `list` prints them

A program is built once into a cache (--build) and rewritten once for each TLS model; its image is read again by lief-check
when that was built. Then every run of the program is done on every machine and CPU model, with every size of memory and number of
processors. One line tells how many combinations agreed; each that did not is shown with the command that repeats it.
"""
import argparse
import fcntl
import itertools
import os
import subprocess
import sys

MODELS = ["gs", "fs"]
MACHINES = ["microvm", "q35", "pc"]
CPUS = ["max", "qemu64"]
MEGABYTE = bytes((i * 7 + (i >> 8)) & 255 for i in range(1 << 20))


class Program:
    """How to build a program, and what to run. A run is (arguments, environment, standard input)."""

    def __init__(self, source, command, runs=None, strip=False):
        self.source, self.command, self.strip = source, command, strip
        self.runs = runs or [(["a b", "c,d%", ""], {"GREETING": "good morning"}, b""), ([], {}, b"")]


def stripped(program):
    return Program(program.source, program.command, program.runs, strip=True)


PROGRAMS = {
    "c-glibc": Program("hello.c", "gcc -O2 -g -static {source} -o {output} -lm"),
    "c-glibc-pie": Program("hello.c", "gcc -O2 -g -static-pie -fPIE {source} -o {output} -lm"),
    "c-musl": Program("hello.c", "musl-gcc -O2 -g -static {source} -o {output}"),
    "cpp-glibc": Program("hello.cpp", "g++ -O2 -g -std=c++20 -static {source} -o {output}", [([], {}, b"")]),
    "go": Program("hello.go", "go build -o {output} {source}"),
    "go-pie": Program("hello.go", "go build -buildmode=pie -o {output} {source}"),
    "go-small": Program("hello.go", "go build -o {output} {source}", [(["small"], {}, b"")]),
    "rust": Program(
        "hello.rs",
        "rustc -O -Ctarget-feature=+crt-static --target=x86_64-unknown-linux-gnu -o {output} {source}",
        [(["x"], {}, b"")],
    ),
    "busybox": Program(
        "/bin/busybox",
        "cp {source} {output}",
        [
            (["echo", "hello", "  two  blanks", "-n"], {}, b""),
            (["seq", "1", "100000"], {}, b""),
            (["sha256sum"], {}, MEGABYTE),
            (["env"], {"A": "1", "B": "two words", "C": "x=y,z"}, b""),
            (["false"], {}, b""),
            (["sort", "-rn"], {}, b"".join(b"%d\n" % (i * 7919 % 1000) for i in range(1000))),
            (["cat", "/nonexistent"], {}, b""),
        ],
    ),
    "busybox-cat": Program("/bin/busybox", "cp {source} {output}", [(["cat"], {}, MEGABYTE)]),
}
for name in ("c-glibc", "c-glibc-pie", "c-musl", "cpp-glibc", "go", "go-pie", "rust"):
    PROGRAMS[name + "-stripped"] = stripped(PROGRAMS[name])


class Result:
    def __init__(self, status, stdout, stderr):
        self.status, self.stdout, self.stderr = status, stdout, stderr


def build(name, args):
    """The program file, built when it is not newer than its source."""
    program = PROGRAMS[name]
    source = os.path.join(args.inputs, program.source)
    directory = os.path.join(args.cache, name)
    output = os.path.join(directory, "busybox" if name.startswith("busybox") else name)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(output) or os.path.getmtime(output) < os.path.getmtime(source):
            command = program.command.format(source=source, output=output).split()
            environment = dict(os.environ, CGO_ENABLED="0", GOFLAGS="-mod=mod", GO111MODULE="off")
            environment.setdefault("GOCACHE", os.path.join(args.cache, "go-cache"))
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, env=environment)
            if program.strip:
                subprocess.run(["strip", output], check=True)
            os.utime(output)
    return output


def native(path, run):
    arguments, environment, stdin = run
    done = subprocess.run(
        [os.path.basename(path)] + arguments, executable=path, env=environment, input=stdin, capture_output=True
    )
    return Result(done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout, done.stderr)


def rewrite(path, model, args):
    image = f"{path}.{model}.{args.syscalls}.img"
    command = [args.rewrite, path, "-o", image, "--tls=" + model, "--syscalls=" + args.syscalls]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    if args.lief and os.path.exists(args.lief):
        subprocess.run([args.lief, image, path], check=True, stdout=subprocess.DEVNULL)
    return image


def command_line(image, machine, run, args):
    """`machine` is (--machine, --cpu, -m, --smp)."""
    arguments, environment, _ = run
    command = [args.run, image, "--timeout", str(args.timeout)]
    for option, value in zip(("--machine", "--cpu", "-m", "--smp"), machine):
        command += [option, value]
    if args.icount:
        command += ["--icount"]
    for key, value in environment.items():
        command += ["--env", f"{key}={value}"]
    return command + ["--"] + arguments


def quoted(words):
    return " ".join(word if word.replace("-", "").replace("/", "").replace(".", "").isalnum() else f"'{word}'" for word in words)


def difference(name, got, want):
    if got == want:
        return
    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    print(f"    {name}: {len(got)} bytes, natively {len(want)}; first difference at byte {at}:")
    print(f"      image    ...{got[max(0, at - 30) : at + 80]!r}")
    print(f"      natively ...{want[max(0, at - 30) : at + 80]!r}")


def compare(name, image, machine, run, want, args):
    command = command_line(image, machine, run, args)
    done = subprocess.run(command, input=run[2], capture_output=True)
    got = Result(done.returncode, done.stdout, done.stderr)
    if (got.status, got.stdout, got.stderr) == (want.status, want.stdout, want.stderr):
        return True
    print(f"DIFFERENT: {name}, {', '.join(machine)}: {quoted(command)}")
    if got.status != want.status:
        print(f"    status {got.status}, natively {want.status}")
    difference("stdout", got.stdout, want.stdout)
    if got.stderr != want.stderr:
        difference("stderr", got.stderr, want.stderr)
        text = got.stderr.decode("utf-8", "replace").splitlines()
        print("\n".join("    | " + line for line in text[-60:]))
    return False


def smallest_memory(name, args):
    """Prints the least number of MiB with which the first run of `name` gives the native result."""
    path = build(name, args)
    image = rewrite(path, "gs", args)
    run = PROGRAMS[name].runs[0]
    want = native(path, run)

    def works(size):
        machine = ("microvm", "max", f"{size}M", "1")
        done = subprocess.run(command_line(image, machine, run, args), input=run[2], capture_output=True)
        return (done.returncode, done.stdout, done.stderr) == (want.status, want.stdout, want.stderr)

    low, high = 1, 64
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if works(middle) else (middle + 1, high)
    print(f"{name}: {low}M")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    default = os.path.join(here, "..", "..", "build")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="+")
    parser.add_argument("--build", default=default)
    parser.add_argument("--inputs", default=os.path.join(here, "..", "image", "Inputs"))
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--machines", default=",".join(MACHINES))
    parser.add_argument("--cpus", default=",".join(CPUS))
    parser.add_argument("--memory", "-m", default="64M")
    parser.add_argument("--smp", default="1")
    parser.add_argument("--icount", action="store_true", help="virtual time: the host's load changes nothing")
    parser.add_argument("--syscalls", default="all", choices=["all", "reachable"])
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("--smallest-memory", action="store_true")
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    args.rewrite = os.path.join(args.build, "bin", "osv-rewrite")
    args.run = os.path.join(args.build, "bin", "osv-run")
    args.lief = os.path.join(args.build, "bin", "lief-check")
    args.cache = os.path.join(args.build, "test", "programs")
    if args.programs == ["list"]:
        print("\n".join(sorted(PROGRAMS)))
        return 0
    if args.smallest_memory:
        for name in args.programs:
            smallest_memory(name, args)
        return 0
    lists = (args.machines, args.cpus, args.memory, args.smp)
    machines = list(itertools.product(*(words.split(",") for words in lists)))
    agreed = different = 0
    for name in args.programs:
        path = build(name, args)
        wanted = [native(path, run) for run in PROGRAMS[name].runs]
        for model in args.models.split(","):
            image = rewrite(path, model, args)
            for machine in machines:
                for run, want in zip(PROGRAMS[name].runs, wanted):
                    if compare(f"{name}, --tls={model}", image, machine, run, want, args):
                        agreed += 1
                    else:
                        different += 1
    print(f"matrix: {agreed} agreed, {different} different")
    return 1 if different else 0


sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs one program natively and in the image, and compares standard output and status.

same.py [options] PROGRAM [-- ARGUMENTS]

A combination is MODEL:CPUS:HZ. The ordinary four have each TLS model with one and two CPUs and with preemption at 1 and 10 kHz. A difference is
shown with the command that repeats it.
"""
import argparse
import os
import subprocess
import sys

from provided import only_what_is_provided

COMBINATIONS = "gs:1:1000,gs:2:10000,fs:1:10000,fs:2:1000"


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments = sys.argv[split + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--build", default=os.path.join(here, "..", "..", "build"))
    parser.add_argument("--only", default=COMBINATIONS)
    parser.add_argument("--memory", "-m", default="64M")
    parser.add_argument("--timeout", type=int, default=600, help="seconds; three times the longest measured on two CPUs at load 14")
    parser.add_argument("--option", action="append", default=[], help="one more argument of osv-run")
    parser.add_argument("--provided", action="store_true", help="natively only with the calls that the image provides")
    args = parser.parse_args(sys.argv[1:split])
    tools = os.path.join(os.path.abspath(args.build), "bin")
    limit = only_what_is_provided() if args.provided else None
    done = subprocess.run([os.path.abspath(args.program)] + arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=limit)
    want = done.stdout, done.returncode if done.returncode >= 0 else 128 - done.returncode
    good = True
    images = {}
    for combination in args.only.split(","):
        model, cpus, hz = combination.split(":")
        if model not in images:
            images[model] = f"{args.program}.{model}.img"
            rewrite = [os.path.join(tools, "osv-rewrite"), "--tls=" + model, args.program, "-o", images[model]]
            subprocess.run(rewrite, check=True, stdin=subprocess.DEVNULL)
        command = [os.path.join(tools, "osv-run"), images[model], "--smp", cpus, "--append", "osv.hz=" + hz, "-m", args.memory]
        command += ["--timeout", str(args.timeout)] + args.option + (["--"] + arguments if arguments else [])
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if (done.stdout, done.returncode) == want:
            continue
        good = False
        expected, got = want[0].decode(errors="replace").splitlines(), done.stdout.decode(errors="replace").splitlines()
        at = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
        # On stderr: the output may be FileCheck's input, which shows nothing when it finds what it looks for.
        print("DIFFERENT: " + " ".join(command), f"  status {done.returncode}, expected {want[1]}",
              *("  expected | " + line for line in expected[at : at + 5]), *("  got      | " + line for line in got[at : at + 5]),
              *("  stderr   | " + line for line in done.stderr.decode(errors="replace").splitlines()[-60:]), sep="\n", file=sys.stderr)
    sys.stdout.buffer.write(want[0])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

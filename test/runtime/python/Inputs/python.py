#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""python.py --build DIR [--only MODEL:CPUS:HZ,...] MODULE...: CPython's own tests on a static interpreter, natively and in the image.

The interpreter is linked from Debian's libpython (utils/fetch-corpus python). Natively only the calls of Syscalls.def can be made
(provided.py); every test must have the same result in every combination, and each module must pass some.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "..", "tools"))
from provided import only_what_is_provided

MAIN = "#include <Python.h>\nint main(int count, char **arguments) { return Py_BytesMain(count, arguments); }\n"
ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin", "HOME": "/"}


def link(fetched, program):
    archives = os.path.join(fetched, "usr", "lib", "x86_64-linux-gnu")
    include = os.path.join(fetched, "usr", "include")
    command = ["gcc", "-O1", "-w", "-static", "-x", "c", "-", "-o", program, "-I" + include + "/python3.11", "-I" + include]
    command += ["-I" + include + "/x86_64-linux-gnu/python3.11", "-x", "none", "-Wl,--start-group"]
    command += [os.path.join(archives, name) for name in ("libpython3.11.a", "libexpat.a", "libz.a")] + ["-lm", "-Wl,--end-group"]
    subprocess.run(command, input=MAIN, text=True, check=True, stderr=subprocess.DEVNULL)


def make_root(fetched, root):
    library = os.path.join("usr", "lib", "python3.11")
    shutil.copytree(os.path.join(fetched, library), os.path.join(root, library), symlinks=True,
                    ignore=shutil.ignore_patterns("config-*", "lib-dynload", "__pycache__", "*.pyc", "idlelib", "lib2to3", "cjkencodings"))
    shutil.copy(os.path.join(HERE, "run.py"), root)


def results(text):
    return dict(re.findall(r"^RESULT (\S+) (\w+)$", text, re.M))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+")
    parser.add_argument("--build", required=True)
    parser.add_argument("--only", default="gs:1:1000,gs:2:10000,fs:1:10000,fs:2:1000")
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    fetched, work = os.path.join(build, "corpus", "python"), os.path.join(build, "test", "programs", "python")
    shutil.rmtree(work, ignore_errors=True)
    root, here, program = (os.path.join(work, name) for name in ("root", "here", "python"))
    os.makedirs(here)
    link(fetched, program)
    make_root(fetched, root)
    good, images = True, {}
    for module in args.modules:
        home = dict(ENVIRONMENT, PYTHONHOME=os.path.join(root, "usr"))
        done = subprocess.run([program, os.path.join(root, "run.py"), module], cwd=here, env=home, preexec_fn=only_what_is_provided(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        want = results(done.stdout)
        passed = list(want.values()).count("ok")
        if not passed:
            good = False
            print(f"{module}: none passed natively\n{done.stdout[-2000:]}")
        for combination in args.only.split(","):
            model, cpus, hz = combination.split(":")
            if model not in images:
                images[model] = f"{program}.{model}.img"
                subprocess.run([os.path.join(build, "bin", "osv-rewrite"), "--tls=" + model, "--root", root, program, "-o", images[model]], check=True)
            command = [os.path.join(build, "bin", "osv-run"), images[model], "-m", "512M", "--smp", cpus, "--append", "osv.hz=" + hz, "--timeout", "900"]
            for key, value in dict(ENVIRONMENT, PYTHONHOME="/usr").items():
                command += ["--env", f"{key}={value}"]
            done = subprocess.run(command + ["--", "/run.py", module], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
            got = results(done.stdout)
            different = sorted(name for name in want.keys() | got.keys() if want.get(name) != got.get(name))
            good &= not different
            print(f"{module}, {combination}: {passed} of {len(want)} pass" if not different else f"{module}, {combination}: DIFFERENT", flush=True)
            for name in different[:20]:
                print(f"  {name}: natively {want.get(name)}, in the image {got.get(name)}")
            if different:
                print(done.stdout[-3000:])
    return not good


sys.exit(main())

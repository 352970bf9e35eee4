#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compiles a changed copy of one of the runtime's files as the build does: recompile.py BUILD FILE gs|fs SED-SCRIPT. Nothing is
kept; prints what the compiler says and its status."""
import json
import os
import shlex
import subprocess
import sys
import tempfile

build, name, model, script = sys.argv[1:]
commands = [c for c in json.load(open(os.path.join(build, "compile_commands.json")))
            if os.path.basename(c["file"]) == name and f"-osv-tls={model}" in c["command"]]
entry = commands[0]
words = shlex.split(entry["command"])
while os.path.basename(words[0]) == "ccache":
    del words[0]
with tempfile.TemporaryDirectory() as directory:
    copy = os.path.join(directory, name)
    text = subprocess.run(["sed", script, entry["file"]], stdout=subprocess.PIPE, check=True).stdout
    open(copy, "wb").write(text)
    words = [copy if w == entry["file"] else w for w in words if not w.startswith("-foptimization-record")]
    words[words.index("-o") + 1] = os.path.join(directory, "object.o")
    run = subprocess.run(words, cwd=entry["directory"], stderr=subprocess.STDOUT)
print("status", run.returncode, flush=True)
